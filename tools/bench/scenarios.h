// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#ifndef FREEZERCTL_BENCH_SCENARIOS_H
#define FREEZERCTL_BENCH_SCENARIOS_H

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "tools/bench/contestants.h"
#include "tools/bench/statistics.h"

namespace bench
{

struct ScenarioOptions {
    std::optional<size_t> rounds; // of each contestant; nullopt: what the scenario is worth
    bool quick = false;           // a tenth of the rounds and no large sizes
};

using Report = std::function<void(ScenarioResult)>;

struct Scenario {
    std::string name;
    std::string description;
    // Calls `report` once for each size.
    std::function<void(const Lineup &, const ScenarioOptions &, const Report &report)> run;
};

// In the order in which they run.
const std::vector<Scenario> &scenarios();

} // namespace bench

#endif
