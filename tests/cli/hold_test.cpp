// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// freeze around a command, and for a time: whatever happens, it is thawed.
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>

#include <nlohmann/json.hpp>

#include "tests/support/command.h"
#include "tests/support/json_lines.h"
#include "tests/support/scratch.h"
#include "tests/support/scratch_v1.h"

namespace
{

using test::Command;
using test::eventually;
using test::Ran;
using test::run;
using test::Scratch;

class Hold : public ::testing::Test
{
  protected:
    Hold() { scratch_.spawn_sleeper(); }
    // freeze OPTIONS SCRATCH -- /bin/sh -c SCRIPT
    [[nodiscard]] std::vector<std::string> around(const std::string &script,
                                                  std::vector<std::string> options = {}) const
    {
        options.insert(options.begin(), "freeze");
        options.insert(options.end(), {scratch_.path(), "--", "/bin/sh", "-c", script});
        return options;
    }
    [[nodiscard]] bool asks() const { return scratch_.read("cgroup.freeze") == "1\n"; }
    [[nodiscard]] bool becomes_thawed() const
    {
        return eventually([&] { return !asks(); });
    }

    Scratch scratch_;
};

TEST_F(Hold, the_command_runs_while_everything_is_still)
{
    const Ran ran = run(around("cat " + scratch_.dir() + "/cgroup.events; echo words >&2"));
    EXPECT_EQ(ran.status, 0) << ran.err;
    EXPECT_NE(ran.out.find("frozen 1\n"), std::string::npos) << ran.out;
    // stdout is the command's alone.
    EXPECT_EQ(ran.out.find(scratch_.path()), std::string::npos) << ran.out;
    const size_t frozen = ran.err.find("frozen " + scratch_.path());
    const size_t words = ran.err.find("words");
    const size_t thawed = ran.err.find("thawed " + scratch_.path());
    EXPECT_LT(frozen, words) << ran.err;
    EXPECT_LT(words, thawed) << ran.err;
    EXPECT_NE(thawed, std::string::npos) << ran.err;
    EXPECT_FALSE(asks());
}

TEST_F(Hold, its_exit_code_is_the_commands)
{
    EXPECT_EQ(run(around("exit 7")).status, 7);
    EXPECT_EQ(run(around("kill -KILL $$")).status, 128 + SIGKILL);
    const Ran missing = run("freeze " + scratch_.path() + " -- /no/such/command");
    EXPECT_EQ(missing.status, 127);
    EXPECT_NE(missing.err.find("/no/such/command: "), std::string::npos) << missing.err;
    EXPECT_EQ(run("freeze " + scratch_.path() + " -- /").status, 126);
    EXPECT_FALSE(asks());
}

TEST_F(Hold, the_report_goes_where_it_is_wanted)
{
    const Ran ran = run(around("true", {"--json"}));
    const auto lines = test::lines_of(ran.err);
    ASSERT_EQ(lines.size(), 2U) << ran.err;
    EXPECT_EQ(lines[0]["verb"], "freeze");
    EXPECT_EQ(lines[1]["verb"], "thaw");

    const std::string file =
        std::filesystem::temp_directory_path() / ("freezerctl-test-" + std::to_string(::getpid()));
    const Ran quiet = run(around("echo out", {"--report", file, "--json"}));
    EXPECT_EQ(quiet.out, "out\n");
    EXPECT_EQ(quiet.err, "");
    EXPECT_EQ(test::lines_of(test::read_file(file)).size(), 2U);
    std::filesystem::remove(file);
    EXPECT_EQ(run(around("echo out", {"--report", "/no/such/place"})).status, 125);
    EXPECT_FALSE(asks());
}

TEST_F(Hold, without_a_freeze_the_command_is_not_run)
{
    const Ran gone = run("freeze /no/such/cgroup " + scratch_.path() + " -- /bin/echo ran");
    EXPECT_EQ(gone.status, 125);
    EXPECT_EQ(gone.out, "");
    EXPECT_FALSE(asks());
    EXPECT_EQ(run(around("echo ran", {"--timeout", "soon"})).status, 2);
    EXPECT_EQ(run(around("echo ran", {"--on-timeout", "keep"})).status, 2);
    EXPECT_EQ(run("freeze " + scratch_.path() + " --").status, 2);
}

TEST_F(Hold, when_one_of_two_does_not_freeze_neither_stays_frozen)
{
    test::Straggler straggler;
    if (!straggler.possible())
        GTEST_SKIP() << straggler.why();
    Scratch stubborn;
    straggler.spawn(stubborn);
    const Ran ran = run({"freeze", "--timeout", "100ms", scratch_.path(), stubborn.path(), "--",
                         "/bin/echo", "ran"});
    EXPECT_EQ(ran.status, 125) << ran.err;
    EXPECT_EQ(ran.out, "");
    EXPECT_FALSE(asks());
    EXPECT_EQ(stubborn.read("cgroup.freeze"), "0\n");
}

TEST_F(Hold, what_was_frozen_before_stays_so)
{
    ASSERT_EQ(run("freeze " + scratch_.path()).status, 0);
    EXPECT_EQ(run(around("true")).status, 0);
    EXPECT_TRUE(asks());
    EXPECT_EQ(run("freeze --thaw-after 0 " + scratch_.path()).status, 0);
    EXPECT_TRUE(asks());
    EXPECT_EQ(run(around("kill -KILL $PPID; exec sleep 1000")).status, 128 + SIGKILL);
    EXPECT_TRUE(asks());
}

TEST_F(Hold, a_thaw_by_somebody_else_is_told)
{
    const Ran ran =
        run(around("echo 0 >" + scratch_.dir() + "/cgroup.freeze; read line </dev/null; exit 0"));
    EXPECT_EQ(ran.status, 1) << ran.err;
    EXPECT_NE(ran.err.find("thawed by somebody else"), std::string::npos) << ran.err;
    EXPECT_EQ(run(around("echo 0 >" + scratch_.dir() + "/cgroup.freeze; exit 9")).status, 9);
}

TEST_F(Hold, a_removal_by_somebody_else_is_told)
{
    Scratch empty;
    const Ran ran = run({"freeze", empty.path(), "--", "/bin/rmdir", empty.dir()});
    EXPECT_NE(ran.err.find("removed by somebody else"), std::string::npos) << ran.err;
    EXPECT_EQ(ran.err.find("thawed by somebody else"), std::string::npos) << ran.err;
}

TEST_F(Hold, the_command_keeps_what_freezerctl_gives_up)
{
    const Ran ran = run(around("grep CapEff /proc/self/status; grep CapEff /proc/$PPID/status"));
    const size_t line = ran.out.find('\n');
    ASSERT_NE(line, std::string::npos) << ran.err;
    EXPECT_EQ(ran.out.substr(0, line + 1), [] {
        const std::string own = test::read_file("/proc/self/status");
        const size_t at = own.find("CapEff");
        return own.substr(at, own.find('\n', at) + 1 - at);
    }());
    EXPECT_NE(ran.out.substr(0, line + 1), ran.out.substr(line + 1));
}

TEST_F(Hold, signals_go_to_the_command)
{
    Command command(around("echo ready; exec sleep 1000"));
    ASSERT_TRUE(command.says("ready"));
    command.signal(SIGTERM);
    EXPECT_EQ(command.finish().status, 128 + SIGTERM);
    EXPECT_FALSE(asks());

    // A shell cannot trap what was ignored when it began, as nohup(1) leaves it.
    Command handling(around("trap 'echo hup; exit 5' HUP; echo ready; while :; do sleep 1; done"),
                     [] { ::signal(SIGHUP, SIG_DFL); });
    ASSERT_TRUE(handling.says("ready"));
    handling.signal(SIGHUP);
    EXPECT_EQ(handling.finish().status, 5);
    EXPECT_FALSE(asks());
}

TEST_F(Hold, a_second_signal_thaws_at_once)
{
    Command command(around("trap '' TERM INT; echo ready; while :; do sleep 1; done"));
    ASSERT_TRUE(command.says("ready"));
    command.signal(SIGINT);
    EXPECT_TRUE(asks());
    command.signal(SIGTERM);
    ASSERT_TRUE(becomes_thawed());
    command.close_output(); // the command holds it
}

TEST_F(Hold, killed_it_thaws_all_the_same)
{
    Command command(around("echo pid $$; exec sleep 1000"));
    ASSERT_TRUE(command.says("pid "));
    EXPECT_TRUE(asks());
    command.signal(SIGKILL);
    EXPECT_EQ(command.finish().status, 128 + SIGKILL);
    EXPECT_TRUE(becomes_thawed());
    // What the command would read from now on is not still any more.
    const auto sleeper = static_cast<pid_t>(std::atoi(command.out.c_str() + 4));
    ASSERT_GT(sleeper, 0);
    EXPECT_TRUE(eventually([&] {
        const std::string stat = test::read_file("/proc/" + std::to_string(sleeper) + "/stat");
        return stat.empty() || stat.find(") Z") != std::string::npos;
    }));
}

TEST_F(Hold, killed_with_its_process_group_it_thaws_all_the_same)
{
    Command command(around("echo ready; exec sleep 1000"), [] { ::setpgid(0, 0); });
    ASSERT_TRUE(command.says("ready"));
    ::kill(-command.pid(), SIGKILL);
    EXPECT_EQ(command.finish().status, 128 + SIGKILL);
    EXPECT_TRUE(becomes_thawed());
}

TEST_F(Hold, killed_while_it_freezes_it_takes_the_request_back)
{
    test::Straggler straggler;
    if (!straggler.possible())
        GTEST_SKIP() << straggler.why();
    Scratch stubborn;
    straggler.spawn(stubborn);
    Command command({"freeze", "--timeout", "1h", stubborn.path(), "--", "/bin/echo", "ran"});
    ASSERT_TRUE(eventually([&] { return stubborn.read("cgroup.freeze") == "1\n"; }));
    command.signal(SIGKILL);
    EXPECT_EQ(command.finish().out, "");
    EXPECT_TRUE(eventually([&] { return stubborn.read("cgroup.freeze") == "0\n"; }));
}

TEST_F(Hold, it_thaws_after_a_time)
{
    const Ran ran = run("freeze --thaw-after 50ms " + scratch_.path());
    EXPECT_EQ(ran.status, 0) << ran.err;
    EXPECT_EQ(ran.out.rfind("frozen " + scratch_.path(), 0), 0U) << ran.out;
    EXPECT_TRUE(becomes_thawed());
    EXPECT_EQ(run("freeze --thaw-after soon " + scratch_.path()).status, 2);
}

TEST_F(Hold, it_thaws_after_a_time_though_the_command_goes_on)
{
    const Ran ran = run(around("exec sleep 1000", {"--thaw-after", "50ms"}));
    EXPECT_EQ(ran.status, 124) << ran.err;
    EXPECT_NE(ran.err.find("--thaw-after"), std::string::npos) << ran.err;
    EXPECT_EQ(ran.err.find("somebody else"), std::string::npos) << ran.err;
    EXPECT_FALSE(asks());
}

TEST_F(Hold, on_v1_as_well)
{
    if (test::v1_mount().empty())
        GTEST_SKIP() << "no v1 freezer";
    test::ScratchV1 v1;
    v1.spawn_sleeper();
    const Ran ran = run(
        {"freeze", "--hierarchy", "v1", v1.path(), "--", "/bin/cat", v1.dir() + "/freezer.state"});
    EXPECT_EQ(ran.status, 0) << ran.err;
    EXPECT_EQ(ran.out, "FROZEN\n");
    EXPECT_EQ(v1.state(), "THAWED");

    Command command({"freeze", "--hierarchy", "v1", v1.path(), "--", "/bin/sh", "-c",
                     "echo ready; exec sleep 1000"});
    ASSERT_TRUE(command.says("ready"));
    EXPECT_EQ(v1.state(), "FROZEN");
    command.signal(SIGKILL);
    EXPECT_EQ(command.finish().status, 128 + SIGKILL);
    EXPECT_TRUE(eventually([&] { return v1.state() == "THAWED"; }));

    const Ran disturbed = run({"freeze", "--hierarchy", "v1", v1.path(), "--", "/bin/sh", "-c",
                               "echo THAWED >" + v1.dir() + "/freezer.state"});
    EXPECT_EQ(disturbed.status, 1) << disturbed.err;
}

// Else it would end a later freeze that is not its own.
TEST_F(Hold, the_guardian_goes_when_somebody_else_thaws)
{
    // Orphans become ours.
    ASSERT_EQ(::prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    const pid_t sleeper = scratch_.threads().front();
    ASSERT_EQ(run("freeze --thaw-after 1h " + scratch_.path()).status, 0);
    EXPECT_TRUE(asks());
    ASSERT_TRUE(scratch_.write("cgroup.freeze", "0"));
    pid_t guardian = 0;
    EXPECT_TRUE(eventually([&] {
        guardian = ::waitpid(-1, nullptr, WNOHANG);
        return guardian > 0;
    }));
    EXPECT_NE(guardian, sleeper);
    ::prctl(PR_SET_CHILD_SUBREAPER, 0);
}

} // namespace
