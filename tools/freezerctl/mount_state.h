// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// The states of freezer.state as the file system tells them apart, and reading them.
#ifndef FREEZERCTL_TOOLS_MOUNT_STATE_H
#define FREEZERCTL_TOOLS_MOUNT_STATE_H

#include <mutex>
#include <utility>

#include "user/freezer.h"

namespace freezerctl
{

// One for each word of the file, and two that have none.
enum class Phase { kNever, kThawed, kFreezing, kFrozen, kGone };

Phase phase_of(freezer::State state);
// kGone where the error says that the cgroup was removed; nothing else is an answer.
freezer::Result<Phase> phase_of(const freezer::Result<freezer::State> &state);

// The library's reading of a state, for several threads.
class StateReader
{
  public:
    explicit StateReader(freezer::Freezer freezer) : freezer_(std::move(freezer)) {}
    freezer::Result<freezer::State> state(freezer::Cgroup &cgroup)
    {
        const std::lock_guard lock(mutex_);
        return freezer_.state(cgroup);
    }

  private:
    std::mutex mutex_;
    freezer::Freezer freezer_; // serves one thread at a time
};

} // namespace freezerctl

#endif
