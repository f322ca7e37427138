// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#ifndef FREEZERCTL_USER_TRACE_EVENT_H
#define FREEZERCTL_USER_TRACE_EVENT_H

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bpf/abi.h"
#include "user/result.h"

namespace freezer
{

struct TraceTask {
    std::uint32_t tid = 0;
    std::uint32_t tgid = 0;
    std::uint32_t uid = 0;
    std::string comm; // any bytes

    bool operator==(const TraceTask &) const = default;
};

struct TraceCgroup {
    std::uint64_t id = 0; // 0: none
    std::string path;     // below the mount; empty: it was gone before it could be looked up

    bool operator==(const TraceCgroup &) const = default;
};

// One event of a trace, with all that is known of it: what fz_trace_event says, and names.
struct TraceEvent {
    fz_trace_kind kind = FZ_TR_MEMBER;
    std::uint32_t flags = 0; // FZ_TRF_*
    std::uint64_t time_ns = 0;
    TraceCgroup cgroup;         // the cgroup, or the task's
    std::uint64_t since_ns = 0; // FZ_TR_REACHED: the request; FZ_TR_LEFT: the arrival; 0: not told
    std::uint32_t value = 0;    // see fz_trace_kind
    std::uint32_t result = 0;   // FZ_TR_SIGNAL
    TraceTask task;             // tid 0: none
    TraceTask actor;
    TraceCgroup actor_cgroup; // id 0: no actor
    TraceCgroup from;         // FZ_TR_MOVED; id 0: not known

    [[nodiscard]] bool has_actor() const { return actor_cgroup.id != 0; }
    bool operator==(const TraceEvent &) const = default;
};

// "freeze", "reached", "populated", "empty" ...: a kind has two names where `value` tells them
// apart.
const char *event_name(fz_trace_kind kind, std::uint32_t value);
// The kind and, in `value`, which of the two; nullopt for another word.
std::optional<std::pair<fz_trace_kind, std::uint32_t>> parse_event_name(std::string_view name);

// What --events chooses from: a word and the kinds it stands for, as bits.
struct EventGroup {
    const char *name;
    std::uint32_t mask;
};
const std::vector<EventGroup> &event_groups();
constexpr std::uint32_t kAllTraceEvents = (1U << FZ_TR_KINDS) - 1 - (1U << FZ_TR_MEMBER);
constexpr std::uint32_t kLifeTraceEvents =
    1U << FZ_TR_SIGNAL | 1U << FZ_TR_DELIVER | 1U << FZ_TR_FORK | 1U << FZ_TR_EXIT;
// "reached,left" or "tasks,signals" as a mask. kInvalid names the word that is none.
Result<std::uint32_t> parse_event_list(std::string_view list);

// "SIGKILL", "SIGRTMIN+3", "signal 99".
std::string signal_name(std::uint32_t number);
// What became of a generated signal (TRACE_SIGNAL_* of include/trace/events/signal.h).
const char *signal_result(std::uint32_t result);

} // namespace freezer

#endif
