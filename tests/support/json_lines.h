// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#ifndef FREEZERCTL_TESTS_JSON_LINES_H
#define FREEZERCTL_TESTS_JSON_LINES_H

#include <sstream>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace test
{

// One object on each line; throws for what is not JSON.
inline std::vector<nlohmann::json> lines_of(const std::string &text)
{
    std::vector<nlohmann::json> out;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);)
        out.push_back(nlohmann::json::parse(line));
    return out;
}

} // namespace test

#endif
