// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// Tasks as /proc shows them: all there is without BPF, and the sleeping place, which the task
// iterator does not give.
#ifndef FREEZERCTL_USER_PROC_TASKS_H
#define FREEZERCTL_USER_PROC_TASKS_H

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bpf/abi.h"
#include "user/cgroup.h"
#include "user/report.h"
#include "user/unique_fd.h"

namespace freezer
{

// The whole of /proc/TID/NAME, which is one record (see read_record()), "" when it cannot be read.
std::string proc_file(std::uint32_t tid, const char *name);

struct ProcStat {
    std::uint32_t pid = 0;
    std::string comm;
    char state = '?';
    std::uint32_t parent = 0;
    std::uint32_t flags = 0; // the kernel's PF_*
};

// A line of the form of /proc/PID/stat (proc(5)). The name may hold any bytes, ") R 1" among them.
std::optional<ProcStat> parse_proc_stat(std::string_view line);

// The functions in /proc/TID/stack, innermost first, without what the compiler appended to their
// names.
std::vector<std::string_view> functions_of_stack(std::string_view stack);
// The first function in /proc/TID/stack that is no part of the scheduler, or "": what wchan would
// show.
std::string_view innermost_function(std::string_view stack);

// Where a thread belongs.
struct ProcMembership {
    int tgid = 0;
    std::string cgroup; // in the hierarchy asked for, as /proc/TID/cgroup shows it
};

// nullopt when the thread is gone. `hierarchy` as Cgroup::hierarchy_id().
std::optional<ProcMembership> read_proc_status(int tid, std::uint32_t hierarchy);
// The process `tgid` of a thread of the cgroup, held by a descriptor: only when that is open is the
// thread seen to be in both, so no reused id is hit. An empty one: it is not, or not any more.
Result<UniqueFd> hold_process(int tid, int tgid, const Cgroup &cgroup);

// The tasks of this very cgroup, or of everything below it too, by the cgroup's file. Whether one
// is frozen no file of /proc tells for sure; it is taken from where the task sleeps, and a task
// whose place is hidden counts as not frozen.
std::vector<TaskEntry> own_tasks_from_proc(Cgroup &cgroup);
std::vector<TaskEntry> tasks_from_proc(Cgroup &top);

// Adds what /proc knows and the task iterator does not: wchan, a zombie's parent's name.
void complete_from_proc(TaskEntry &task);

// What keeps a target of a kill from being empty, zombies among it.
std::vector<TaskEntry> survivors(const std::vector<fz_task_row> &rows, std::uint32_t slot);

} // namespace freezer

#endif
