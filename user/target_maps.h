// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#ifndef FREEZERCTL_USER_TARGET_MAPS_H
#define FREEZERCTL_USER_TARGET_MAPS_H

#include <cstdint>
#include <map>
#include <optional>

#include "bpf/abi.h"
#include "user/cgroup.h"
#include "user/mapped.h"
#include "user/result.h"

namespace freezer
{

// The library's side of bpf/targets.bpf.h: which cgroups the BPF programs watch. The descriptors
// are those of the two maps and belong to the BPF object that made them.
//
// Other processes may do the same to the same maps (user/attached.h): `lock_fd` is then what is
// locked (flock(2)) while the levels change, and `client` this process's number among them.
class TargetMaps
{
  public:
    struct Entry {
        std::uint64_t id = 0;
        std::uint32_t hierarchy = 0;
        std::uint32_t level = FZ_ANY_LEVEL;
    };

    // The lock, for as long as it lives; none where nobody else is there. Not beyond its
    // TargetMaps.
    class Lock
    {
      public:
        explicit Lock(TargetMaps &maps);
        Lock(const Lock &) = delete;
        Lock &operator=(const Lock &) = delete;
        ~Lock();

      private:
        TargetMaps &maps_;
    };
    // One within another is the same one.
    [[nodiscard]] Lock lock() { return Lock(*this); }

    TargetMaps() = default;
    static Result<TargetMaps> map(int config_fd, int index_fd, int lock_fd = -1,
                                  std::uint32_t client = 0);

    // Gives the cgroup the slot. A cgroup has one slot at most: EBUSY where it has another.
    Status watch(std::uint32_t slot, const Cgroup &cgroup);
    void unwatch(std::uint32_t slot);
    // Takes back what a process that is gone has left in the slot, if it came so far.
    void remove(std::uint32_t slot, const Entry &entry);
    // Whether FZ_EV_MOVED is sent.
    void watch_moves(bool on);
    // Whether single arrivals are followed on v2: see FZ_FOLLOW_TASKS.
    void follow_tasks(bool on);
    // Of which signal FZ_EV_DELIVERED is sent; 0: of none.
    void watch_signal(std::uint32_t signal);

    static Entry entry_of(const Cgroup &cgroup);
    [[nodiscard]] int config_fd() const { return config_fd_; }
    [[nodiscard]] int index_fd() const { return index_fd_; }

  private:
    // Sets or clears our bit in a word that has one for each client.
    void flag(unsigned int &clients, bool on) const;
    // These under the lock.
    void take_out(const Entry &entry);
    Status add_level(std::uint32_t level);
    void drop_level(std::uint32_t level);

    Mapped<fz_config> config_;
    int config_fd_ = -1;
    int index_fd_ = -1;
    int lock_fd_ = -1;
    int locks_ = 0; // how many Lock there are
    std::uint32_t client_ = 0;
    std::map<std::uint32_t, Entry> entries_; // by slot
};

} // namespace freezer

#endif
