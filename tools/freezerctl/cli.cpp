// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "tools/freezerctl/cli.h"

#include <algorithm>
#include <sstream>
#include <string>

#include <CLI/CLI.hpp>

#include "tools/freezerctl/priority.h"

namespace freezerctl
{

bool Cli::Verb::is_called(std::string_view word) const
{
    return std::find(names.begin(), names.end(), word) != names.end();
}

void Cli::describe(const Verb &verb)
{
    CLI::App *const app =
        app_.add_subcommand(std::string(verb.names.front()), std::string(verb.description));
    for (size_t i = 1; i < verb.names.size(); ++i)
        app->alias(std::string(verb.names[i]));
    described_.emplace_back(verb, *app);
}

const Cli::Verb *Cli::verb_called(std::string_view word) const
{
    const auto called = std::find_if(verbs_.begin(), verbs_.end(),
                                     [&](const Verb &verb) { return verb.is_called(word); });
    return called != verbs_.end() ? &*called : nullptr;
}

void Cli::describe(std::string_view word)
{
    const Verb *const called = verb_called(word);
    if (called && called->kind != Kind::kAboutAll) {
        describe(*called);
        return;
    }
    for (const Verb &verb : verbs_)
        describe(verb);
}

void Cli::parse(int argc, char **argv)
{
    // The first word is the verb: the command itself takes no options but --help.
    const std::string_view word = argc > 1 ? argv[1] : "";
    if (const Verb *const called = verb_called(word); called && called->kind == Kind::kUrgent)
        raise_priority();
    describe(word);
    const auto verb =
        std::find_if(described_.begin(), described_.end(), [&](const Described &described) {
            return described.syntax.verb().check_name(std::string(word));
        });
    if (verb == described_.end()) {
        if (word.empty())
            Syntax::missing("a VERB");
        if (!word.starts_with('-'))
            Syntax::refuse(std::string(word), "there is no such verb");
    } else if (std::vector<std::string> *const command = verb->syntax.command()) {
        char **const end = argv + argc;
        char **const dashes = std::find_if(
            argv, end, [](const char *other) { return std::string_view(other) == "--"; });
        if (dashes != end) {
            command->assign(dashes + 1, end);
            argc = static_cast<int>(dashes - argv);
            if (command->empty())
                Syntax::missing("a COMMAND after --");
        }
    }
    app_.parse(argc, argv);
}

int Cli::run() const
{
    const auto chosen =
        std::find_if(described_.begin(), described_.end(),
                     [](const Described &described) { return described.syntax.verb().parsed(); });
    return chosen != described_.end() ? chosen->run() : kUsage;
}

void add_verbs(Cli &cli)
{
    add_operation_verbs(cli);
    add_run_verb(cli);
    add_list_verb(cli);
    add_status_verb(cli);
    add_state_verb(cli);
    add_attach_verbs(cli);
    add_mount_verbs(cli);
    add_why_verb(cli);
    add_trace_verb(cli);
    add_record_verb(cli);
    add_report_verb(cli);
    add_top_verb(cli);
    add_doctor_verb(cli);
    add_completion_verb(cli);
}

int run_command_line(int argc, char **argv, const std::function<std::string()> &version)
{
    CLI::App app{"Freeze, thaw and kill cgroups, and know that it is done.", "freezerctl"};
    app.require_subcommand(1);
    app.set_version_flag("--version", version);
    app.failure_message([](const CLI::App *self, const CLI::Error &error) {
        std::string name = "freezerctl";
        for (const CLI::App *verb : self->get_subcommands())
            name += " " + verb->get_name();
        return std::string(error.what()) + "\nTry '" + name + " --help'.\n";
    });

    Cli cli(app);
    add_verbs(cli);
    try {
        cli.parse(argc, argv);
    } catch (const CLI::ParseError &error) {
        std::ostringstream help;
        std::ostringstream trouble;
        const int code = app.exit(error, help, trouble);
        print(help.str());
        complain(trouble.str());
        return code == 0 ? kReached : kUsage;
    }
    return cli.run();
}

} // namespace freezerctl
