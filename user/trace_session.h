// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#ifndef FREEZERCTL_USER_TRACE_SESSION_H
#define FREEZERCTL_USER_TRACE_SESSION_H

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "user/cgroup.h"
#include "user/mounts.h"
#include "user/result.h"
#include "user/trace_event.h"

namespace freezer
{

struct TraceOptions {
    std::uint32_t events = kAllTraceEvents; // 1 << FZ_TR_*
    // Signals, births and deaths only of tasks whose cgroup is asked to freeze.
    bool only_freezing_life = false;
    // Size of the ring buffer; rounded up to a power of two of pages. The default has room for some
    // 30,000 events, as 15,000 tasks make that freeze and thaw while nobody reads.
    std::uint32_t ring_bytes = 4 * 1024 * 1024;
    // Have the kernel measure the programs (BPF_ENABLE_STATS), for costs().
    bool measure = false;
    // Room for tasks where the kernel has no safe task storage (see fz_use_storage).
    std::uint32_t max_tasks = 65536;
};

// Events that found no room, by kind; [FZ_TRACE_DROP_RECORD]: tasks that could not be remembered.
using TraceDrops = std::array<std::uint64_t, FZ_TR_KINDS>;
std::uint64_t total(const TraceDrops &drops);

struct ProgramCost {
    std::string name;
    std::uint64_t runs = 0;
    std::uint64_t time_ns = 0;
};

// A live trace: the BPF programs of bpf/trace.bpf.c, loaded and attached for as long as this lives.
class TraceSession
{
  public:
    // Traces these cgroups and all below them, or every v2 cgroup if there is none. When it
    // returns, everything that happens from then on is told.
    static Result<TraceSession> open(const CgroupMount &mount, std::span<const Cgroup *const> tops,
                                     const TraceOptions &options);
    TraceSession(TraceSession &&) noexcept;
    TraceSession &operator=(TraceSession &&) noexcept;
    ~TraceSession();

    // Who was there at the start, as FZ_TR_MEMBER events.
    [[nodiscard]] const std::vector<TraceEvent> &members() const;

    // Sleeps until events are there, the deadline (CLOCK_MONOTONIC) passes, one of `readable` is
    // so, or the reader of the pipe `output` has gone (-1: none).
    struct Wake {
        bool events = false;
        bool deadline = false;
        bool hangup = false;
        std::optional<size_t> descriptor; // the first of `readable` that is
    };
    Result<Wake> wait(std::optional<std::uint64_t> deadline_ns, std::span<const int> readable,
                      int output = -1);

    // Hands over what is there, in the order of the ring buffer; none blocks. The handler returns
    // false to stop early. Times of one CPU ascend; those of two may be out of order by little.
    void drain(const std::function<bool(const TraceEvent &)> &handler);

    [[nodiscard]] TraceDrops drops() const;
    // By program, in the order of their file.
    [[nodiscard]] std::vector<ProgramCost> costs() const;

  private:
    struct Impl;
    explicit TraceSession(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

} // namespace freezer

#endif
