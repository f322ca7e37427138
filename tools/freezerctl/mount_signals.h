// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#ifndef FREEZERCTL_TOOLS_MOUNT_SIGNALS_H
#define FREEZERCTL_TOOLS_MOUNT_SIGNALS_H

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "user/cgroup.h"
#include "user/signal_all.h"

namespace freezerctl
{

// Signals to frozen cgroups that wait in this server for the thaw (--deferred-signals), since the
// kernel's v2 freezer lets a frozen process die of a signal at once.
class DeferredSignals
{
  public:
    // Told of each cgroup that something is queued for, to call deliver() when it is thawed.
    std::function<void(const freezer::Cgroup &)> on_queued;

    // For each process that is in the cgroup or below it now.
    freezer::Status queue(freezer::Cgroup &cgroup, int signal);
    // Sends what waits for the cgroup, in the order it came.
    void deliver(std::uint64_t cgroup_id);

  private:
    struct Waiting {
        int signal;
        std::vector<freezer::MemberProcess> processes;
    };
    std::mutex mutex_;
    std::map<std::uint64_t, std::vector<Waiting>> by_cgroup_;
};

} // namespace freezerctl

#endif
