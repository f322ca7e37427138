// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "user/target_maps.h"

#include <bpf/bpf.h>

#include "bpf/abi.h"

namespace freezer
{

Status TargetMaps::watch(std::uint32_t slot, const Cgroup &cgroup)
{
    const fz_cgroup_key key{cgroup.id(), cgroup.hierarchy_id(), 0};
    if (const int rc = bpf_map_update_elem(index_fd_, &key, &slot, BPF_ANY); rc != 0)
        return Error::from_errno(-rc, "watch " + cgroup.path());
    entries_[slot] = Entry{key.id, key.hierarchy, cgroup.level()};
    if (++levels_[cgroup.level()] == 1)
        return publish();
    return {};
}

void TargetMaps::unwatch(std::uint32_t slot)
{
    const auto it = entries_.find(slot);
    if (it == entries_.end())
        return;
    const fz_cgroup_key key{it->second.id, it->second.hierarchy, 0};
    (void)bpf_map_delete_elem(index_fd_, &key);
    const auto level = levels_.find(it->second.level);
    entries_.erase(it);
    if (--level->second > 0)
        return;
    levels_.erase(level);
    // A level too many only costs a lookup.
    (void)publish();
}

Status TargetMaps::watch_moves(bool on)
{
    if (watch_moves_ == on)
        return {};
    watch_moves_ = on;
    return publish();
}

Status TargetMaps::watch_signal(std::uint32_t signal)
{
    if (watch_signal_ == signal)
        return {};
    watch_signal_ = signal;
    return publish();
}

Status TargetMaps::publish()
{
    fz_config config{};
    config.watch_moves = watch_moves_;
    config.watch_signal = watch_signal_;
    const bool all = levels_.contains(std::nullopt) || levels_.size() > FZ_LEVELS_MAX;
    if (all) {
        // An unknown level may be any; the tree is rarely deeper than this (cgroup.max.depth).
        for (std::uint32_t level = 0; level < FZ_LEVELS_MAX; ++level)
            config.levels[config.level_count++] = level;
    } else {
        for (const auto &[level, count] : levels_)
            config.levels[config.level_count++] = *level;
    }
    const std::uint32_t zero = 0;
    if (const int rc = bpf_map_update_elem(config_fd_, &zero, &config, BPF_ANY); rc != 0)
        return Error::from_errno(-rc, "configure the BPF programs");
    return {};
}

} // namespace freezer
