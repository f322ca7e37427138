// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "user/proc_tasks.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "user/account.h"
#include "user/classify.h"
#include "user/files.h"
#include "user/resolve.h"

namespace freezer
{
namespace
{

// Where a task sleeps that its cgroup counts as frozen. The first two are the refrigerator, of
// which wchan shows the outer function where the inner one was inlined.
bool is_frozen_place(std::string_view wchan)
{
    // kernel_clone: of a vfork where what waits for the child is inlined (ppc64le).
    static constexpr std::array<std::string_view, 6> kPlaces{"do_freezer_trap",     "get_signal",
                                                             "do_signal_stop",      "ptrace_stop",
                                                             "wait_for_vfork_done", "kernel_clone"};
    return std::find(kPlaces.begin(), kPlaces.end(), wchan) != kPlaces.end();
}

// Where a sleeping task sleeps when wchan does not tell: the x86 kernels up to 5.15 that unwind by
// ORC say "0" for every task (fixed by bc9bbb81730e, 5.16), and a 7.2 on ppc64le does. Not for
// running tasks, of which the kernel shows what happens to lie on their stacks.
std::string sleeping_place(const TaskEntry &task)
{
    if (!task.wchan.empty() || task.state_letter == 'R' || task.state_letter == 'Z')
        return task.wchan;
    return std::string(innermost_function(proc_file(task.tid, "stack")));
}

// A v1 freezer freezes many a task where it sleeps: what shows is that one that otherwise sleeps in
// state S is in D.
bool is_held_by_v1(std::string_view wchan, char state)
{
    static constexpr std::array<std::string_view, 10> kPlaces{
        "refrigerator", "__refrigerator", "hrtimer_nanosleep", "do_nanosleep",   "futex_wait_queue",
        "do_wait",      "sigsuspend",     "do_sigtimedwait",   "do_signal_stop", "ptrace_stop"};
    return state == 'D' && std::find(kPlaces.begin(), kPlaces.end(), wchan) != kPlaces.end();
}

} // namespace

std::string proc_file(std::uint32_t tid, const char *name)
{
    auto text = read_record_at(AT_FDCWD, "/proc/" + std::to_string(tid) + "/" + name);
    return text ? std::move(*text) : std::string();
}

std::string_view innermost_function(std::string_view stack)
{
    const auto functions = functions_of_stack(stack);
    const auto first = std::find_if_not(functions.begin(), functions.end(), is_plumbing);
    return first == functions.end() ? std::string_view() : *first;
}

std::vector<std::string_view> functions_of_stack(std::string_view stack)
{
    std::vector<std::string_view> functions;
    for (std::string_view line : split_lines(stack)) {
        // "[<0>] name.isra.0+0x1/0x2 [module]"
        const size_t end = line.find("] ");
        if (end == std::string_view::npos)
            continue;
        line.remove_prefix(end + 2);
        const std::string_view name = line.substr(0, line.find_first_of("+ "));
        // A task that sleeps does so in this one. What ppc64le shows above it was left there by
        // earlier calls, addresses of no function among it.
        if (name == "__switch_to")
            functions.clear();
        if (!name.empty() && !name.starts_with("0x"))
            functions.push_back(name.substr(0, name.find('.')));
    }
    return functions;
}

std::optional<ProcStat> parse_proc_stat(std::string_view line)
{
    const size_t open = line.find(" (");
    const size_t close = line.rfind(") ");
    if (open == std::string_view::npos || close == std::string_view::npos || close < open)
        return std::nullopt;
    ProcStat stat;
    const auto pid = parse_number(line.substr(0, open));
    const std::string_view rest = line.substr(close + 2);
    if (!pid || rest.size() < 3)
        return std::nullopt;
    stat.pid = static_cast<std::uint32_t>(*pid);
    stat.comm = line.substr(open + 2, close - open - 2);
    stat.state = rest[0];
    // Behind the state: parent, group, session, terminal, its group, flags.
    std::string_view after = rest.substr(2);
    for (int field = 4; field <= 9 && !after.empty(); ++field) {
        const size_t space = after.find(' ');
        const auto value = parse_number(after.substr(0, space)); // a terminal may be -1
        if (field == 4)
            stat.parent = static_cast<std::uint32_t>(value.value_or(0));
        else if (field == 9)
            stat.flags = static_cast<std::uint32_t>(value.value_or(0));
        after.remove_prefix(space == std::string_view::npos ? after.size() : space + 1);
    }
    return stat;
}

std::optional<ProcMembership> read_proc_status(int tid, std::uint32_t hierarchy)
{
    const auto id = static_cast<std::uint32_t>(tid);
    auto cgroup = parse_proc_cgroup(proc_file(id, "cgroup"), hierarchy);
    if (!cgroup)
        return std::nullopt;
    const std::string status = proc_file(id, "status");
    for (const std::string_view line : split_lines(status)) {
        if (!line.starts_with("Tgid:\t"))
            continue;
        if (const auto tgid = parse_number(line.substr(6)))
            return ProcMembership{static_cast<int>(*tgid), std::move(*cgroup)};
    }
    return std::nullopt;
}

Result<UniqueFd> hold_process(int tid, int tgid, const Cgroup &cgroup)
{
    UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, tgid, 0)));
    if (!process) {
        if (errno == ESRCH)
            return UniqueFd();
        return Error::from_errno(errno, "pidfd_open");
    }
    const auto now = read_proc_status(tid, cgroup.hierarchy_id());
    if (!now || now->tgid != tgid || !now->cgroup.ends_with(cgroup.path()))
        return UniqueFd();
    return process;
}

