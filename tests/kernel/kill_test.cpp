// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <thread>

#include "tests/support/operations.h"

namespace
{

using freezer::Outcome;
using test::Counters;
using test::Scratch;

class Kill : public test::BothWaysTest
{
  protected:
    void expect_killed(const freezer::TargetReport &report, const Scratch &scratch,
                       const std::string &below = "")
    {
        EXPECT_EQ(report.outcome, Outcome::kReached) << (report.error ? report.error->message : "");
        EXPECT_EQ(scratch.event("populated", below), 0);
        EXPECT_TRUE(scratch.threads_of_tree(below).empty());
        EXPECT_TRUE(report.stragglers.empty());
        // A freeze that was only a means must not stay.
        EXPECT_EQ(scratch.read("cgroup.freeze", below), "0\n");
        if (!uses_bpf()) {
            EXPECT_FALSE(report.deaths);
        }
    }

    // At least so many, and no more where nothing forks.
    void expect_deaths(const freezer::TargetReport &report, std::uint64_t least,
                       std::uint64_t most = 0)
    {
        if (!uses_bpf() || (!report.deaths && test::kernel_skips_programs()))
            return;
        ASSERT_TRUE(report.deaths);
        EXPECT_GE(*report.deaths, least);
        EXPECT_LE(*report.deaths, std::max(least, most));
    }
};

// Forks as fast as it can, so that some children are always just being born.
void storm()
{
    for (;;) {
        const pid_t child = ::fork();
        if (child == 0) {
            if (::fork() == 0)
                ::usleep(200);
            ::_exit(0);
        }
        ::waitpid(child, nullptr, 0);
    }
}

// Makes a threaded child cgroup "t" and moves every task of the top into it.
void make_threaded(const Scratch &scratch)
{
    scratch.mkdir("t");
    ASSERT_TRUE(scratch.write("cgroup.type", "threaded", "t"));
    for (const pid_t tid : scratch.threads())
        ASSERT_TRUE(scratch.write("cgroup.threads", std::to_string(tid), "t"));
    ASSERT_EQ(scratch.read("cgroup.type", "t"), "threaded\n");
}

TEST_P(Kill, a_simple_cgroup)
{
    Scratch scratch;
    for (int i = 0; i < 50; ++i)
        scratch.spawn_sleeper();
    const auto report = kill(scratch.path());
    expect_killed(report, scratch);
    EXPECT_EQ(report.tasks, 50U);
    EXPECT_TRUE(report.requested);
    expect_deaths(report, 50);
}

TEST_P(Kill, threads)
{
    Scratch scratch;
    Counters counters(8);
    scratch.spawn([&counters] {
        for (size_t i = 0; i < counters.size(); ++i)
            std::thread([&counters, i] {
                counters[i].store(1);
                test::sleep_for_ever();
            }).detach();
        test::sleep_for_ever();
    });
    ASSERT_TRUE(test::eventually(
        [&] { return counters.values() == std::vector<std::uint64_t>(counters.size(), 1); }));
    const auto report = kill(scratch.path());
    expect_killed(report, scratch);
    expect_deaths(report, 9);
}

// cgroup.kill signals the first thread of each process and no other (__cgroup_kill() in
// kernel/cgroup/cgroup.c, seen on 6.18); one that has ended passes it on to nobody.
TEST_P(Kill, a_process_whose_first_thread_has_ended)
{
    Scratch scratch;
    const pid_t leader = scratch.spawn([] {
        std::thread(test::sleep_for_ever).detach();
        ::syscall(SYS_exit, 0); // this thread only, and no destructor of the test's
    });
    ASSERT_TRUE(test::eventually([&] {
        return test::read_file("/proc/" + std::to_string(leader) + "/stat").find(") Z ") !=
               std::string::npos;
    }));
    expect_killed(kill(scratch.path()), scratch);
}

TEST_P(Kill, a_tree_and_remove_it)
{
    Scratch scratch;
    for (const char *below : {"a", "a/b", "c/d/e"}) {
        scratch.mkdir(below);
        for (int i = 0; i < 5; ++i)
            scratch.spawn_sleeper(below);
    }
    const auto report = kill(scratch.path(), true);
    EXPECT_EQ(report.outcome, Outcome::kReached);
    EXPECT_TRUE(report.removed);
    EXPECT_EQ(report.cgroups, 6U);
    EXPECT_FALSE(report.state);
    EXPECT_NE(::access(scratch.dir().c_str(), F_OK), 0);
}

TEST_P(Kill, a_frozen_cgroup)
{
    Scratch scratch;
    scratch.mkdir("child");
    for (int i = 0; i < 10; ++i) {
        scratch.spawn_sleeper();
        scratch.spawn_sleeper("child");
    }
    ASSERT_EQ(freeze(scratch.path()).outcome, Outcome::kReached);
    const auto report = kill(scratch.path());
    EXPECT_EQ(report.outcome, Outcome::kReached);
    EXPECT_EQ(scratch.event("populated"), 0);
    // The request was there before and is not ours to take back.
    EXPECT_EQ(scratch.read("cgroup.freeze"), "1\n");
    expect_deaths(report, 20);
}

TEST_P(Kill, a_storm_of_forks)
{
    for (size_t round = 0; round < test::scaled(10, 2); ++round) {
        Scratch scratch;
        for (int i = 0; i < 4; ++i)
            scratch.spawn(storm);
        const auto report = kill(scratch.path());
        expect_killed(report, scratch);
        expect_deaths(report, 4, UINT64_MAX);
    }
}

TEST_P(Kill, a_threaded_cgroup)
{
    Scratch scratch;
    for (int i = 0; i < 10; ++i)
        scratch.spawn_sleeper();
    make_threaded(scratch);
    const auto report = kill(scratch.path("t"));
    expect_killed(report, scratch, "t");
    EXPECT_TRUE(report.requested);
    expect_deaths(report, 10);
}

TEST_P(Kill, a_threaded_cgroup_that_forks)
{
    for (size_t round = 0; round < test::scaled(10, 2); ++round) {
        Scratch scratch;
        for (int i = 0; i < 4; ++i)
            scratch.spawn([&scratch] {
                // Not before it was moved: its children are born where it is.
                (void)test::eventually([&] { return scratch.threads().empty(); });
                storm();
            });
        make_threaded(scratch);
        expect_killed(kill(scratch.path("t")), scratch, "t");
    }
}

TEST_P(Kill, a_frozen_threaded_cgroup_stays_asked)
{
    Scratch scratch;
    scratch.spawn_sleeper();
    make_threaded(scratch);
    ASSERT_EQ(freeze(scratch.path("t")).outcome, Outcome::kReached);
    EXPECT_EQ(kill(scratch.path("t")).outcome, Outcome::kReached);
    EXPECT_EQ(scratch.event("populated", "t"), 0);
    EXPECT_EQ(scratch.read("cgroup.freeze", "t"), "1\n");
}

TEST_P(Kill, a_stopped_task)
{
    Scratch scratch;
    const pid_t pid = scratch.spawn_sleeper();
    ASSERT_EQ(::kill(pid, SIGSTOP), 0);
    ASSERT_EQ(::waitpid(pid, nullptr, WUNTRACED), pid);
    expect_killed(kill(scratch.path()), scratch);
}

TEST_P(Kill, an_empty_cgroup_has_nothing_to_kill)
{
    Scratch scratch;
    const auto report = kill(scratch.path());
    EXPECT_EQ(report.outcome, Outcome::kReached);
    EXPECT_TRUE(report.already);
    EXPECT_FALSE(report.requested);
    const auto removed = kill(scratch.path(), true);
    EXPECT_EQ(removed.outcome, Outcome::kReached);
    EXPECT_TRUE(removed.removed);
}

TEST_P(Kill, only_its_own_tasks)
{
    Scratch scratch;
    scratch.mkdir("victim");
    scratch.mkdir("bystander");
    Counters counters(1);
    scratch.spawn_sleeper("victim");
    scratch.spawn_napper(counters, 0, 1, "bystander");
    expect_killed(kill(scratch.path("victim")), scratch, "victim");
    test::expect_moving(counters);
}

INSTANTIATE_TEST_SUITE_P(Ways, Kill, ::testing::Bool(), test::name_of_way);

} // namespace
