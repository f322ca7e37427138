// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "tools/bench/report.h"

#include <algorithm>
#include <array>
#include <cstdio>

#include <nlohmann/json.hpp>

#include "tools/bench/process.h"
#include "user/duration.h"

namespace bench
{
namespace
{

using Json = nlohmann::ordered_json;
using Cells = std::vector<std::string>;

constexpr const char *kBegin = "<!-- measured -->\n";
constexpr const char *kEnd = "<!-- /measured -->";

// One kind of time that a table shows.
struct Column {
    const char *name;
    const Samples Row::*samples;
};
constexpr std::array<Column, 5> kColumns{{{"freeze", &Row::freeze},
                                          {"thaw", &Row::thaw},
                                          {"cycle", &Row::cycle},
                                          {"kill", &Row::kill},
                                          {"delay", &Row::delay}}};

std::string format_ratio(std::optional<double> ratio)
{
    if (!ratio)
        return "-";
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), *ratio < 10 ? "%.2f" : "%.0f", *ratio);
    return text.data();
}

std::string format_time(std::optional<std::uint64_t> ns)
{
    return ns ? freezer::format_duration(*ns) : "-";
}

std::string format_memory(long kib)
{
    if (kib == 0)
        return "-";
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), "%.1f MB", static_cast<double>(kib) / 1024);
    return text.data();
}

// How many turns or cycles the times are of.
size_t rounds_of(const Row &row)
{
    return std::max(row.freeze.size(), row.kill.size());
}

struct Table {
    Cells head;
    std::vector<Cells> rows;
};

// Only kinds of times that somebody has.
Table table_of(const ScenarioResult &result)
{
    std::vector<const Column *> columns;
    for (const Column &column : kColumns) {
        if (std::any_of(result.rows.begin(), result.rows.end(),
                        [&](const Row &row) { return !(row.*column.samples).empty(); }))
            columns.push_back(&column);
    }
    Table table;
    table.head = {"contestant", "rounds"};
    for (const Column *const column : columns) {
        table.head.push_back(std::string(column->name) + " p50");
        table.head.emplace_back("p99");
    }
    table.head.insert(table.head.end(), {"/ raw", "early", "memory"});
    for (const Row &row : result.rows) {
        Cells cells{row.contestant, std::to_string(rounds_of(row))};
        for (const Column *const column : columns) {
            for (const double p : {50, 99})
                cells.push_back(format_time((row.*column->samples).percentile(p)));
        }
        cells.push_back(format_ratio(ratio_to_raw(result, row)));
        cells.push_back(
            row.early == 0 ? "0" : std::to_string(row.early) + " of " + std::to_string(row.claims));
        cells.push_back(format_memory(row.peak_memory_kib));
        table.rows.push_back(std::move(cells));
    }
    return table;
}

// What belongs to a table and is no number.
std::vector<std::string> remarks_of(const ScenarioResult &result)
{
    std::vector<std::string> out = result.notes;
    for (const Row &row : result.rows) {
        if (!row.failure.empty())
            out.push_back(row.contestant + " failed: " + row.failure);
    }
    for (const NotRun &missing : result.not_run)
        out.push_back(missing.contestant + " was not run: " + missing.reason);
    return out;
}

std::string to_text(const Table &table)
{
    std::vector<size_t> widths(table.head.size());
    const auto widen = [&](const Cells &cells) {
        for (size_t i = 0; i < cells.size(); ++i)
            widths[i] = std::max(widths[i], cells[i].size());
    };
    widen(table.head);
    std::for_each(table.rows.begin(), table.rows.end(), widen);

    std::string out;
    const auto print = [&](const Cells &cells) {
        for (size_t i = 0; i < cells.size(); ++i) {
            const std::string blanks(widths[i] - cells[i].size(), ' ');
            // Names to the left, numbers to the right.
            out += i == 0 ? "  " + cells[i] + blanks : "  " + blanks + cells[i];
        }
        out += "\n";
    };
    print(table.head);
    std::for_each(table.rows.begin(), table.rows.end(), print);
    return out;
}

std::string to_markdown(const Table &table)
{
    std::string out;
    const auto print = [&](const Cells &cells) {
        for (const std::string &cell : cells)
            out.append("| ").append(cell).append(" ");
        out += "|\n";
    };
    print(table.head);
    out += "|---|";
    for (size_t i = 1; i < table.head.size(); ++i)
        out += "--:|";
    out += "\n";
    std::for_each(table.rows.begin(), table.rows.end(), print);
    return out;
}

