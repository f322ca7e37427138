// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// run: nothing of a command is left behind.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>

#include <nlohmann/json.hpp>

#include "tests/support/command.h"
#include "tests/support/scratch.h"

namespace
{

using nlohmann::json;
using test::Command;
using test::eventually;
using test::Ran;
using test::run;
using test::Scratch;

class Run : public ::testing::Test
{
  protected:
    // run OPTIONS --parent SCRATCH --name box -- /bin/sh -c SCRIPT
    [[nodiscard]] std::vector<std::string> boxed(const std::string &script,
                                                 std::vector<std::string> options = {}) const
    {
        options.insert(options.begin(), "run");
        options.insert(options.end(), {"--parent", scratch_.path(), "--name", "box", "--",
                                       "/bin/sh", "-c", script});
        return options;
    }
    [[nodiscard]] bool there_is_a_box() const
    {
        return ::access(scratch_.dir("box").c_str(), F_OK) == 0;
    }

    Scratch scratch_;
};

TEST_F(Run, the_command_is_in_a_cgroup_of_its_own)
{
    const Ran ran = run(boxed("cat /proc/self/cgroup; exit 3"));
    EXPECT_EQ(ran.status, 3) << ran.err;
    EXPECT_NE(ran.out.find("0::" + scratch_.path("box") + "\n"), std::string::npos) << ran.out;
    EXPECT_EQ(ran.err, ""); // nothing to tell
    EXPECT_FALSE(there_is_a_box());

    EXPECT_EQ(run(boxed("kill -9 $$")).status, 128 + SIGKILL);
    EXPECT_EQ(run("run -- /no/such/command").status, 127);
    EXPECT_EQ(run("run -- /").status, 126);
    EXPECT_EQ(run("run").status, 2);
    const Ran without = run("run sleep 1000");
    EXPECT_EQ(without.status, 2);
    EXPECT_NE(without.err.find("-- COMMAND"), std::string::npos) << without.err;
    EXPECT_EQ(run("run --name a/b -- /bin/true").status, 2);
    EXPECT_EQ(run("run --parent /no/such/cgroup -- /bin/true").status, 125);
}

TEST_F(Run, what_it_leaves_behind_is_named_and_killed)
{
    const Ran ran = run(boxed("(setsid sh -c 'exec sleep 4711' </dev/null &) ; exit 0"));
    EXPECT_EQ(ran.status, 0);
    EXPECT_NE(ran.err.find("left 1 process behind: killed"), std::string::npos) << ran.err;
    EXPECT_NE(ran.err.find("sleep 4711"), std::string::npos) << ran.err;
    EXPECT_FALSE(there_is_a_box());

    const std::string left = "setsid sleep 4711 </dev/null >/dev/null 2>&1 &";
    EXPECT_EQ(run(boxed(left, {"--fail-on-leftover"})).status, 3);
    EXPECT_EQ(run(boxed(left + " exit 9", {"--fail-on-leftover"})).status, 9);
    EXPECT_EQ(run(boxed("true", {"--fail-on-leftover"})).status, 0);
}

TEST_F(Run, in_json)
{
    const Ran ran = run(boxed("setsid sleep 4711 </dev/null >/dev/null 2>&1 &", {"--json"}));
    const json report = json::parse(ran.err);
    EXPECT_EQ(report["verb"], "run");
    EXPECT_EQ(report["outcome"], "reached");
    EXPECT_EQ(report["status"], 0);
    EXPECT_EQ(report["path"], scratch_.path("box"));
    EXPECT_EQ(report["removed"], true);
    EXPECT_EQ(report["left"], 1);
    ASSERT_EQ(report["left_list"].size(), 1U);
    EXPECT_EQ(report["left_list"][0]["command_line"], "sleep 4711");
}

TEST_F(Run, cgroups_that_the_command_made_go_too)
{
    const Ran ran = run(boxed("mkdir -p " + scratch_.dir("box/a/b") + " && echo $$ >" +
                              scratch_.dir("box/a/b") + "/cgroup.procs"));
    EXPECT_EQ(ran.status, 0) << ran.err;
    EXPECT_FALSE(there_is_a_box());
}

TEST_F(Run, what_is_about_to_end_is_not_left_behind)
{
    const Ran ran =
        run(boxed("(sleep 1; exit 0) & exit 0", {"--grace", "1h", "--fail-on-leftover"}));
    EXPECT_EQ(ran.status, 0) << ran.err;
    EXPECT_EQ(ran.err.find("behind"), std::string::npos) << ran.err;
}

TEST_F(Run, the_time_is_over)
{
    const Ran ran = run(boxed("sleep 4711 & exec sleep 4712", {"--timeout", "100ms"}));
    EXPECT_EQ(ran.status, 124) << ran.err;
    EXPECT_NE(ran.err.find("did not end within"), std::string::npos) << ran.err;
    EXPECT_FALSE(there_is_a_box());
}

TEST_F(Run, signals_and_input_pass_through)
{
    Command command(boxed("trap 'exit 5' USR1; echo ready; while :; do sleep 1; done"));
    ASSERT_TRUE(command.says("ready"));
    command.signal(SIGUSR1);
    EXPECT_EQ(command.finish().status, 5);
    EXPECT_FALSE(there_is_a_box());

    int pipe[2];
    ASSERT_EQ(::pipe(pipe), 0);
    ASSERT_EQ(::write(pipe[1], "words\n", 6), 6);
    ::close(pipe[1]);
    Command reader(boxed("cat"), [&] { ::dup2(pipe[0], STDIN_FILENO); });
    ::close(pipe[0]);
    EXPECT_EQ(reader.finish().out, "words\n");
}

TEST_F(Run, killed_it_takes_everything_along)
{
    Command command(boxed("setsid sleep 4711 & echo ready; exec sleep 4712"));
    ASSERT_TRUE(command.says("ready"));
    EXPECT_TRUE(there_is_a_box());
    command.signal(SIGKILL);
    EXPECT_EQ(command.finish().status, 128 + SIGKILL);
    EXPECT_TRUE(eventually([&] { return !there_is_a_box(); }));
}

TEST_F(Run, it_starts_frozen)
{
    Command command(boxed("echo started", {"--frozen"}));
    ASSERT_TRUE(command.says("freezerctl thaw " + scratch_.path("box")));
    EXPECT_EQ(scratch_.event("frozen", "box"), 1);
    EXPECT_EQ(command.out, "");
    // Not by the verb: it would find the cgroup gone at times, as short as the command is.
    EXPECT_TRUE(scratch_.write("cgroup.freeze", "0", "box"));
    const Ran ran = command.finish();
    EXPECT_EQ(ran.status, 0) << ran.err;
    EXPECT_EQ(ran.out, "started\n");

    Command none(
        {"run", "--frozen", "--parent", scratch_.path(), "--name", "box", "--", "/no/such"});
    ASSERT_TRUE(none.says("freezerctl thaw"));
    EXPECT_TRUE(scratch_.write("cgroup.freeze", "0", "box"));
    const Ran failed = none.finish();
    EXPECT_EQ(failed.status, 127);
    EXPECT_NE(failed.err.find("/no/such: "), std::string::npos) << failed.err;
}

TEST_F(Run, one_in_another)
{
    const Ran ran = run(boxed("setsid sleep 4711 </dev/null >/dev/null 2>&1 & exec " +
                              test::binary() + " run --name inner -- /bin/sh -c " +
                              "'cat /proc/self/cgroup; setsid sleep 4713 & exit 6'"));
    EXPECT_EQ(ran.status, 6) << ran.err;
    EXPECT_NE(ran.out.find("0::" + scratch_.path("box") + "/inner\n"), std::string::npos)
        << ran.out;
    EXPECT_NE(ran.err.find("sleep 4713"), std::string::npos) << ran.err;
    EXPECT_NE(ran.err.find("sleep 4711"), std::string::npos) << ran.err;
    EXPECT_FALSE(there_is_a_box());
}

TEST_F(Run, the_name_is_taken)
{
    scratch_.mkdir("box");
    const Ran ran = run(boxed("true"));
    EXPECT_EQ(ran.status, 125);
    EXPECT_NE(ran.err.find("--name"), std::string::npos) << ran.err;
    EXPECT_TRUE(there_is_a_box());
}

} // namespace
