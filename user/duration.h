// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#ifndef FREEZERCTL_USER_DURATION_H
#define FREEZERCTL_USER_DURATION_H

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "user/result.h"

namespace freezer
{

// Nanoseconds of CLOCK_MONOTONIC, the clock of bpf_ktime_get_ns().
std::uint64_t now_ns();

// `after_ns` later than `at_ns`, or the end of all time.
std::uint64_t later(std::uint64_t at_ns, std::uint64_t after_ns);

// "10s", "1.5s", "250ms", "400us", "2m", "1h", a bare number in seconds, or "infinity" (nullopt).
// Negative, empty, malformed and too large (over 292 years) are kInvalid.
Result<std::optional<std::uint64_t>> parse_timeout(std::string_view text);

// For people: three significant digits and a unit ("412 us", "1.24 ms", "2.30 s").
std::string format_duration(std::uint64_t ns);

} // namespace freezer

#endif
