// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <cstdlib>

#include <nlohmann/json.hpp>

#include "tests/support/scratch.h"

namespace
{

struct Ran {
    int status = -1;
    std::string output; // stdout and stderr
};

Ran run(const std::string &arguments)
{
    const char *const binary = std::getenv("FREEZERCTL");
    Ran ran;
    FILE *const pipe = ::popen(
        ((binary ? binary : "build/freezerctl") + (" " + arguments) + " 2>&1").c_str(), "re");
    std::array<char, 4096> buffer;
    for (size_t n; (n = std::fread(buffer.data(), 1, buffer.size(), pipe)) > 0;)
        ran.output.append(buffer.data(), n);
    const int status = ::pclose(pipe);
    ran.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return ran;
}

TEST(CommandSmoke, freeze_status_thaw_kill)
{
    test::Scratch scratch;
    scratch.spawn_sleeper();
    EXPECT_EQ(run("freeze " + scratch.path()).status, 0);
    EXPECT_EQ(scratch.event("frozen"), 1);
    EXPECT_EQ(run("status --is frozen " + scratch.path()).status, 0);
    EXPECT_EQ(run("status --is thawed " + scratch.path()).status, 3);
    const auto again = nlohmann::json::parse(run("freeze --json " + scratch.path()).output);
    EXPECT_EQ(again["already_frozen"], true);
    EXPECT_EQ(again["tracking"], "bpf");
    EXPECT_EQ(run("unpause " + scratch.path()).status, 0);
    EXPECT_EQ(scratch.event("frozen"), 0);
    EXPECT_EQ(run("kill --remove " + scratch.path()).status, 0);
    EXPECT_EQ(run("status " + scratch.path()).status, 4);
}

TEST(CommandSmoke, bad_input)
{
    test::Scratch scratch;
    EXPECT_EQ(run("freeze /").status, 1);
    EXPECT_EQ(run("freeze /no-such-cgroup-here").status, 4);
    EXPECT_EQ(run("freeze " + scratch.path() + "/..").status, 2);
    EXPECT_EQ(run("freeze --timeout soon " + scratch.path()).status, 2);
    EXPECT_EQ(run("freeze").status, 2);
    EXPECT_EQ(run("melt " + scratch.path()).status, 2);
    EXPECT_EQ(run("freeze /tmp").status, 4);
    EXPECT_EQ(run("freeze " + scratch.path() + " /no-such-cgroup-here").status, 4);
    EXPECT_EQ(scratch.read("cgroup.freeze"), "0\n");
}

TEST(CommandSmoke, deadline)
{
    test::Straggler straggler;
    if (!straggler.possible())
        GTEST_SKIP() << straggler.why();
    test::Scratch scratch;
    const pid_t pid = straggler.spawn(scratch);
    const Ran ran = run("freeze --timeout 200ms " + scratch.path());
    EXPECT_EQ(ran.status, 124) << ran.output;
    EXPECT_NE(ran.output.find(std::to_string(pid)), std::string::npos) << ran.output;
    EXPECT_EQ(scratch.read("cgroup.freeze"), "0\n");
}

} // namespace
