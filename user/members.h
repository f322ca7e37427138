// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#ifndef FREEZERCTL_USER_MEMBERS_H
#define FREEZERCTL_USER_MEMBERS_H

#include <cstdint>
#include <string>
#include <vector>

#include "user/cgroup.h"

namespace freezer
{

// A process as it calls itself. The texts hold any bytes.
struct Member {
    std::uint32_t pid = 0;
    std::string comm;
    std::string command_line; // its arguments with blanks between, not the whole of a long one
    std::string cgroup;       // of one of its threads, by path
};

struct Members {
    std::uint64_t count = 0;
    std::vector<Member> processes; // by pid; not all where there are more than was asked for
};

// The living processes with a thread in the cgroup or below it, as far as /proc shows them, at most
// `most` of them described.
Members members_of(Cgroup &top, size_t most);

} // namespace freezer

#endif