std::string to_markdown(const Results &results)
{
    std::string out = results.machine.describe() + "; ";
    for (const auto &[program, version] : results.versions)
        out += version + (program == results.versions.back().first ? ".\n" : "; ");
    for (const ScenarioResult &result : results.scenarios) {
        out +=
            "\n### " + result.name + ": " + result.title + "\n\n" + to_markdown(table_of(result));
        for (const std::string &remark : remarks_of(result))
            out += "\n" + remark + "\n";
    }
    if (!results.missing.empty())
        out += "\n### Not run\n\n";
    for (const NotRun &missing : results.missing)
        out += "- " + missing.contestant + ": " + missing.reason + "\n";
    return out;
}

Json to_object(const Samples &samples)
{
    if (samples.empty())
        return nullptr;
    return {{"p50", *samples.percentile(50)},
            {"p99", *samples.percentile(99)},
            {"sorted", samples.sorted()}};
}

Json to_array(const std::vector<NotRun> &missing)
{
    Json array = Json::array();
    for (const NotRun &entry : missing)
        array.push_back({{"contestant", entry.contestant}, {"reason", entry.reason}});
    return array;
}

Json to_object(const ScenarioResult &result, const Row &row)
{
    const auto ratio = ratio_to_raw(result, row);
    Json object{{"contestant", row.contestant},
                {"process", row.process},
                {"rounds", rounds_of(row)},
                {"claims", row.claims},
                {"early", row.early},
                {"ratio_to_raw", ratio ? Json(*ratio) : Json(nullptr)},
                {"peak_memory_kib", row.peak_memory_kib},
                {"failure", row.failure}};
    for (const Column &column : kColumns)
        object[std::string(column.name) + "_ns"] = to_object(row.*column.samples);
    return object;
}

} // namespace

std::string text_head(const Results &results)
{
    std::string out = results.machine.describe() + "\n";
    for (const auto &[program, version] : results.versions)
        out.append("  ").append(program).append(": ").append(version).append("\n");
    for (const NotRun &missing : results.missing)
        out += "  " + missing.contestant + " is not run: " + missing.reason + "\n";
    return out;
}

std::string to_text(const ScenarioResult &result)
{
    std::string out = "\n" + result.name + ": " + result.title + "\n" + to_text(table_of(result));
    for (const std::string &remark : remarks_of(result))
        out += "  " + remark + "\n";
    return out;
}

std::string to_json(const Results &results)
{
    const Machine &machine = results.machine;
    Json versions = Json::object();
    for (const auto &[program, version] : results.versions)
        versions[program] = version;
    Json all = Json::array();
    for (const ScenarioResult &result : results.scenarios) {
        Json rows = Json::array();
        for (const Row &row : result.rows)
            rows.push_back(to_object(result, row));
        all.push_back({{"name", result.name},
                       {"title", result.title},
                       {"tasks", result.tasks},
                       {"cgroups", result.cgroups},
                       {"contestants", std::move(rows)},
                       {"not_run", to_array(result.not_run)},
                       {"notes", result.notes}});
    }
    const Json object{{"schema", 1},
                      {"machine",
                       {{"kernel", machine.kernel},
                        {"architecture", machine.architecture},
                        {"cpus", machine.cpus},
                        {"model", machine.model},
                        {"virtual", machine.virtual_machine},
                        {"memory_mib", machine.memory_mib},
                        {"load", machine.load},
                        {"cgroup_mode", machine.cgroup_mode}}},
                      {"versions", std::move(versions)},
                      {"not_run", to_array(results.missing)},
                      {"scenarios", std::move(all)}};
    // What a program printed when it failed may be any bytes.
    return object.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string with_tables(std::string page, const Results &results)
{
    const size_t begin = page.find(kBegin);
    const size_t end = page.find(kEnd, begin == std::string::npos ? begin : begin + 1);
    if (begin == std::string::npos || end == std::string::npos)
        throw Failure("the page has no place for the tables");
    const size_t from = begin + std::string(kBegin).size();
    return page.replace(from, end - from, to_markdown(results));
}

} // namespace bench