std::vector<TaskEntry> own_tasks_from_proc(Cgroup &cgroup)
{
    std::vector<TaskEntry> tasks;
    auto tids = cgroup.own_tasks();
    if (!tids)
        return tasks;
    for (const int tid : *tids) {
        const auto stat = parse_proc_stat(proc_file(static_cast<std::uint32_t>(tid), "stat"));
        if (!stat)
            continue; // exited meanwhile
        const auto member = read_proc_status(tid, cgroup.hierarchy_id());
        TaskEntry task;
        task.tid = static_cast<std::uint32_t>(tid);
        task.tgid = member ? static_cast<std::uint32_t>(member->tgid) : task.tid;
        task.comm = stat->comm;
        task.cgroup_id = cgroup.id();
        task.state_letter = stat->state;
        task.parent_tgid = stat->parent;
        if (stat->state == 'Z')
            task.note = TaskEntry::Note::kZombie;
        complete_from_proc(task);
        task.wchan = sleeping_place(task);
        task.frozen = cgroup.announces() ? is_frozen_place(task.wchan)
                                         : is_held_by_v1(task.wchan, stat->state);
        tasks.push_back(std::move(task));
    }
    return tasks;
}

std::vector<TaskEntry> tasks_from_proc(Cgroup &top)
{
    std::vector<TaskEntry> tasks;
    std::vector<std::unique_ptr<Cgroup>> storage;
    auto all = walk(top, storage);
    if (!all)
        return tasks;
    for (Cgroup *const cgroup : *all) {
        auto own = own_tasks_from_proc(*cgroup);
        std::move(own.begin(), own.end(), std::back_inserter(tasks));
    }
    return tasks;
}

void complete_from_proc(TaskEntry &task)
{
    task.wchan = proc_file(task.tid, "wchan");
    if (task.wchan == "0")
        task.wchan.clear();
    if (task.note == TaskEntry::Note::kZombie) {
        if (const auto parent = parse_proc_stat(proc_file(task.parent_tgid, "stat")))
            task.parent_comm = parent->comm;
    }
}

std::vector<TaskEntry> survivors(const std::vector<fz_task_row> &rows, std::uint32_t slot)
{
    std::vector<TaskEntry> tasks;
    for (const fz_task_row &row : rows) {
        if (row.target != slot)
            continue;
        TaskEntry task = entry_of(row);
        if (row.exit_state != 0)
            task.note = TaskEntry::Note::kZombie;
        else if (row.flags & FZ_PF_KTHREAD)
            task.note = TaskEntry::Note::kKernelThread;
        else if (row.bits & FZ_ROW_HELD_BY_V1)
            task.note = TaskEntry::Note::kHeldByV1;
        tasks.push_back(std::move(task));
    }
    return tasks;
}

} // namespace freezer
