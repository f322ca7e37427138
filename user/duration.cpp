// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "user/duration.h"

#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
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

std::string format_duration(std::uint64_t ns)
{
    struct Scale {
        double ns;
        const char *unit;
    };
    static constexpr std::array<Scale, 3> kScales{{{1e9, "s"}, {1e6, "ms"}, {1e3, "us"}}};

    std::array<char, 32> text{};
    for (const Scale &scale : kScales) {
        const double value = static_cast<double>(ns) / scale.ns;
        // 999.6 us rounds to "1000 us", which is better said as "1.00 ms".
        if (value < 0.9995)
            continue;
        const int decimals = value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
        const bool whole_us = scale.ns == 1e3;
        std::snprintf(text.data(), text.size(), "%.*f %s", whole_us ? 0 : decimals, value,
                      scale.unit);
        return text.data();
    }
    return std::to_string(ns) + " ns";
}

} // namespace freezer
