// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#ifndef FREEZERCTL_USER_TRACKER_H
#define FREEZERCTL_USER_TRACKER_H

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bpf/abi.h"
#include "user/cgroup.h"
#include "user/result.h"
#include "user/target_maps.h"

namespace freezer
{

class TrackerPins;
struct PinnedTracker;

struct TrackerOptions {
    std::uint32_t max_targets = 1;
    // Send every arrival, birth and death of a task, and count them: FZ_TELL_TASKS for all targets.
    bool task_events = false;
    // Be able to watch cgroups that announce nothing (v1), and deliveries of signals. Each is more
    // to load.
    bool silent_cgroups = false;
    bool deliveries = false;
    // To be pinned and used by several processes (user/attached.h): this one has no targets and no
    // events itself. Neither silent cgroups nor deliveries can be watched then.
    bool shared = false;
    // Size of the ring buffer; rounded up to a power of two of pages. A test makes it too small.
    std::uint32_t ring_bytes = 256 * 1024;
    // Room for tasks where the kernel has no safe task storage (see fz_use_storage).
    std::uint32_t max_tasks = 65536;
};

// What the kernel side counted of one target since watch(), while FZ_FOLLOW_TASKS asked for it.
struct TargetCounts {
    std::uint64_t arrived = 0;
    std::uint64_t forked = 0;
    std::uint64_t exited = 0;
    std::optional<fz_task> slowest; // the last to arrive
    std::uint64_t slowest_ns = 0;   // when it did
};

// The BPF programs of bpf/tracker.bpf.c, loaded and attached for as long as this lives.
//
// A slot is a small number below max_targets that the caller gives to a cgroup; events carry it.
class Tracker
{
  public:
    // Loads and attaches. An error names what is missing (BTF, a capability, a tracepoint).
    static Result<Tracker> open(const TrackerOptions &options);
    // One that another process opened as shared and pinned.
    static Result<Tracker> open_pinned(PinnedTracker pinned, const TrackerOptions &options);
    // Makes a shared one outlive this process, with a ring buffer for each client.
    [[nodiscard]] Status pin(const TrackerPins &pins, std::uint32_t ring_bytes) const;
    // The tracepoints that its programs attach to, whether the kernel has them or not.
    static std::vector<std::string> tracepoints();
    Tracker(Tracker &&) noexcept;
    Tracker &operator=(Tracker &&) noexcept;
    ~Tracker();

    // Starts an account for the cgroup and all below it; what the slot held is forgotten. EBUSY: it
    // is watched already, which on a shared tracker another process may do.
    Status watch(std::uint32_t slot, const Cgroup &cgroup);
    void unwatch(std::uint32_t slot);
    // Held around many of those, it spares each the lock of a shared tracker.
    [[nodiscard]] TargetMaps::Lock lock_targets();
    // Which events (FZ_WAKE_*) make event_fd() readable at once.
    void set_wake(std::uint32_t slot, std::uint32_t mask);
    // None any more; what was counted goes on to be.
    void stop_wakes(std::uint32_t slot);
    // Whether every task that is moved between cgroups, anywhere, makes an event (FZ_EV_MOVED) that
    // wakes. Off at first.
    void watch_moves(bool on);
    // Whether every delivery of this signal to a task of a target, and every one of SIGKILL, makes
    // an event (FZ_EV_DELIVERED) that wakes. 0: none; so at first.
    void watch_signal(std::uint32_t signal);
    // Tells the kernel side of a request to freeze, where the kernel itself does not: arrivals
    // count from then on.
    void begin_request(std::uint32_t slot, std::uint64_t at_ns);
    // Grows when an event of the target found no room, or when the kernel did not tell of a birth
    // or a move on the machine (missed_runs()).
    [[nodiscard]] std::uint32_t lost(std::uint32_t slot) const;

    // Readable (EPOLLIN) when events wait that were worth a wake-up.
    [[nodiscard]] int event_fd() const;
    // Hands over every event that is there, in the order of the ring buffer; none blocks.
    void drain(const std::function<void(const fz_event &)> &handler);

    // What is kept of the target itself: the times of its last request and completion.
    [[nodiscard]] fz_target target(std::uint32_t slot) const;
    Result<TargetCounts> counts(std::uint32_t slot) const;
    // Events and records that found no room since open(), all kinds together.
    [[nodiscard]] std::uint64_t dropped() const;
    // Exits, of any task of the machine, that the kernel did not tell of; see missed_runs().
    [[nodiscard]] std::uint64_t missed_exits() const;
    // Deliveries of signals, to any task of the machine, that made no event.
    [[nodiscard]] std::uint64_t missed_deliveries() const;

    // For a task snapshot beside this tracker: the same targets and records.
    [[nodiscard]] const TargetMaps &targets() const;
    [[nodiscard]] bool records_in_storage() const;
    [[nodiscard]] int records_fd() const;
    // Where it was opened from, or nullptr; and what the kernel side calls its slot 0.
    [[nodiscard]] const PinnedTracker *pinned() const;
    [[nodiscard]] std::uint32_t first_slot() const;
    [[nodiscard]] std::uint32_t max_targets() const;
    // What TrackerOptions asked for.
    [[nodiscard]] bool watches_silent_cgroups() const;
    [[nodiscard]] bool watches_deliveries() const;

  private:
    struct Impl;
    explicit Tracker(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

} // namespace freezer

#endif
