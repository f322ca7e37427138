// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "user/account.h"

#include <algorithm>

namespace freezer
{
namespace
{

// include/linux/sched.h: __state and exit_state; unchanged over all supported kernels.
constexpr std::uint32_t kTaskInterruptible = 0x1;
constexpr std::uint32_t kTaskUninterruptible = 0x2;
constexpr std::uint32_t kTaskStopped = 0x4;
constexpr std::uint32_t kTaskTraced = 0x8;
constexpr std::uint32_t kTaskNoload = 0x400;
constexpr std::uint32_t kExitDead = 0x10;
constexpr std::uint32_t kExitZombie = 0x20;

Actor actor_of(const fz_event &event)
{
    return Actor{event.task.tgid, event.task.uid, comm_of(event.task)};
}

} // namespace

std::string comm_of(const fz_task &task)
{
    const auto *const end = std::find(std::begin(task.comm), std::end(task.comm), '\0');
    return {std::begin(task.comm), end};
}

TaskEntry entry_of(const fz_task_row &row)
{
    TaskEntry entry;
    entry.tid = row.task.tid;
    entry.tgid = row.task.tgid;
    entry.comm = comm_of(row.task);
    entry.cgroup_id = row.cgroup_id;
    entry.frozen = row.bits & FZ_ROW_FROZEN;
    entry.state_letter = state_letter(row);
    entry.parent_tgid = row.parent_tgid;
    return entry;
}

char state_letter(const fz_task_row &row)
{
    if (row.exit_state & kExitZombie)
        return 'Z';
    if (row.exit_state & kExitDead)
        return 'X';
    if (row.state & kTaskStopped)
        return 'T';
    if (row.state & kTaskTraced)
        return 't';
    if (row.state & FZ_TASK_FROZEN)
        return 'D'; // as fs/proc/array.c shows it
    if (row.state & kTaskUninterruptible)
        return (row.state & kTaskNoload) ? 'I' : 'D';
    if (row.state & kTaskInterruptible)
        return 'S';
    return 'R';
}

void Account::apply(const fz_event &event)
{
    const bool foreign = !(event.flags & FZ_EVF_OWN);
    switch (event.kind) {
    case FZ_EV_FREEZE:
        begin_request(event.time_ns);
        if (foreign)
            foreign_freeze_ = actor_of(event);
        break;
    case FZ_EV_THAW:
        thawed_tasks_ = event.value;
        if (foreign)
            foreign_thaw_ = actor_of(event);
        break;
    case FZ_EV_FROZEN:
        frozen_ns_ = event.time_ns;
        frozen_tasks_ = event.value;
        completer_.reset();
        if ((event.flags & FZ_EVF_ARRIVED) && request_ns_ != 0 && event.time_ns >= request_ns_)
            completer_ = TaskTime{event.task.tid, event.task.tgid, comm_of(event.task),
                                  event.time_ns - request_ns_};
        break;
    case FZ_EV_UNFROZEN:
        frozen_ns_ = 0;
        frozen_tasks_.reset();
        completer_.reset();
        break;
    case FZ_EV_POPULATED:
        empty_ns_ = event.value ? 0 : event.time_ns;
        break;
    case FZ_EV_REMOVED:
        remover_ = actor_of(event);
        break;
    case FZ_EV_ARRIVED:
        // The first counts. The ring buffer orders events by reservation, so two CPUs' events may
        // stand the wrong way round.
        if (event.time_ns >= request_ns_)
            arrivals_.try_emplace(event.task.tid, Arrival{event.time_ns, event.task.tgid});
        break;
    case FZ_EV_KILL:
        if (foreign)
            foreign_kill_ = actor_of(event);
        break;
    case FZ_EV_EXIT:
    case FZ_EV_FORK: // the id of a task whose exit was dropped may come again
        arrivals_.erase(event.task.tid);
        break;
    default:
        break; // of a newer tracker
    }
}

void Account::begin_generation(std::uint64_t request_ns)
{
    request_ns_ = request_ns;
    frozen_ns_ = 0;
    frozen_tasks_.reset();
    completer_.reset();
    // A verdict may be older than the event of the request that it answers.
    if (confirmed_ns_ < request_ns)
        confirmed_ns_ = 0;
    // Not all: an arrival on another CPU may have found its place in the ring buffer before the
    // request that it answers.
    std::erase_if(arrivals_, [&](const auto &entry) { return entry.second.at_ns < request_ns; });
}

void Account::note_target(const fz_target &target)
{
    if (target.request_ns > request_ns_)
        begin_generation(target.request_ns);
    if (frozen_ns_ == 0 && request_ns_ != 0 && target.frozen_ns >= request_ns_)
        frozen_ns_ = target.frozen_ns;
}

void Account::begin_request(std::uint64_t at_ns)
{
    begin_generation(at_ns);
    in_place_.reset();
}

void Account::note_in_place(const std::vector<fz_task_row> &rows, std::uint32_t slot,
                            std::uint64_t written_ns)
{
    for (const fz_task_row &row : rows) {
        // Stopped and traced tasks have arrived nowhere: they were frozen enough.
        if ((row.jobctl & (FZ_JOBCTL_STOPPED | FZ_JOBCTL_TRACED)) != 0 ||
            (row.state & (FZ_TASK_STOPPED | FZ_TASK_TRACED)) != 0)
            continue;
        if (row.target != slot || !(row.bits & FZ_ROW_FROZEN) || row.exit_state != 0 ||
            row.arrived_ns >= request_ns_ || frozen_before_.contains({row.task.tid, row.start_ns}))
            continue;
        const auto [it, is_new] =
            arrivals_.try_emplace(row.task.tid, Arrival{written_ns, row.task.tgid});
        if (is_new)
            in_place_ =
                TaskTime{row.task.tid, row.task.tgid, comm_of(row.task), written_ns - request_ns_};
    }
}

void Account::note_before(const std::vector<fz_task_row> &rows, std::uint32_t slot)
{
    // `frozen` alone is also the mark of a stopped, traced or vfork-waiting task in a cgroup that
    // nobody froze: such a task may go on and freeze later like any other.
    constexpr std::uint32_t kHeld = FZ_ROW_FROZEN | FZ_ROW_TRAP_FREEZE;
    for (const fz_task_row &row : rows) {
        if (row.target == slot && (row.bits & kHeld) == kHeld)
            frozen_before_.emplace(row.task.tid, row.start_ns);
    }
}

std::optional<TaskTime> Account::completer() const
{
    auto completer = completer_;
    // A look may have found the mark before the event was made.
    if (completer)
        completer->after_ns = std::min(completer->after_ns, frozen_ns() - request_ns_);
    return completer;
}

// When the task reached the refrigerator since the request; 0: nothing tells.
std::uint64_t Account::arrival_of(const fz_task_row &row) const
{
    std::uint64_t at_ns = 0;
    if (request_ns_ == 0)
        return 0;
    if (const auto it = arrivals_.find(row.task.tid); it != arrivals_.end())
        at_ns = it->second.at_ns;
    else if (row.arrived_ns >= request_ns_)
        at_ns = row.arrived_ns; // its event was dropped or not asked for
    // A task is counted just before the switch that shows it, the last one before its cgroup's
    // completion: a later switch only means that its CPU took longer to get there.
    if (frozen_ns() != 0 && at_ns > frozen_ns())
        at_ns = frozen_ns();
    return at_ns;
}

Account::Reconciled Account::reconcile(const std::vector<fz_task_row> &rows,
                                       std::uint32_t slot) const
{
    // Who waits for a vfork child; where a v1 freezer holds it, its state does not tell.
    std::set<std::uint32_t> vfork_parents;
    for (const fz_task_row &row : rows) {
        if ((row.bits & FZ_ROW_VFORK) && row.exit_state == 0)
            vfork_parents.insert(row.parent_tgid);
    }
    Reconciled out;
    for (const fz_task_row &row : rows) {
        if (row.target != slot || row.exit_state != 0 || (row.flags & FZ_PF_EXITING))
            continue;
        TaskEntry entry = entry_of(row);
        const bool held = row.state & FZ_TASK_FROZEN;

        if (!entry.frozen) {
            if (row.flags & FZ_PF_KTHREAD)
                entry.note = TaskEntry::Note::kKernelThread;
            else if (row.bits & FZ_ROW_HELD_BY_V1)
                entry.note = TaskEntry::Note::kHeldByV1;
        } else if ((row.state & kTaskStopped) || (held && (row.jobctl & FZ_JOBCTL_STOPPED))) {
            entry.note = TaskEntry::Note::kStopped;
        } else if ((row.state & kTaskTraced) || (held && (row.jobctl & FZ_JOBCTL_TRACED))) {
            entry.note = TaskEntry::Note::kTraced;
        } else if (held ? vfork_parents.contains(row.task.tgid) && row.arrived_ns == 0
                        : (row.state & kTaskUninterruptible) && !(row.flags & FZ_PF_FROZEN)) {
            entry.note = TaskEntry::Note::kVfork;
        } else if (frozen_before_.contains({row.task.tid, row.start_ns})) {
            // Even if its switch came after the request: it was counted before.
            entry.note = TaskEntry::Note::kBefore;
        } else if (const std::uint64_t at_ns = arrival_of(row); at_ns != 0) {
            entry.after_ns = at_ns - request_ns_;
        } else if (request_ns_ != 0 && frozen_ns() != 0) {
            // Counted, but its switch is still to come on another CPU; or it migrated in.
            entry.after_ns = frozen_ns() - request_ns_;
        } else {
            ++out.unexplained;
        }
        out.tasks.push_back(std::move(entry));
    }
    return out;
}

} // namespace freezer
