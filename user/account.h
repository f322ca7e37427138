// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#ifndef FREEZERCTL_USER_ACCOUNT_H
#define FREEZERCTL_USER_ACCOUNT_H

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "bpf/abi.h"
#include "user/report.h"

namespace freezer
{

// What the events of one target tell, in the order of their arrival: who asked, who arrived. Pure:
// no kernel, no clock. Events may be missing; reconcile() says which tasks that left unexplained.
class Account
{
  public:
    void apply(const fz_event &event);

    // The last requests by another process than this one.
    [[nodiscard]] const std::optional<Actor> &foreign_freeze() const { return foreign_freeze_; }
    [[nodiscard]] const std::optional<Actor> &foreign_thaw() const { return foreign_thaw_; }
    [[nodiscard]] const std::optional<Actor> &foreign_kill() const { return foreign_kill_; }
    [[nodiscard]] const std::optional<Actor> &remover() const { return remover_; }
    // The last request to freeze, whoever made it, and the completion after it; 0: none seen.
    [[nodiscard]] std::uint64_t request_ns() const { return request_ns_; }
    [[nodiscard]] std::uint64_t frozen_ns() const
    {
        return confirmed_ns_ != 0 ? confirmed_ns_ : frozen_ns_;
    }
    // How many tasks of its own the kernel counted when it called the target frozen, if it told.
    [[nodiscard]] std::optional<std::uint32_t> frozen_tasks() const { return frozen_tasks_; }
    // And when it was last asked to thaw it, before any of them ran.
    [[nodiscard]] std::optional<std::uint32_t> thawed_tasks() const { return thawed_tasks_; }
    // The task whose arrival was that completion, if one's was.
    [[nodiscard]] std::optional<TaskTime> completer() const;
    [[nodiscard]] std::uint64_t empty_ns() const { return empty_ns_; }
    // Distinct tasks that arrived since the request and have not exited.
    [[nodiscard]] size_t arrived() const { return arrivals_.size(); }

    // What the kernel side keeps of the target itself, which stands in for events that were
    // dropped.
    void note_target(const fz_target &target);
    // The target was found frozen at that time, where the kernel's own notification does not mean
    // it (in a cgroup with tasks and children it comes too early, or more than once) or is still to
    // come: the kernel sets the mark first (cgroup_update_frozen(), kernel/cgroup/freezer.c).
    void note_confirmed(std::uint64_t at_ns) { confirmed_ns_ = at_ns; }
    // A request to freeze by this process, where the kernel makes no event of it.
    void begin_request(std::uint64_t at_ns);
    // A task snapshot from after a request was written at that time: tasks that are frozen and made
    // no event were frozen by the writer, where they slept.
    void note_in_place(const std::vector<fz_task_row> &rows, std::uint32_t slot,
                       std::uint64_t written_ns);
    // The last of those, if there are any.
    [[nodiscard]] const std::optional<TaskTime> &frozen_in_place() const { return in_place_; }

    // A task snapshot from before the request: what the freezer holds in it makes no event at the
    // freeze.
    void note_before(const std::vector<fz_task_row> &rows, std::uint32_t slot);

    // Joins the arrivals with a task snapshot of the target: one entry for each living task in it.
    struct Reconciled {
        std::vector<TaskEntry> tasks;
        // Frozen tasks of which nothing says when they froze.
        size_t unexplained = 0;
    };
    [[nodiscard]] Reconciled reconcile(const std::vector<fz_task_row> &rows,
                                       std::uint32_t slot) const;

  private:
    struct Arrival {
        std::uint64_t at_ns;
        std::uint32_t tgid;
    };

    std::uint64_t request_ns_ = 0;
    std::uint64_t frozen_ns_ = 0;
    std::uint64_t confirmed_ns_ = 0;
    std::uint64_t empty_ns_ = 0;
    std::optional<std::uint32_t> frozen_tasks_; // of the completion at frozen_ns_, as ...
    std::optional<std::uint32_t> thawed_tasks_;
    std::optional<TaskTime> completer_;
    std::optional<Actor> foreign_freeze_;
    std::optional<Actor> foreign_thaw_;
    std::optional<Actor> foreign_kill_;
    std::optional<Actor> remover_;
    std::optional<TaskTime> in_place_;
    std::map<std::uint32_t, Arrival> arrivals_;                       // by tid
    std::set<std::pair<std::uint32_t, std::uint64_t>> frozen_before_; // tid and start time

    void begin_generation(std::uint64_t request_ns);
    [[nodiscard]] std::uint64_t arrival_of(const fz_task_row &row) const;
};

// The bytes of a task's name up to its end.
std::string comm_of(const fz_task &task);

// What a row says of its task, without a note.
TaskEntry entry_of(const fz_task_row &row);

// The letter that /proc/PID/stat would show ("R", "S", "D", "T", "t", "Z", "X", "I").
char state_letter(const fz_task_row &row);

} // namespace freezer

#endif
