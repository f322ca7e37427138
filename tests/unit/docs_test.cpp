// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// The pages and the command say the same: every verb has a page in the layout of a manual page,
// every option of --help is on it, and nothing else.
#include <gtest/gtest.h>

#include <array>
#include <fstream>
#include <set>
#include <sstream>
#include <string>

#include <CLI/CLI.hpp>

#include "tools/freezerctl/cli.h"
#include "tools/freezerctl/record_file.h"
#include "tools/freezerctl/trace_views.h"

namespace
{

std::string content_of(const std::string &path)
{
    std::ifstream file(path);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
}

std::string page_of(const std::string &name)
{
    return content_of("docs/" + name + ".md");
}

// The long options in the lines that define one: "`--timeout TIME`", "`-o, --output FILE`".
std::set<std::string> options_of(const std::string &page)
{
    std::set<std::string> options;
    std::istringstream lines(page);
    for (std::string line; std::getline(lines, line);) {
        if (line.empty() || line.front() != '`')
            continue;
        const size_t at = line.find("--");
        if (at != std::string::npos)
            options.insert(line.substr(at, line.find_first_of(" `,=", at) - at));
    }
    return options;
}

class Docs : public ::testing::Test
{
  protected:
    Docs() : cli_(app_)
    {
        freezerctl::add_verbs(cli_);
        cli_.describe("");
        for (const CLI::App *const verb : app_.get_subcommands(nullptr))
            verbs_.push_back(verb);
    }
    void SetUp() override
    {
        // The tests of other machines run without the source tree.
        if (page_of("freezerctl").empty())
            GTEST_SKIP() << "docs/ is not here: the test runs from the top of the source tree";
    }

    CLI::App app_;
    freezerctl::Cli cli_;
    std::vector<const CLI::App *> verbs_;
};

// Which takes the whole description of the command line along.
TEST(Verbs, each_is_parsed_without_the_others)
{
    CLI::App all;
    freezerctl::Cli every(all);
    freezerctl::add_verbs(every);
    every.describe("");
    for (const CLI::App *const verb : all.get_subcommands(nullptr)) {
        std::vector<std::string> names = verb->get_aliases();
        names.push_back(verb->get_name());
        for (const std::string &name : names) {
            SCOPED_TRACE(name);
            CLI::App app;
            freezerctl::Cli cli(app);
            freezerctl::add_verbs(cli);
            cli.describe(name);
            EXPECT_EQ(app.get_subcommand(name)->help(), verb->help());
            if (verb->get_name() != "completion") {
                EXPECT_EQ(app.get_subcommands(nullptr).size(), 1U);
            }
        }
    }
    for (const char *const word : {"", "--help", "freez", "nonsense"}) {
        CLI::App app;
        freezerctl::Cli cli(app);
        freezerctl::add_verbs(cli);
        cli.describe(word);
        EXPECT_EQ(app.help(), all.help()) << word;
    }
}

TEST_F(Docs, every_verb_has_a_page_in_the_layout_of_a_manual_page)
{
    ASSERT_GE(verbs_.size(), 6U);
    const std::string overview = page_of("freezerctl");
    for (const CLI::App *const verb : verbs_) {
        const std::string name = "freezerctl-" + verb->get_name();
        const std::string page = page_of(name);
        ASSERT_FALSE(page.empty()) << name;
        EXPECT_NE(overview.find("(" + name + ".md)"), std::string::npos) << name;
        size_t at = 0;
        for (const char *const section :
             {"# freezerctl-", "## NAME", "## SYNOPSIS", "## DESCRIPTION", "## OPTIONS",
              "## EXIT STATUS", "## EXAMPLES", "## SEE ALSO"}) {
            at = page.find(section, at);
            EXPECT_NE(at, std::string::npos) << name << ": " << section;
        }
    }
}

TEST_F(Docs, pages_and_help_name_the_same_options)
{
    for (const CLI::App *const verb : verbs_) {
        std::set<std::string> in_help;
        for (const CLI::Option *const option : verb->get_options()) {
            if (option->get_group().empty() || option->get_lnames().empty())
                continue; // hidden, or positional
            in_help.insert("--" + option->get_lnames().front());
        }
        in_help.erase("--help");
        EXPECT_EQ(options_of(page_of("freezerctl-" + verb->get_name())), in_help)
            << verb->get_name();
    }
}

TEST_F(Docs, links_lead_somewhere)
{
    std::vector<std::string> pages{"freezerctl", "exit-codes", "json",    "design", "trace",
                                   "mount",      "names",      "coexist", "ci"};
    for (const CLI::App *const verb : verbs_)
        pages.push_back("freezerctl-" + verb->get_name());
    for (const std::string &name : pages) {
        const std::string page = page_of(name);
        ASSERT_FALSE(page.empty()) << name;
        for (size_t at = page.find("]("); at != std::string::npos; at = page.find("](", at + 1)) {
            std::string link = page.substr(at + 2, page.find(')', at) - at - 2);
            link.resize(std::min(link.find('#'), link.size()));
            if (!link.ends_with(".md"))
                continue;
            link.resize(link.size() - 3);
            EXPECT_FALSE(page_of(link).empty()) << name << " links to " << link;
        }
    }
}

// docs/trace.md: both are of the recording that the fuzzer starts from.
TEST_F(Docs, the_picture_and_the_summary_are_what_the_command_makes)
{
    const auto recording =
        freezerctl::parse_recording(content_of("tests/fuzz/seeds/freeze.record"));
    ASSERT_TRUE(recording) << recording.error().message;
    const freezer::TraceModel model = freezerctl::model_of(*recording);
    ASSERT_EQ(model.freezes().size(), 1U);
    EXPECT_EQ(freezerctl::svg(model.freezes().front(), freezerctl::shortcomings(*recording)),
              content_of("docs/images/freeze.svg"));
    EXPECT_NE(page_of("trace").find(freezerctl::summary(*recording)), std::string::npos);
}

} // namespace
