// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#ifndef FREEZERCTL_USER_MISSING_TASKS_H
#define FREEZERCTL_USER_MISSING_TASKS_H

#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

#include "bpf/abi.h"

namespace freezer
{

// Which tasks of a target are not frozen yet, where the kernel does not say when all of them are
// (Cgroup::announces()): a task snapshot, kept current by what the tasks do. Pure: no kernel, no
// clock.
//
// An event may tell of what the snapshot has shown already: nothing here minds. Whatever events
// cannot settle asks for a new snapshot.
class MissingTasks
{
  public:
    // A snapshot that was taken after the request was written. Events from before it may still
    // come. Returns whether a task sleeps in a way that a write freezes, and yet is not frozen.
    bool rebase(const std::vector<fz_task_row> &rows, std::uint32_t slot);
    void apply(const fz_event &event);
    // Events of the target found no room.
    void note_lost() { stale_ = true; }
    // A request was written: what it froze in place makes no event.
    void note_written();

    // Only a new snapshot tells.
    [[nodiscard]] bool stale() const { return stale_; }
    // One of them fell asleep in a way that only another write freezes.
    [[nodiscard]] bool wants_write() const { return wants_write_; }
    // Every task is frozen, as far as can be told.
    [[nodiscard]] bool none() const { return !stale_ && missing_.empty(); }
    // note_written() was called since the last snapshot.
    [[nodiscard]] bool was_written() const { return written_; }
    [[nodiscard]] size_t count() const { return missing_.size(); }

  private:
    bool stale_ = true; // before the first snapshot
    bool first_ = true;
    bool wants_write_ = false;
    bool written_ = false;
    std::map<std::uint32_t, std::uint32_t> missing_; // tid to tgid
};

} // namespace freezer

#endif
