// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// completion: scripts for shells, and the answers that they ask for. What can be completed is taken
// from the command line's own description, so that the two cannot differ.
#include "tools/freezerctl/completion.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include <CLI/CLI.hpp>

#include "tools/freezerctl/cli.h"
#include "user/name_search.h"
#include "user/protected.h"

namespace freezerctl
{
namespace
{

using freezer::State;

struct CompletionArguments {
    const CLI::App *all = nullptr; // the command line's own description
    std::string shell;
    bool words = false;
    std::vector<std::string> typed;
};

std::vector<std::string> starting_with(const std::string &begin, std::vector<std::string> all)
{
    std::erase_if(all, [&](const std::string &word) { return !word.starts_with(begin); });
    std::sort(all.begin(), all.end());
    all.erase(std::unique(all.begin(), all.end()), all.end());
    return all;
}

const CLI::App *verb_named(const CLI::App &app, const std::string &name)
{
    for (const CLI::App *const verb : app.get_subcommands(nullptr)) {
        if (verb->check_name(name))
            return verb;
    }
    return nullptr;
}

std::vector<std::string> options_of(const CLI::App &verb)
{
    std::vector<std::string> names;
    for (const CLI::Option *const option : verb.get_options()) {
        if (!option->get_group().empty() && !option->get_lnames().empty())
            names.push_back("--" + option->get_lnames().front());
    }
    return names;
}

// The words that an option takes; see add_choice().
std::vector<std::string> choices_of(const CLI::Option &option)
{
    std::vector<std::string> choices;
    const std::string type = option.get_type_name();
    if (type.find('|') == std::string::npos)
        return choices;
    for (size_t begin = 0; begin <= type.size();) {
        const size_t end = std::min(type.find('|', begin), type.size());
        choices.push_back(type.substr(begin, end - begin));
        begin = end + 1;
    }
    return choices;
}

const CLI::Option *option_named(const CLI::App &verb, const std::string &word)
{
    return word.starts_with('-') ? verb.get_option_no_throw(word) : nullptr;
}

bool takes_value(const CLI::Option &option)
{
    return option.get_items_expected_max() > 0;
}

// Which states make a sensible target of the verb.
bool is_sensible(const std::string &verb, State state, bool populated)
{
    if (verb == "thaw")
        return state != State::kThawed;
    if (verb == "freeze")
        return state != State::kFrozen && populated;
    return populated || state != State::kThawed;
}

// Names, and below a path that was begun the paths.
std::vector<std::string> targets_for(const std::string &verb, const std::string &begun)
{
    std::vector<std::string> found;
    freezer::Config config;
    config.use_bpf = false;
    auto opened = freezer::Freezer::open(config);
    if (!opened)
        return found;
    const freezer::Resolver &resolver = opened->resolver();
    const bool harmful = verb == "freeze" || verb == "kill";
    const freezer::Protected guarded(resolver);
    const auto take = [&](freezer::Cgroup &cgroup, const std::string &name) {
        const auto reading = cgroup.read();
        const auto above = cgroup.freezing_ancestor();
        if (reading && above &&
            is_sensible(verb, state_of(*reading, above->has_value()), reading->populated) &&
            (!harmful || guarded.check(cgroup)))
            found.push_back(name);
    };

    if (begun.starts_with('/')) {
        const std::string parent = begun.substr(0, begun.rfind('/') + 1);
        const auto top = resolver.by_path(parent);
        auto children = top ? (*top)->children() : top.error();
        if (!children)
            return found;
        for (const auto &child : *children) {
            const std::string name = child->path().substr(child->path().rfind('/') + 1);
            if (verb != "thaw")
                take(*child, parent + name);
        }
    }
    if (verb == "thaw") {
        if (const auto frozen = opened->frozen_cgroups(false)) {
            for (const freezer::CgroupStatus &status : *frozen)
                found.push_back(status.path);
        }
    }
    const freezer::DiskNames disk = freezer::read_disk_names();
    for (const freezer::CgroupMount &mount : resolver.mounts()) {
        const auto all = freezer::named_cgroups(mount, disk);
        if (!all)
            continue;
        for (const freezer::NamedCgroup &named : *all) {
            if (!best_name(named).starts_with(begun))
                continue;
            if (const auto cgroup = resolver.by_path(named.path, named.hierarchy))
                take(**cgroup, best_name(named));
        }
    }
    return found;
}

int run_completion(const CompletionArguments &args)
{
    if (!args.words) {
        print(completion_script(args.shell));
        return kReached;
    }
    const Completion completion = complete_words(*args.all, args.typed);
    std::vector<std::string> words = completion.words;
    if (completion.target) {
        const CLI::App *const verb = verb_named(*args.all, args.typed.front());
        for (std::string &target : targets_for(verb->get_name(), args.typed.back()))
            words.push_back(std::move(target));
    }
    for (const std::string &word : starting_with(args.typed.back(), std::move(words))) {
        // What a shell would have to quote is not worth the trouble.
        if (word.find_first_of(" \t\n'\"$`") == std::string::npos)
            print(word + "\n");
    }
    return kReached;
}

void describe_completion(Syntax &syntax, CompletionArguments &args)
{
    args.all = syntax.verb().get_parent();
    syntax.choice("SHELL", args.shell, {{"bash", "bash"}, {"zsh", "zsh"}, {"fish", "fish"}},
                  "For which one");
    syntax.flag("--words", args.words, "Print what the last of the words behind -- may become");
    syntax.takes_command(args.typed);
    syntax.check([&args] {
        if (args.words ? args.typed.empty() : args.shell.empty())
            Syntax::missing("SHELL, or --words -- WORD...");
    });
}

} // namespace

Completion complete_words(const CLI::App &app, const std::vector<std::string> &words)
{
    const std::string &begun = words.back();
    Completion completion;
    if (words.size() == 1) {
        for (const CLI::App *const verb : app.get_subcommands(nullptr))
            completion.words.push_back(verb->get_name());
        for (const std::string &option : options_of(app))
            completion.words.push_back(option);
        completion.words = starting_with(begun, std::move(completion.words));
        return completion;
    }
    const CLI::App *const verb = verb_named(app, words.front());
    if (!verb)
        return completion;
    const CLI::Option *const before = option_named(*verb, words[words.size() - 2]);
    if (words.size() > 2 && before && takes_value(*before)) {
        completion.words = starting_with(begun, choices_of(*before));
        return completion;
    }
    if (begun.starts_with('-')) {
        completion.words = starting_with(begun, options_of(*verb));
        return completion;
    }
    size_t targets = 0;
    for (size_t i = 1; i + 1 < words.size(); ++i) {
        const CLI::Option *const option = option_named(*verb, words[i]);
        if (option && takes_value(*option))
            ++i;
        else if (!words[i].starts_with('-'))
            ++targets;
    }
    if (verb->get_name() == "state" && targets == 1)
        completion.words = starting_with(begun, {"FROZEN", "THAWED"});
    else
        completion.target = verb->get_option_no_throw("TARGET") != nullptr;
    return completion;
}

std::string completion_script(const std::string &shell)
{
    static const std::map<std::string, std::string> kScripts{
        {"bash", R"sh(# bash completion for freezerctl
_freezerctl() {
    local line=${COMP_LINE:0:COMP_POINT} prefix i
    local -a words
    read -ra words <<<"$line"
    [[ $line == *[[:space:]] ]] && words+=("")
    for ((i = 1; i < ${#words[@]} - 1; i++)); do
        if [[ ${words[i]} == -- ]]; then
            # The command of freeze, run, trace and record.
            if declare -F _command_offset >/dev/null; then
                _command_offset $((i + 1))
            else
                mapfile -t COMPREPLY < <(compgen -A command -A file -- "${words[-1]}")
            fi
            return
        fi
    done
    mapfile -t COMPREPLY < <(freezerctl completion --words -- "${words[@]:1}" 2>/dev/null)
    # bash replaces only what stands behind the last of "@", ":" and "=".
    prefix=${words[-1]%"${COMP_WORDS[COMP_CWORD]}"}
    COMPREPLY=("${COMPREPLY[@]#"$prefix"}")
}
complete -F _freezerctl freezerctl
)sh"},
        {"zsh", R"sh(#compdef freezerctl
_freezerctl() {
    local -i at=${words[(I)--]}
    if (( at > 0 && at < CURRENT )); then
        # The command of freeze, run, trace and record.
        shift $at words
        (( CURRENT -= at ))
        _normal
        return
    fi
    local -a found
    found=(${(f)"$(freezerctl completion --words -- "${(@)words[2,CURRENT]}" 2>/dev/null)"})
    compadd -a found
}
_freezerctl "$@"
)sh"},
        {"fish", R"sh(# fish completion for freezerctl
function __freezerctl_words
    set -l typed (commandline -opc)
    freezerctl completion --words -- $typed[2..-1] (commandline -ct) 2>/dev/null
end
function __freezerctl_in_command
    contains -- -- (commandline -opc)
end
complete -c freezerctl -n 'not __freezerctl_in_command' -f -a '(__freezerctl_words)'
)sh"}};
    const auto script = kScripts.find(shell);
    return script != kScripts.end() ? script->second : "";
}

void add_completion_verb(Cli &cli)
{
    cli.add_verb<CompletionArguments>({"completion"},
                                      "Print what makes a shell complete freezerctl's words",
                                      describe_completion, run_completion, Cli::Kind::kAboutAll);
}

} // namespace freezerctl
