// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#ifndef FREEZERCTL_TOOLS_PRIORITY_H
#define FREEZERCTL_TOOLS_PRIORITY_H

namespace freezerctl
{

// Makes this process go ahead of everything that it stops: it gets the lowest real-time priority
// (SCHED_RR, sched(7)). A request wakes every task of the cgroup; at an ordinary priority these run
// before the request is made to the last of them, and where all CPUs are busy, which is when
// something is to be stopped, the command itself waits for its turn.
//
// Only until the requests are made: to go on so while it waits would keep a CPU from tasks that
// still have to stop. (With 10,000 cgroups it kept them from it for half a minute.) And not for a
// kill: see is_urgent() in operate.cpp.
//
// Its children and other threads do not have it (SCHED_RESET_ON_FORK). Nothing happens without
// CAP_SYS_NICE, in a cgroup that may run nothing at such a priority (CONFIG_RT_GROUP_SCHED), or
// where the caller chose a priority or a policy.
void raise_priority();

// Takes that back, if it happened.
void restore_priority();

} // namespace freezerctl

#endif
