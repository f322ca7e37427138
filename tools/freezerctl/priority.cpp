// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "tools/freezerctl/priority.h"

#include <sched.h>
#include <sys/resource.h>

namespace freezerctl
{
namespace
{

bool raised = false; // a process has one priority

} // namespace

void raise_priority()
{
    if (::sched_getscheduler(0) != SCHED_OTHER || ::getpriority(PRIO_PROCESS, 0) != 0)
        return;
    sched_param lowest{};
    lowest.sched_priority = ::sched_get_priority_min(SCHED_RR);
    raised = ::sched_setscheduler(0, SCHED_RR | SCHED_RESET_ON_FORK, &lowest) == 0;
}

void restore_priority()
{
    if (!raised)
        return;
    raised = false;
    // The flag stays: to take it back takes CAP_SYS_NICE, which may be gone by now.
    const sched_param none{};
    (void)::sched_setscheduler(0, SCHED_OTHER | SCHED_RESET_ON_FORK, &none);
}

} // namespace freezerctl
