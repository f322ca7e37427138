// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#ifndef FREEZERCTL_USER_TASK_SNAPSHOT_H
#define FREEZERCTL_USER_TASK_SNAPSHOT_H

#include <cstdint>
#include <memory>
#include <vector>

#include "bpf/abi.h"
#include "user/cgroup.h"
#include "user/result.h"

namespace freezer
{

class Tracker;
class TrackerPins;

// One pass over the tasks of some cgroups with everything below them, by the BPF task iterator:
// zombies included, in the order of their ids within a hierarchy. Only tasks of this process's pid
// namespace.
class TaskSnapshot
{
  public:
    // Sees the tracker's targets, by its slots, and the times of arrival that it recorded. The
    // tracker must outlive this.
    static Result<TaskSnapshot> beside(const Tracker &tracker);
    // Stands alone: sees what watch() names, and no times of arrival. `silent`: the cgroups may be
    // of those that announce nothing (Cgroup::announces()).
    static Result<TaskSnapshot> open(std::uint32_t max_targets, bool silent = false);

    TaskSnapshot(TaskSnapshot &&) noexcept;
    TaskSnapshot &operator=(TaskSnapshot &&) noexcept;
    ~TaskSnapshot();

    // As open() was told, or as the tracker's.
    [[nodiscard]] bool watches_silent_cgroups() const;
    Status watch(std::uint32_t slot, const Cgroup &cgroup);
    void unwatch(std::uint32_t slot);

    // Makes one beside a shared tracker outlive this process.
    [[nodiscard]] Status pin(const TrackerPins &pins) const;

    // A task below several targets has a row for each of them.
    Result<std::vector<fz_task_row>> take() const;

  private:
    struct Impl;
    explicit TaskSnapshot(std::unique_ptr<Impl> impl);
    static Result<TaskSnapshot> load(const Tracker *tracker, std::uint32_t max_targets,
                                     bool silent);
    std::unique_ptr<Impl> impl_;
};

} // namespace freezer

#endif
