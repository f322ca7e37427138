// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// Plots as SVG that needs nothing else.
#ifndef FREEZERCTL_BENCH_PLOT_H
#define FREEZERCTL_BENCH_PLOT_H

#include <string>
#include <vector>

#include "tools/bench/statistics.h"

namespace bench
{

// Time of a freeze against the number of tasks, both axes logarithmic. "" where fewer than two
// sizes were measured.
std::string plot_tasks(const std::vector<ScenarioResult> &results);
// Which share of the freezes of the churn was done by when. "" if it was not measured.
std::string plot_churn(const std::vector<ScenarioResult> &results);

} // namespace bench

#endif
