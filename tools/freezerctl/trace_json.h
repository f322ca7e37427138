// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// A trace as JSON, one object on one line, and back.
#ifndef FREEZERCTL_TOOLS_TRACE_JSON_H
#define FREEZERCTL_TOOLS_TRACE_JSON_H

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "user/trace_event.h"
#include "user/trace_session.h"

namespace freezerctl
{

// The first line of a stream.
struct TraceStart {
    std::uint64_t time_ns = 0;        // CLOCK_MONOTONIC
    std::uint64_t wall_ns = 0;        // the same moment since 1970
    std::vector<std::string> cgroups; // empty: all
    std::string kernel;               // uname -r

    bool operator==(const TraceStart &) const = default;
};

// The last one.
struct TraceEnd {
    std::uint64_t time_ns = 0;
    std::uint64_t events = 0;
    freezer::TraceDrops drops{};

    bool operator==(const TraceEnd &) const = default;
};

// Grows when a field changes its meaning or goes; new fields do not change it.
constexpr int kTraceSchema = 1;

// Without the line's end. Valid UTF-8 and free of control characters whatever the names hold.
std::string to_json(const TraceStart &start);
std::string to_json(const freezer::TraceEvent &event);
std::string to_json(const TraceEnd &end, const std::vector<freezer::ProgramCost> &costs);

// What a line says; monostate for an object of a kind that this version does not know. nullopt when
// it is not an object of this schema.
using TraceLine = std::variant<std::monostate, TraceStart, freezer::TraceEvent, TraceEnd>;
std::optional<TraceLine> parse_trace_line(std::string_view json);

// The JSON Schema (draft 2020-12) of a line.
std::string trace_schema();

} // namespace freezerctl

#endif
