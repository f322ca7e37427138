// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#ifndef FREEZERCTL_USER_TARGET_MAPS_H
#define FREEZERCTL_USER_TARGET_MAPS_H

#include <cstdint>
#include <map>
#include <optional>

#include "user/cgroup.h"
#include "user/result.h"

namespace freezer
{

// The library's side of bpf/targets.bpf.h: which cgroups the BPF programs watch. The descriptors
// are those of the two maps and belong to the BPF object that made them.
class TargetMaps
{
  public:
    TargetMaps() = default;
    TargetMaps(int config_fd, int index_fd) : config_fd_(config_fd), index_fd_(index_fd) {}

    // Gives the cgroup the slot. A cgroup has one slot at most.
    Status watch(std::uint32_t slot, const Cgroup &cgroup);
    void unwatch(std::uint32_t slot);
    // Whether FZ_EV_MOVED is sent.
    Status watch_moves(bool on);
    // Of which signal FZ_EV_DELIVERED is sent; 0: of none.
    Status watch_signal(std::uint32_t signal);

    [[nodiscard]] int config_fd() const { return config_fd_; }
    [[nodiscard]] int index_fd() const { return index_fd_; }

  private:
    struct Entry {
        std::uint64_t id;
        std::uint32_t hierarchy;
        std::optional<std::uint32_t> level;
    };
    Status publish();

    bool watch_moves_ = false;
    std::uint32_t watch_signal_ = 0;
    int config_fd_ = -1;
    int index_fd_ = -1;
    std::map<std::uint32_t, Entry> entries_; // by slot
    // How many entries lie at each level; those of unknown level under nullopt. What is published.
    std::map<std::optional<std::uint32_t>, std::uint32_t> levels_;
};

} // namespace freezer

#endif
