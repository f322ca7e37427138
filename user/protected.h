// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#ifndef FREEZERCTL_USER_PROTECTED_H
#define FREEZERCTL_USER_PROTECTED_H

#include <string>
#include <vector>

#include "user/cgroup.h"
#include "user/resolve.h"
#include "user/result.h"

namespace freezer
{

// What a machine, or whoever sits before it, depends on: process 1, the processes that this one
// descends from, sshd. A freeze or kill of their cgroups is seldom meant, and hard to take back.
class Protected
{
  public:
    // As things are now.
    explicit Protected(const Resolver &resolver);
    // kRefused, with the reason, for a cgroup that holds such a process.
    [[nodiscard]] Status check(const Cgroup &cgroup) const;

  private:
    struct Process {
        std::string what; // "process 1, on which ..."
        std::string v2;   // the paths of its cgroups; "": not to be told
        std::string v1;
    };
    void add(const Resolver &resolver, int pid, std::string what);

    std::vector<Process> processes_;
};

} // namespace freezer

#endif
