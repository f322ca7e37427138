// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// How long it takes to freeze, thaw and kill a cgroup: freezerctl and libfreezer against what the
// kernel offers and against crun and runc, with the same tasks. docs/performance.md says how to
// read what it prints. Needs root; what it makes is gone when it ends, after Ctrl-C too.
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "tools/bench/contestants.h"
#include "tools/bench/machine.h"
#include "tools/bench/plot.h"
#include "tools/bench/process.h"
#include "tools/bench/report.h"
#include "tools/bench/scenarios.h"
#include "tools/bench/workload.h"
#include "user/files.h"

namespace bench
{
namespace
{

struct Chosen {
    std::vector<std::string> scenarios;
    ScenarioOptions options;
    std::string freezerctl;
    std::string json_file;
    std::string plot_directory;
    std::string markdown_file;
};

std::vector<std::string> scenario_names()
{
    std::vector<std::string> out;
    for (const Scenario &scenario : scenarios())
        out.push_back(scenario.name);
    return out;
}

// What was built with this program.
std::string neighbour(const std::string &name)
{
    return std::filesystem::path(freezer::link_target("/proc/self/exe")).replace_filename(name);
}

void write_file(const std::string &file, const std::string &content)
{
    if (content.empty())
        return;
    if (!(std::ofstream(file) << content << std::flush))
        throw Failure("cannot write " + file);
}

Results measure(const Chosen &chosen)
{
    Results results;
    results.machine = describe_machine();
    enter_private_view();
    const Lineup lineup = find_contestants(chosen.freezerctl, neighbour("poller"));
    results.versions = lineup.versions;
    results.missing = lineup.missing;
    std::cout << text_head(results) << std::flush;
    for (const Scenario &scenario : scenarios()) {
        const auto &wanted = chosen.scenarios;
        if (!wanted.empty() &&
            std::find(wanted.begin(), wanted.end(), scenario.name) == wanted.end())
            continue;
        scenario.run(lineup, chosen.options, [&](ScenarioResult result) {
            std::cout << to_text(result) << std::flush;
            results.scenarios.push_back(std::move(result));
        });
    }
    return results;
}

void write_all(const Results &results, const Chosen &chosen)
{
    if (!chosen.json_file.empty())
        write_file(chosen.json_file, to_json(results));
    if (!chosen.plot_directory.empty()) {
        const std::string start = chosen.plot_directory + "/performance-";
        write_file(start + "tasks.svg", plot_tasks(results.scenarios));
        write_file(start + "churn.svg", plot_churn(results.scenarios));
    }
    if (!chosen.markdown_file.empty())
        write_file(chosen.markdown_file,
                   with_tables(freezer::read_text(chosen.markdown_file), results));
}

// Whether everybody who took part did all that was asked.
bool all_well(const Results &results)
{
    return std::all_of(results.scenarios.begin(), results.scenarios.end(),
                       [](const ScenarioResult &result) {
                           return std::all_of(result.rows.begin(), result.rows.end(),
                                              [](const Row &row) { return row.failure.empty(); });
                       });
}

int run_command(int argc, char **argv)
{
    CLI::App app{"Times of freezes, thaws and kills: freezerctl and its peers.", "freeze_bench"};
    Chosen chosen;
    chosen.freezerctl = neighbour("freezerctl");
    std::string list = "which to run:";
    for (const Scenario &scenario : scenarios())
        list += "\n  " + scenario.name + ": " + scenario.description;
    app.add_option("--scenario", chosen.scenarios, list)->check(CLI::IsMember(scenario_names()));
    app.add_option("--rounds", chosen.options.rounds, "turns of each contestant in each scenario")
        ->check(CLI::PositiveNumber);
    app.add_flag("--quick", chosen.options.quick, "a tenth of the rounds, at most 10,000 tasks");
    app.add_option("--json", chosen.json_file, "a file for every single time, as JSON");
    app.add_option("--plot", chosen.plot_directory, "a directory for the plots, SVG")
        ->check(CLI::ExistingDirectory);
    app.add_option("--markdown", chosen.markdown_file,
                   "a file that gets the tables between its marks '<!-- measured -->'")
        ->check(CLI::ExistingFile);
    app.add_option("--freezerctl", chosen.freezerctl, "the command; default: beside this program")
        ->check(CLI::ExistingFile);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError &error) {
        return app.exit(error) == 0 ? 0 : 2;
    }
    if (::geteuid() != 0)
        throw Failure("needs root");
    chosen.freezerctl = std::filesystem::absolute(chosen.freezerctl);
    freezer::raise_file_limit(); // a descriptor or two for each of a thousand cgroups
    catch_signals();
    const Results results = measure(chosen);
    write_all(results, chosen);
    return all_well(results) ? 0 : 1;
}

} // namespace
} // namespace bench

int main(int argc, char **argv)
{
    try {
        return bench::run_command(argc, argv);
    } catch (const bench::Interrupted &interrupted) {
        std::fprintf(stderr, "freeze_bench: interrupted; all that it made is gone\n");
        return 128 + interrupted.signal();
    } catch (const std::exception &error) {
        std::fprintf(stderr, "freeze_bench: %s\n", error.what());
        return 1;
    }
}
