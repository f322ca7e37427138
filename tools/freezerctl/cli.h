// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// The verbs: each file of them adds its own here. Only the one that the command line names is
// described, since to describe all of them takes longer than most freezes.
#ifndef FREEZERCTL_TOOLS_CLI_H
#define FREEZERCTL_TOOLS_CLI_H

#include <functional>
#include <list>
#include <memory>
#include <string_view>
#include <vector>

#include "tools/freezerctl/session.h"
#include "tools/freezerctl/syntax.h"

namespace freezerctl
{

class Cli
{
  public:
    enum class Kind {
        kOrdinary,
        kUrgent,   // goes ahead of everything, from the moment that it is known; see priority.h
        kAboutAll, // acts on the descriptions of all verbs
    };

    // The verbs become subcommands of `app`, which is to live longer.
    explicit Cli(CLI::App &app) : app_(app) {}

    // Adds a verb with arguments of its own, which live as long as this. `names`: what it is
    // called, then what it is called besides. `describe` tells its syntax; `run` is called once the
    // whole command line was parsed, and returns the exit code. The texts are borrowed.
    template <typename Arguments>
    void add_verb(std::vector<std::string_view> names, std::string_view description,
                  void (*describe)(Syntax &, Arguments &), int (*run)(const Arguments &),
                  Kind kind = Kind::kOrdinary)
    {
        verbs_.push_back({std::move(names), description, kind, [describe, run](Syntax &syntax) {
                              auto arguments = std::make_shared<Arguments>();
                              describe(syntax, *arguments);
                              return [arguments, run] { return run(*arguments); };
                          }});
    }

    // Describes the verb that is called `word`; all of them if none is.
    void describe(std::string_view word);
    // The same for a command line, and parses it; throws what CLI11 throws.
    void parse(int argc, char **argv);
    // Runs the verb that was parsed.
    [[nodiscard]] int run() const;

  private:
    struct Verb {
        std::vector<std::string_view> names;
        std::string_view description;
        Kind kind;
        std::function<std::function<int()>(Syntax &)> describe; // returns what runs it
        [[nodiscard]] bool is_called(std::string_view word) const;
    };
    struct Described {
        Described(const Verb &verb, CLI::App &app) : syntax(app), run(verb.describe(syntax)) {}
        Syntax syntax;
        std::function<int()> run;
    };
    [[nodiscard]] const Verb *verb_called(std::string_view word) const;
    void describe(const Verb &verb);

    CLI::App &app_;
    std::vector<Verb> verbs_;
    std::list<Described> described_;
};

// Every verb, in the order of --help; one function for each file.
void add_verbs(Cli &cli);
void add_operation_verbs(Cli &cli); // freeze, thaw, kill, wait
void add_run_verb(Cli &cli);
void add_list_verb(Cli &cli);
void add_status_verb(Cli &cli);
void add_state_verb(Cli &cli);
void add_attach_verbs(Cli &cli); // attach, detach
void add_mount_verbs(Cli &cli);  // mount, umount
void add_why_verb(Cli &cli);
void add_trace_verb(Cli &cli);
void add_record_verb(Cli &cli);
void add_report_verb(Cli &cli);
void add_top_verb(Cli &cli);
void add_doctor_verb(Cli &cli);
void add_completion_verb(Cli &cli);

// Parses the command line and runs what it asks for; returns the exit code. `version` makes the
// text of --version.
int run_command_line(int argc, char **argv, const std::function<std::string()> &version);

} // namespace freezerctl

#endif
