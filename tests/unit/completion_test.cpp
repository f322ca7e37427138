// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// What the words on a command line may become.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "tools/freezerctl/cli.h"
#include "tools/freezerctl/completion.h"

namespace
{

using Words = std::vector<std::string>;

class CompletionTest : public ::testing::Test
{
  protected:
    CompletionTest() : cli_(app_)
    {
        freezerctl::add_verbs(cli_);
        cli_.describe("");
    }
    [[nodiscard]] freezerctl::Completion complete(const Words &words) const
    {
        return freezerctl::complete_words(app_, words);
    }
    [[nodiscard]] bool offers(const Words &words, const std::string &word) const
    {
        const Words found = complete(words).words;
        return std::find(found.begin(), found.end(), word) != found.end();
    }

    CLI::App app_;
    freezerctl::Cli cli_;
};

TEST_F(CompletionTest, verbs)
{
    EXPECT_TRUE(offers({""}, "freeze"));
    EXPECT_TRUE(offers({"fr"}, "freeze"));
    EXPECT_FALSE(offers({"fr"}, "thaw"));
    EXPECT_TRUE(complete({"nonsense", ""}).words.empty());
}

TEST_F(CompletionTest, options_and_what_they_take)
{
    EXPECT_TRUE(offers({"freeze", "--"}, "--timeout"));
    EXPECT_TRUE(offers({"pause", "--"}, "--timeout")); // the same verb
    EXPECT_FALSE(offers({"freeze", "--"}, "--ring-bytes"));
    EXPECT_FALSE(offers({"thaw", "--"}, "--on-timeout"));
    EXPECT_EQ(complete({"freeze", "--on-timeout", "k"}).words, (Words{"keep", "kill"}));
    EXPECT_FALSE(complete({"freeze", "--on-timeout", ""}).target);
    EXPECT_TRUE(complete({"freeze", "--timeout", ""}).words.empty());
    EXPECT_FALSE(complete({"freeze", "--timeout", ""}).target);
}

TEST_F(CompletionTest, targets_where_they_may_stand)
{
    EXPECT_TRUE(complete({"thaw", ""}).target);
    EXPECT_TRUE(complete({"thaw", "a", "b"}).target);
    EXPECT_TRUE(complete({"freeze", "--timeout", "1s", ""}).target);
    EXPECT_TRUE(complete({"freeze", "--all-or-none", ""}).target);
    EXPECT_FALSE(complete({"doctor", ""}).target);
    EXPECT_TRUE(complete({"state", ""}).target);
    EXPECT_EQ(complete({"state", "a", ""}).words, (Words{"FROZEN", "THAWED"}));
    EXPECT_FALSE(complete({"state", "a", ""}).target);
}

TEST_F(CompletionTest, scripts)
{
    for (const char *const shell : {"bash", "zsh", "fish"})
        EXPECT_NE(freezerctl::completion_script(shell).find("completion --words"),
                  std::string::npos);
    EXPECT_EQ(freezerctl::completion_script("csh"), "");
}

} // namespace
