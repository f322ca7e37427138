// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "tools/freezerctl/syntax.h"

#include <algorithm>
#include <cstdint>

#include <CLI/CLI.hpp>

#include "user/duration.h"

namespace freezerctl
{

Syntax::Option Syntax::Option::value(const std::string &name) const
{
    option_->type_name(name);
    return *this;
}

Syntax::Option Syntax::Option::required() const
{
    option_->required();
    return *this;
}

Syntax::Option Syntax::Option::hidden() const
{
    option_->group("");
    return *this;
}

Syntax::Option Syntax::Option::separated_by(char delimiter) const
{
    option_->delimiter(delimiter);
    return *this;
}

Syntax::Option Syntax::Option::check(std::function<std::string(const std::string &)> wrong) const
{
    option_->check(std::move(wrong));
    return *this;
}

Syntax::Option Syntax::Option::positive() const
{
    option_->check(CLI::PositiveNumber);
    return *this;
}

Syntax::Option Syntax::Option::within(unsigned least, unsigned most) const
{
    option_->check(CLI::Range(least, most));
    return *this;
}

Syntax::Option Syntax::Option::excludes(const std::string &other) const
{
    option_->excludes(other);
    return *this;
}

Syntax::Option Syntax::Option::needs(const std::string &other) const
{
    option_->needs(other);
    return *this;
}

Syntax::Syntax(CLI::App &verb) : verb_(verb)
{
    verb_.callback([this] {
        for (const auto &check : checks_)
            check();
    });
}

Syntax::Option Syntax::flag(const std::string &names, bool &value, const std::string &description)
{
    return Option(verb_.add_flag(names, value, description));
}

template <typename T>
Syntax::Option Syntax::option(const std::string &names, T &value, const std::string &description)
{
    return Option(verb_.add_option(names, value, description));
}

template Syntax::Option Syntax::option(const std::string &, std::string &, const std::string &);
template Syntax::Option Syntax::option(const std::string &, std::uint32_t &, const std::string &);
template Syntax::Option Syntax::option(const std::string &, size_t &, const std::string &);
template Syntax::Option Syntax::option(const std::string &, std::vector<std::string> &,
                                       const std::string &);
template Syntax::Option Syntax::option(const std::string &, std::vector<int> &,
                                       const std::string &);

Syntax::Option Syntax::one_of(const std::string &names, std::vector<std::string> words,
                              std::function<void(size_t)> take, const std::string &description)
{
    std::string type;
    for (const std::string &word : words)
        type += (type.empty() ? "" : "|") + word;
    CLI::Option *const option = verb_.add_option_function<std::string>(
        names,
        [names, type, words = std::move(words), take = std::move(take)](const std::string &text) {
            const auto word = std::find(words.begin(), words.end(), text);
            if (word == words.end())
                refuse(names, "'" + text + "' is none of " + type);
            take(static_cast<size_t>(word - words.begin()));
        },
        description);
    return Option(option->type_name(type));
}

void Syntax::refuse_words(const std::string &message)
{
    verb_.allow_extras(); // else CLI11 finds words of its own about them
    check([this, message] {
        if (!verb_.remaining().empty())
            refuse(verb_.remaining().front(), message);
    });
}

void Syntax::footer(const std::string &text)
{
    verb_.footer(text);
}

void Syntax::refuse(const std::string &word, const std::string &message)
{
    throw CLI::ValidationError(word, message);
}

void Syntax::missing(const std::string &what)
{
    throw CLI::RequiredError(what);
}

void add_hierarchy_option(Syntax &syntax, TargetArguments &targets)
{
    syntax.choice("--hierarchy", targets.hierarchy,
                  {{"v1", freezer::HierarchyChoice::kV1}, {"v2", freezer::HierarchyChoice::kV2}},
                  "Where to look (default: v2, or v1 where v2 cannot do it)");
}

void add_force_option(Syntax &syntax, TargetArguments &targets)
{
    syntax.flag("--force", targets.force,
                "Also what the machine, or the session that this runs in, depends on");
}

void add_target_options(Syntax &syntax, TargetArguments &targets, bool required,
                        const std::string &pid_description)
{
    syntax.option(
        "TARGET", targets.cgroups,
        "A cgroup's path (/a/b, a/b, or absolute), or the name of a unit, container or pod");
    syntax.choice("--type", targets.type,
                  {{"path", TargetType::kPath},
                   {"unit", TargetType::kUnit},
                   {"container", TargetType::kContainer},
                   {"pod", TargetType::kPod}},
                  "What TARGET is (default: a path if there is such a cgroup, else a name)");
    syntax.option("--pid", targets.pids, pid_description).positive().value("PID");
    if (required)
        syntax.check([&targets] {
            if (targets.empty())
                Syntax::missing("a TARGET or --pid");
        });
}

void add_common_options(Syntax &syntax, CommonArguments &common)
{
    syntax.flag("--json", common.json, "One JSON object for each target, on stdout");
    syntax.flag("--no-bpf", common.no_bpf, "Do not use BPF: the kernel's files alone decide");
}

void add_duration_option(Syntax &syntax, std::string &duration)
{
    syntax.option("--for", duration, "End after this time: 10s, 250ms, 2m")
        .value("TIME")
        .check([](const std::string &text) {
            const auto time = freezer::parse_timeout(text);
            return time ? std::string() : time.error().message;
        });
}

} // namespace freezerctl
