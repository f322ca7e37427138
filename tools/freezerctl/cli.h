// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// How the command line is put together: each group of verbs is one file that adds its subcommands
// here. The parts that verbs have in common, options and what they stand for, are here too.
#ifndef FREEZERCTL_TOOLS_CLI_H
#define FREEZERCTL_TOOLS_CLI_H

#include <cstdio>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>

#include "tools/freezerctl/exit_code.h"
#include "user/freezer.h"
#include "user/result.h"

namespace freezerctl
{

// The subcommands, and which of them the user chose.
class Cli
{
  public:
    explicit Cli(CLI::App &app) : app_(app) {}

    // Adds a subcommand with arguments of its own, which live as long as this. `run` is called with
    // them once the whole command line was parsed, and returns the exit code.
    template <typename Arguments>
    std::pair<CLI::App *, Arguments &> add_verb(const std::string &name,
                                                const std::string &description,
                                                std::function<int(const Arguments &)> run)
    {
        auto arguments = std::make_shared<Arguments>();
        CLI::App *const verb = app_.add_subcommand(name, description);
        verbs_.emplace_back(verb, [arguments, run = std::move(run)] { return run(*arguments); });
        return {verb, *arguments};
    }

    // The verb takes "-- COMMAND ARGUMENT..." behind its own arguments, which nothing here parses.
    void takes_command(const CLI::App &verb, std::vector<std::string> &command)
    {
        commands_.emplace_back(&verb, &command);
    }
    // Parses the command line; throws what CLI11 throws.
    void parse(int argc, char **argv);

    // Runs the chosen verb.
    int run() const;

  private:
    CLI::App &app_;
    std::vector<std::pair<const CLI::App *, std::vector<std::string> *>> commands_;
    std::vector<std::pair<CLI::App *, std::function<int()>>> verbs_;
};

// Every verb, in the order of --help; one function for each file.
void add_verbs(Cli &cli);
// Those of the file that has the verb `word`, or all if none has: a command line is parsed by one
// verb, and to describe all the others takes longer than most freezes.
void add_verbs_for(Cli &cli, std::string_view word);
void add_operation_verbs(Cli &cli); // freeze, thaw, kill, wait
void add_run_verb(Cli &cli);
void add_list_verb(Cli &cli);
void add_status_verb(Cli &cli);
void add_doctor_verb(Cli &cli);
void add_why_verb(Cli &cli);
void add_trace_verb(Cli &cli);
void add_record_verb(Cli &cli);
void add_report_verb(Cli &cli);
void add_top_verb(Cli &cli);
void add_state_verb(Cli &cli);
void add_attach_verbs(Cli &cli); // attach, detach
void add_mount_verbs(Cli &cli);  // mount, umount

// What a target's words are.
enum class TargetType { kAny, kPath, kUnit, kContainer, kPod };

// Which cgroups are meant.
struct TargetArguments {
    std::vector<std::string> cgroups;
    std::vector<int> pids;
    TargetType type = TargetType::kAny;
    bool force = false; // also what the machine or the user's session depends on
    freezer::HierarchyChoice hierarchy = freezer::HierarchyChoice::kAny;

    [[nodiscard]] bool empty() const { return cgroups.empty() && pids.empty(); }
};
// For verbs that may do harm.
void add_force_option(CLI::App &verb, TargetArguments &targets);
// For verbs that serve both hierarchies.
void add_hierarchy_option(CLI::App &verb, TargetArguments &targets);
void add_target_options(CLI::App &verb, TargetArguments &targets, bool required);

struct CommonArguments {
    bool json = false;
    bool no_bpf = false;
};
void add_common_options(CLI::App &verb, CommonArguments &common);

// An option that takes one of some words; anything else is an error that names them.
template <typename T> CLI::Option *add_choice(CLI::App &verb, const std::string &name, T &value,
                                              const std::vector<std::pair<std::string, T>> &choices,
                                              const std::string &description)
{
    std::string words;
    for (const auto &[word, meaning] : choices)
        words += (words.empty() ? "" : "|") + word;
    return verb
        .add_option_function<std::string>(
            name,
            [&value, name, choices, words](const std::string &text) {
                for (const auto &[word, meaning] : choices) {
                    if (word == text) {
                        value = meaning;
                        return;
                    }
                }
                throw CLI::ValidationError(name, "'" + text + "' is none of " + words);
            },
            description)
        ->type_name(words);
}

void print(const std::string &text);    // to stdout
void complain(const std::string &text); // to stderr

// One run of a verb: the library opened, the targets found, what went wrong said and counted.
class Session
{
  public:
    // The verb's name and whether it speaks JSON, for what refuse() prints.
    Session(std::string verb, bool json) : verb_(std::move(verb)), json_(json) {}

    // False, and said, when it cannot be had.
    bool open(const freezer::Config &config);
    // Opens and checks all of them: nothing is to be written before every one is known to be good.
    // `harmful`: refuses those whose freeze or kill would hit the caller or the machine.
    bool find_targets(const TargetArguments &arguments, bool harmful);
    // Where print() and refuse() write what is for stdout otherwise. The second: to a file, made
    // or emptied; false, and said, when that cannot be.
    void set_output(std::FILE *output) { output_ = output; }
    bool open_output(const std::string &path);
    void print(const std::string &text);
    // What was printed is with its reader, who need not wait for what there is to put away.
    void flush() { (void)std::fflush(output_); }
    // Says why a target (or the whole command) cannot be served.
    void refuse(const std::string &target, const freezer::Error &error);
    void count(ExitCode code) { code_ = worse(code_, code); }

    [[nodiscard]] freezer::Freezer &freezer() { return *freezer_; }
    [[nodiscard]] std::vector<freezer::Target> &targets() { return targets_; }
    [[nodiscard]] ExitCode code() const { return code_; }

  private:
    freezer::Result<std::unique_ptr<freezer::Cgroup>> find(const std::string &text,
                                                           const TargetArguments &arguments) const;

    std::string verb_;
    bool json_;
    std::FILE *output_ = stdout;
    std::unique_ptr<std::FILE, int (*)(std::FILE *)> file_{nullptr, &std::fclose};
    std::optional<freezer::Freezer> freezer_;
    std::vector<freezer::Target> targets_;
    ExitCode code_ = kReached;
};

} // namespace freezerctl

#endif
