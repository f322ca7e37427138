// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// What a verb's part of the command line looks like. CLI11 does the work; its header is kept to the
// few files that parse, for every file that includes it constructs eight validators when the
// program starts (CLI11 2.1 defines them as constants of each), and takes seconds more to compile.
#ifndef FREEZERCTL_TOOLS_SYNTAX_H
#define FREEZERCTL_TOOLS_SYNTAX_H

#include <cstddef>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "tools/freezerctl/session.h"

namespace CLI
{
class App;
class Option;
} // namespace CLI

namespace freezerctl
{

// Describes one verb. Names are as CLI11 has them: "--long", "-s,--long", or "NAME" for a word that
// is told by its place. What is described borrows the variables that it fills, and this.
class Syntax
{
  public:
    // What is said of an option besides; in a chain, each call about the same one.
    class Option
    {
      public:
        explicit Option(CLI::Option *option) : option_(option) {}

        // What --help calls its value.
        Option value(const std::string &name) const;
        Option required() const;
        // Not in --help: for tests.
        Option hidden() const;
        // One word may hold several values with this between them.
        Option separated_by(char delimiter) const;
        // `wrong` says what is wrong with a word, or nothing.
        Option check(std::function<std::string(const std::string &)> wrong) const;
        Option positive() const;
        Option within(unsigned least, unsigned most) const;
        // Options that were described before.
        Option excludes(const std::string &other) const;
        Option needs(const std::string &other) const;

      private:
        CLI::Option *option_;
    };

    explicit Syntax(CLI::App &verb);
    Syntax(const Syntax &) = delete;
    Syntax &operator=(const Syntax &) = delete;

    Option flag(const std::string &names, bool &value, const std::string &description);
    // T: std::string, std::uint32_t, size_t, or a std::vector of std::string or int.
    template <typename T>
    Option option(const std::string &names, T &value, const std::string &description);
    // One of some words; anything else is an error that names them.
    template <typename T> Option choice(const std::string &names, T &value,
                                        std::vector<std::pair<std::string, T>> choices,
                                        const std::string &description)
    {
        std::vector<std::string> words;
        words.reserve(choices.size());
        for (const auto &[word, meaning] : choices)
            words.push_back(word);
        return one_of(
            names, std::move(words),
            [&value, choices = std::move(choices)](size_t i) { value = choices[i].second; },
            description);
    }
    // The verb takes "-- COMMAND ARGUMENT..." behind its own arguments, which nothing here parses.
    void takes_command(std::vector<std::string> &command) { command_ = &command; }
    // It takes no other words of its own; `message` tells the user of one.
    void refuse_words(const std::string &message);
    // Called when all was parsed; ends in refuse() or missing() if it is wrong.
    void check(std::function<void()> check) { checks_.push_back(std::move(check)); }
    // Below the options in --help.
    void footer(const std::string &text);

    // End the parse.
    [[noreturn]] static void refuse(const std::string &word, const std::string &message);
    [[noreturn]] static void missing(const std::string &what);

    [[nodiscard]] const CLI::App &verb() const { return verb_; }
    [[nodiscard]] std::vector<std::string> *command() const { return command_; } // nullptr: none

  private:
    Option one_of(const std::string &names, std::vector<std::string> words,
                  std::function<void(size_t)> take, const std::string &description);

    CLI::App &verb_;
    std::vector<std::function<void()>> checks_;
    std::vector<std::string> *command_ = nullptr;
};

// For verbs that may do harm.
void add_force_option(Syntax &syntax, TargetArguments &targets);
// For verbs that serve both hierarchies.
void add_hierarchy_option(Syntax &syntax, TargetArguments &targets);
void add_target_options(Syntax &syntax, TargetArguments &targets, bool required,
                        const std::string &pid_description = "The cgroup of this process");
void add_common_options(Syntax &syntax, CommonArguments &common);
// When a view ends: a time that was checked, or "".
void add_duration_option(Syntax &syntax, std::string &duration);

} // namespace freezerctl

#endif
