// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#ifndef FREEZERCTL_TOOLS_RUN_H
#define FREEZERCTL_TOOLS_RUN_H

#include <cstdint>
#include <string>
#include <vector>

#include "user/members.h"
#include "user/report.h"

namespace freezerctl
{

// What became of a command that ran in a cgroup of its own.
struct RunReport {
    std::vector<std::string> command;
    std::string path; // of the cgroup, below the mount
    std::uint64_t id = 0;
    // kReached: it ended; kDeadline: it was ended.
    freezer::Outcome outcome = freezer::Outcome::kReached;
    int status = 0; // its exit code, or 128 and the number of the signal that killed it
    std::uint64_t elapsed_ns = 0;
    freezer::Members left; // what it left behind, before that was killed
    bool removed = false;  // the cgroup is gone
};

} // namespace freezerctl

#endif
