// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "user/duration.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <ctime>
#include <limits>

namespace freezer
{

std::uint64_t now_ns()
{
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 +
           static_cast<std::uint64_t>(now.tv_nsec);
}

std::uint64_t later(std::uint64_t at_ns, std::uint64_t after_ns)
{
    return at_ns + std::min(after_ns, std::numeric_limits<std::uint64_t>::max() - at_ns);
}

Result<std::optional<std::uint64_t>> parse_timeout(std::string_view text)
{
    struct Unit {
        std::string_view name;
        double ns;
    };
    static constexpr std::array<Unit, 8> kUnits{{{"", 1e9},
                                                 {"ns", 1},
                                                 {"us", 1e3},
                                                 {"ms", 1e6},
                                                 {"s", 1e9},
                                                 {"m", 60e9},
                                                 {"min", 60e9},
                                                 {"h", 3600e9}}};

    if (text == "infinity" || text == "never")
        return std::optional<std::uint64_t>();

    const auto malformed = [&] {
        return Error{ErrorKind::kInvalid, 0,
                     "'" + std::string(text) +
                         "' is not a duration: write 10s, 1.5s, 250ms, 2m or infinity"};
    };
    double number = 0;
    const char *const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, number, std::chars_format::fixed);
    if (error != std::errc() || !std::isfinite(number) || std::signbit(number))
        return malformed();
    const std::string_view suffix(stop, static_cast<size_t>(end - stop));
    for (const Unit &unit : kUnits) {
        if (unit.name != suffix)
            continue;
        const double ns = number * unit.ns;
        constexpr std::int64_t kLongest = std::numeric_limits<std::int64_t>::max() / 2;
        if (ns > static_cast<double>(kLongest))
            return malformed();
        return std::optional(static_cast<std::uint64_t>(ns));
    }
    return malformed();
}

// In whole numbers: to print one with a floating point touches three pages, while a report waits.
std::string format_duration(std::uint64_t ns)
{
    struct Scale {
        std::uint64_t ns;
        bool decimals; // may have some
        const char *unit;
    };
    static constexpr std::array<Scale, 3> kScales{
        {{1'000'000'000, true, " s"}, {1'000'000, true, " ms"}, {1'000, false, " us"}}};

    for (const Scale &scale : kScales) {
        // 999.6 us rounds to "1000 us", which is better said as "1.00 ms".
        if (ns < scale.ns - scale.ns / 2000)
            continue;
        std::uint64_t parts = 1; // of the unit, that are told
        if (scale.decimals && ns < scale.ns * 10 - scale.ns / 200)
            parts = 100;
        else if (scale.decimals && ns < scale.ns * 100 - scale.ns / 20)
            parts = 10;
        const std::uint64_t part_ns = scale.ns / parts;
        const std::uint64_t rounded = ns / part_ns + (ns % part_ns >= part_ns / 2 ? 1 : 0);
        std::string text = std::to_string(rounded / parts);
        if (parts > 1) // the first digit only keeps the zeros after the point
            text += "." + std::to_string(parts + rounded % parts).substr(1);
        return text + scale.unit;
    }
    return std::to_string(ns) + " ns";
}

} // namespace freezer
