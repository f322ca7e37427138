// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "user/target_maps.h"

#include <bpf/bpf.h>
#include <sys/file.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace freezer
{
namespace
{

fz_cgroup_key key_of(const TargetMaps::Entry &entry)
{
    return {entry.id, entry.hierarchy, 0};
}

} // namespace

TargetMaps::Lock::Lock(TargetMaps &maps) : maps_(maps)
{
    if (maps_.locks_++ == 0 && maps_.lock_fd_ >= 0)
        (void)::flock(maps_.lock_fd_, LOCK_EX);
}

TargetMaps::Lock::~Lock()
{
    if (--maps_.locks_ == 0 && maps_.lock_fd_ >= 0)
        (void)::flock(maps_.lock_fd_, LOCK_UN);
}

Result<TargetMaps> TargetMaps::map(int config_fd, int index_fd, int lock_fd, std::uint32_t client)
{
    auto config = Mapped<fz_config>::map(config_fd, 1, "configuration");
    if (!config)
        return std::move(config).error();
    TargetMaps maps;
    maps.config_ = std::move(*config);
    maps.config_fd_ = config_fd;
    maps.index_fd_ = index_fd;
    maps.lock_fd_ = lock_fd;
    maps.client_ = client;
    return maps;
}

TargetMaps::Entry TargetMaps::entry_of(const Cgroup &cgroup)
{
    return {cgroup.id(), cgroup.hierarchy_id(), cgroup.level().value_or(FZ_ANY_LEVEL)};
}

Status TargetMaps::watch(std::uint32_t slot, const Cgroup &cgroup)
{
    unwatch(slot);
    const Entry entry = entry_of(cgroup);
    const fz_cgroup_key key = key_of(entry);
    const Lock locked(*this);
    if (const int rc = bpf_map_update_elem(index_fd_, &key, &slot, BPF_NOEXIST); rc != 0)
        return Error::from_errno(rc == -EEXIST ? EBUSY : -rc, "watch " + cgroup.path());
    if (auto added = add_level(entry.level); !added) {
        (void)bpf_map_delete_elem(index_fd_, &key);
        return added;
    }
    entries_[slot] = entry;
    return {};
}

void TargetMaps::unwatch(std::uint32_t slot)
{
    const auto it = entries_.find(slot);
    if (it == entries_.end())
        return;
    const Lock locked(*this);
    take_out(it->second);
    entries_.erase(it);
}

void TargetMaps::remove(std::uint32_t slot, const Entry &entry)
{
    const fz_cgroup_key key = key_of(entry);
    const Lock locked(*this);
    std::uint32_t watcher = 0;
    if (bpf_map_lookup_elem(index_fd_, &key, &watcher) != 0 || watcher != slot)
        return; // another's
    take_out(entry);
}

void TargetMaps::take_out(const Entry &entry)
{
    const fz_cgroup_key key = key_of(entry);
    (void)bpf_map_delete_elem(index_fd_, &key);
    drop_level(entry.level);
}

// The programs read the levels while they change. So a level is complete before it is counted, and
// none that is used ever moves: one without users stays until all behind it have none either, which
// only costs a lookup.
Status TargetMaps::add_level(std::uint32_t level)
{
    if (level == FZ_ANY_LEVEL) {
        // It may be any; the tree is rarely deeper than this (cgroup.max.depth).
        for (std::uint32_t any = 0; any < FZ_LEVELS_MAX; ++any) {
            if (auto added = add_level(any); !added) {
                while (any-- > 0)
                    drop_level(any);
                return added;
            }
        }
        return {};
    }
    fz_config &config = config_[0];
    const std::uint32_t count = config.level_count;
    const auto found = static_cast<std::uint32_t>(
        std::find(config.levels, config.levels + count, level) - config.levels);
    if (found < count) {
        ++config.level_users[found];
        return {};
    }
    const auto unused = static_cast<std::uint32_t>(
        std::find(config.level_users, config.level_users + count, 0U) - config.level_users);
    if (unused == FZ_LEVELS_MAX)
        return Error{ErrorKind::kUnsupported, 0,
                     "targets at more than " + std::to_string(FZ_LEVELS_MAX) + " depths"};
    __atomic_store_n(&config.levels[unused], level, __ATOMIC_RELAXED);
    config.level_users[unused] = 1;
    if (unused == count)
        __atomic_store_n(&config.level_count, count + 1, __ATOMIC_RELEASE);
    return {};
}

void TargetMaps::drop_level(std::uint32_t level)
{
    if (level == FZ_ANY_LEVEL) {
        for (std::uint32_t any = 0; any < FZ_LEVELS_MAX; ++any)
            drop_level(any);
        return;
    }
    fz_config &config = config_[0];
    std::uint32_t count = config.level_count;
    const auto found = static_cast<std::uint32_t>(
        std::find(config.levels, config.levels + count, level) - config.levels);
    if (found == count || config.level_users[found] == 0)
        return;
    --config.level_users[found];
    while (count > 0 && config.level_users[count - 1] == 0)
        --count;
    __atomic_store_n(&config.level_count, count, __ATOMIC_RELAXED);
}

void TargetMaps::watch_moves(bool on)
{
    flag(config_->watch_moves, on);
}

void TargetMaps::follow_tasks(bool on)
{
    flag(config_->follow_tasks, on);
}

void TargetMaps::flag(unsigned int &clients, bool on) const
{
    const std::uint32_t bit = 1U << client_;
    if (on)
        __atomic_fetch_or(&clients, bit, __ATOMIC_RELAXED);
    else
        __atomic_fetch_and(&clients, ~bit, __ATOMIC_RELAXED);
}

void TargetMaps::watch_signal(std::uint32_t signal)
{
    __atomic_store_n(&config_->watch_signal, signal, __ATOMIC_RELAXED);
}

} // namespace freezer
