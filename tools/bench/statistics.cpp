// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "tools/bench/statistics.h"

#include <algorithm>

#include "user/trace_model.h"

namespace bench
{

std::vector<std::uint64_t> Samples::sorted() const
{
    auto out = ns_;
    std::sort(out.begin(), out.end());
    return out;
}

std::optional<std::uint64_t> Samples::percentile(double p) const
{
    if (empty())
        return std::nullopt;
    return freezer::percentile(sorted(), p);
}

const Row *ScenarioResult::row(const std::string &contestant) const
{
    const auto found = std::find_if(rows.begin(), rows.end(),
                                    [&](const Row &row) { return row.contestant == contestant; });
    return found == rows.end() ? nullptr : &*found;
}

std::optional<double> ratio_to_raw(const ScenarioResult &result, const Row &row)
{
    const Row *const raw = result.row(kRawPath);
    if (!raw)
        return std::nullopt;
    const Samples Row::*const measured = row.kill.empty() ? &Row::freeze : &Row::kill;
    const auto own = (row.*measured).percentile(50);
    const auto base = (raw->*measured).percentile(50);
    if (!own || !base || *base == 0)
        return std::nullopt;
    return static_cast<double>(*own) / static_cast<double>(*base);
}

} // namespace bench
