// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "user/missing_tasks.h"

#include <algorithm>

namespace freezer
{
namespace
{

// Whether its cgroup's completion waits for it: freezing() in kernel/freezer.c, and which tasks the
// iterator of cgroup.c passes over.
bool counts(const fz_task_row &row)
{
    return row.exit_state == 0 && !(row.flags & FZ_PF_NOFREEZE);
}

} // namespace

bool MissingTasks::rebase(const std::vector<fz_task_row> &rows, std::uint32_t slot)
{
    missing_.clear();
    stale_ = false;
    written_ = false;
    bool asleep = false;
    for (const fz_task_row &row : rows) {
        if (row.target != slot || !counts(row) || (row.bits & FZ_ROW_FROZEN))
            continue;
        missing_.emplace(row.task.tid, row.task.tgid);
        asleep |= (row.state & FZ_TASK_FROZEN_BY_WRITE) != 0;
        // Asleep since before the first snapshot: its event came when nobody knew it was missing.
        // Of later ones the event tells; to write again and again for a task that no write freezes
        // would be a loop.
    }
    wants_write_ |= first_ && asleep;
    first_ = false;
    return asleep;
}

void MissingTasks::apply(const fz_event &event)
{
    switch (event.kind) {
    case FZ_EV_ARRIVED:
    case FZ_EV_LEFT:
        missing_.erase(event.task.tid);
        break;
    case FZ_EV_FORK:
        missing_.emplace(event.task.tid, event.task.tgid);
        break;
    case FZ_EV_ASLEEP:
        if (missing_.contains(event.task.tid))
            wants_write_ = true;
        break;
    case FZ_EV_MOVED: {
        // One event for a whole process, and where it came from is not told.
        const bool known = std::any_of(missing_.begin(), missing_.end(), [&](const auto &task) {
            return task.second == event.task.tgid;
        });
        stale_ |= known || (event.flags & FZ_EVF_INTO);
        break;
    }
    default:
        break;
    }
}

void MissingTasks::note_written()
{
    wants_write_ = false;
    stale_ = true;
    written_ = true;
}

} // namespace freezer
