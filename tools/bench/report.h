// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// Results as text, as JSON, and as the tables of docs/performance.md.
#ifndef FREEZERCTL_BENCH_REPORT_H
#define FREEZERCTL_BENCH_REPORT_H

#include <string>
#include <utility>
#include <vector>

#include "tools/bench/machine.h"
#include "tools/bench/statistics.h"

namespace bench
{

struct Results {
    Machine machine;
    std::vector<std::pair<std::string, std::string>> versions; // of programs
    std::vector<NotRun> missing;                               // in all scenarios
    std::vector<ScenarioResult> scenarios;
};

std::string text_head(const Results &results);
std::string to_text(const ScenarioResult &result);
std::string to_json(const Results &results);
// The Markdown page with the tables between its markers; Failure if it has none.
std::string with_tables(std::string page, const Results &results);

} // namespace bench

#endif
