// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "user/trace_event.h"

#include <algorithm>
#include <array>
#include <csignal>
#include <cstring>

namespace freezer
{
namespace
{

constexpr std::uint32_t bit(fz_trace_kind kind)
{
    return 1U << kind;
}

struct Name {
    const char *name;
    fz_trace_kind kind;
    std::uint32_t value;
};

constexpr std::array kNames{
    Name{"member", FZ_TR_MEMBER, 0},       Name{"freeze", FZ_TR_FREEZE, 0},
    Name{"thaw", FZ_TR_THAW, 0},           Name{"reached", FZ_TR_REACHED, 0},
    Name{"left", FZ_TR_LEFT, 0},           Name{"unfrozen", FZ_TR_FROZEN, 0},
    Name{"frozen", FZ_TR_FROZEN, 1},       Name{"empty", FZ_TR_POPULATED, 0},
    Name{"populated", FZ_TR_POPULATED, 1}, Name{"made", FZ_TR_MADE, 0},
    Name{"removed", FZ_TR_REMOVED, 0},     Name{"signal", FZ_TR_SIGNAL, 0},
    Name{"deliver", FZ_TR_DELIVER, 0},     Name{"fork", FZ_TR_FORK, 0},
    Name{"exit", FZ_TR_EXIT, 0},           Name{"moved", FZ_TR_MOVED, 0},
};

bool has_two_names(fz_trace_kind kind)
{
    return kind == FZ_TR_FROZEN || kind == FZ_TR_POPULATED;
}

} // namespace

const char *event_name(fz_trace_kind kind, std::uint32_t value)
{
    for (const Name &name : kNames) {
        if (name.kind == kind && (!has_two_names(kind) || name.value == (value != 0 ? 1U : 0U)))
            return name.name;
    }
    return "unknown";
}

std::optional<std::pair<fz_trace_kind, std::uint32_t>> parse_event_name(std::string_view word)
{
    for (const Name &name : kNames) {
        if (word == name.name)
            return std::pair{name.kind, name.value};
    }
    return std::nullopt;
}

const std::vector<EventGroup> &event_groups()
{
    static const std::vector<EventGroup> groups{
        {"all", kAllTraceEvents},
        {"requests", bit(FZ_TR_FREEZE) | bit(FZ_TR_THAW)},
        {"tasks", bit(FZ_TR_REACHED) | bit(FZ_TR_LEFT)},
        {"cgroups",
         bit(FZ_TR_FROZEN) | bit(FZ_TR_POPULATED) | bit(FZ_TR_MADE) | bit(FZ_TR_REMOVED)},
        {"signals", bit(FZ_TR_SIGNAL) | bit(FZ_TR_DELIVER)},
        {"life", bit(FZ_TR_FORK) | bit(FZ_TR_EXIT) | bit(FZ_TR_MOVED)},
        {"freeze", bit(FZ_TR_FREEZE)},
        {"thaw", bit(FZ_TR_THAW)},
        {"reached", bit(FZ_TR_REACHED)},
        {"left", bit(FZ_TR_LEFT)},
        {"frozen", bit(FZ_TR_FROZEN)},
        {"populated", bit(FZ_TR_POPULATED)},
        {"made", bit(FZ_TR_MADE)},
        {"removed", bit(FZ_TR_REMOVED)},
        {"signal", bit(FZ_TR_SIGNAL)},
        {"deliver", bit(FZ_TR_DELIVER)},
        {"fork", bit(FZ_TR_FORK)},
        {"exit", bit(FZ_TR_EXIT)},
        {"moved", bit(FZ_TR_MOVED)},
    };
    return groups;
}

Result<std::uint32_t> parse_event_list(std::string_view list)
{
    std::uint32_t mask = 0;
    for (size_t start = 0; start <= list.size();) {
        const size_t end = std::min(list.find(',', start), list.size());
        const std::string_view word = list.substr(start, end - start);
        const auto &groups = event_groups();
        const auto found = std::find_if(groups.begin(), groups.end(), [&](const EventGroup &group) {
            return word == group.name;
        });
        if (found == groups.end()) {
            std::string known;
            for (const EventGroup &group : groups)
                known += (known.empty() ? "" : ", ") + std::string(group.name);
            return Error{ErrorKind::kInvalid, 0,
                         "'" + std::string(word) + "' is no event: " + known};
        }
        mask |= found->mask;
        start = end + 1;
    }
    return mask;
}

std::string signal_name(std::uint32_t number)
{
    // sigabbrev_np(3), glibc 2.32.
    const char *const name = ::sigabbrev_np(static_cast<int>(number));
    if (name)
        return std::string("SIG") + name;
    // The kernel's first real-time signal, SIGRTMIN of include/uapi/asm-generic/signal.h, is 32;
    // the C library keeps two for itself and calls the rest by their distance from 34.
    const auto first = static_cast<std::uint32_t>(SIGRTMIN);
    if (number >= first && number <= static_cast<std::uint32_t>(SIGRTMAX))
        return number == first ? "SIGRTMIN" : "SIGRTMIN+" + std::to_string(number - first);
    return "signal " + std::to_string(number);
}

const char *signal_result(std::uint32_t result)
{
    static constexpr std::array kResults{"delivered", "ignored", "already-pending", "overflow-fail",
                                         "lose-info"};
    return result < kResults.size() ? kResults[result] : "unknown";
}

} // namespace freezer
