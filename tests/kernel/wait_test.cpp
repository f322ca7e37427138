// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/eventfd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "tests/support/foreigner.h"
#include "tests/support/operations.h"
#include "user/unique_fd.h"

namespace
{

using freezer::Goal;
using freezer::Outcome;
using test::Foreigner;
using test::Scratch;

class Wait : public test::BothWaysTest
{
};

TEST_P(Wait, for_frozen)
{
    Scratch scratch;
    scratch.spawn_sleeper();
    Foreigner foreigner([&] { return scratch.write("cgroup.freeze", "1"); });
    const auto report = wait(scratch.path(), Goal::kFrozen);
    EXPECT_TRUE(foreigner.succeeded());
    EXPECT_EQ(report.outcome, Outcome::kReached);
    EXPECT_FALSE(report.already);
    EXPECT_FALSE(report.requested);
    EXPECT_EQ(scratch.event("frozen"), 1);
}

TEST_P(Wait, for_frozen_through_an_ancestor)
{
    Scratch scratch;
    scratch.mkdir("child");
    scratch.spawn_sleeper("child");
    Foreigner foreigner([&] { return scratch.write("cgroup.freeze", "1"); });
    const auto report = wait(scratch.path("child"), Goal::kFrozen);
    EXPECT_TRUE(foreigner.succeeded());
    EXPECT_EQ(report.outcome, Outcome::kReached);
    EXPECT_EQ(report.state, freezer::State::kFrozenByParent);
}

TEST_P(Wait, for_thawed)
{
    Scratch scratch;
    scratch.spawn_sleeper();
    ASSERT_EQ(freeze(scratch.path()).outcome, Outcome::kReached);
    Foreigner foreigner([&] { return scratch.write("cgroup.freeze", "0"); });
    const auto report = wait(scratch.path(), Goal::kThawed);
    EXPECT_TRUE(foreigner.succeeded());
    EXPECT_EQ(report.outcome, Outcome::kReached);
    EXPECT_EQ(report.state, freezer::State::kThawed);
}

// An unfinished freeze that is taken back changes nothing in cgroup.events.
TEST_P(Wait, for_thawed_of_an_unfinished_freeze)
{
    test::Straggler straggler;
    if (!straggler.possible())
        GTEST_SKIP() << straggler.why();
    Scratch scratch;
    straggler.spawn(scratch);
    ASSERT_TRUE(scratch.write("cgroup.freeze", "1"));
    Foreigner foreigner([&] { return scratch.write("cgroup.freeze", "0"); });
    const auto report = wait(scratch.path(), Goal::kThawed);
    EXPECT_TRUE(foreigner.succeeded());
    EXPECT_EQ(report.outcome, Outcome::kReached);
    EXPECT_FALSE(report.already);
}

TEST_P(Wait, for_empty)
{
    Scratch scratch;
    scratch.mkdir("child");
    const pid_t one = scratch.spawn_sleeper();
    const pid_t two = scratch.spawn_sleeper("child");
    Foreigner foreigner([&] { return ::kill(one, SIGKILL) == 0 && ::kill(two, SIGKILL) == 0; });
    const auto report = wait(scratch.path(), Goal::kEmpty);
    EXPECT_TRUE(foreigner.succeeded());
    EXPECT_EQ(report.outcome, Outcome::kReached);
    EXPECT_EQ(scratch.event("populated"), 0);
}

TEST_P(Wait, for_what_already_holds)
{
    Scratch scratch;
    for (const Goal goal : {Goal::kThawed, Goal::kEmpty}) {
        const auto report = wait(scratch.path(), goal);
        EXPECT_EQ(report.outcome, Outcome::kReached);
        EXPECT_TRUE(report.already);
    }
    ASSERT_EQ(freeze(scratch.path()).outcome, Outcome::kReached);
    EXPECT_TRUE(wait(scratch.path(), Goal::kFrozen).already);
}

TEST_P(Wait, until_the_deadline)
{
    Scratch scratch;
    scratch.spawn_sleeper();
    for (const Goal goal : {Goal::kFrozen, Goal::kEmpty}) {
        const auto report = wait(scratch.path(), goal, test::freeze_options(test::kShort));
        EXPECT_EQ(report.outcome, Outcome::kDeadline);
        EXPECT_EQ(test::stragglers_of(report), scratch.threads());
    }
    EXPECT_EQ(scratch.read("cgroup.freeze"), "0\n");
}

TEST_P(Wait, until_interrupted)
{
    Scratch scratch;
    scratch.spawn_sleeper();
    const freezer::UniqueFd interrupt(::eventfd(0, EFD_CLOEXEC));
    ASSERT_TRUE(interrupt);
    Foreigner foreigner([&] { return ::eventfd_write(interrupt.get(), 1) == 0; });
    auto options = test::freeze_options();
    options.interrupt_fd = interrupt.get();
    EXPECT_EQ(wait(scratch.path(), Goal::kEmpty, options).outcome, Outcome::kInterrupted);
    EXPECT_TRUE(foreigner.succeeded());
}

struct Inotify {
    size_t instances = 0;
    size_t watches = 0;
};

// What this process has open.
Inotify count_inotify()
{
    Inotify counted;
    for (const auto &entry : std::filesystem::directory_iterator("/proc/self/fdinfo")) {
        std::error_code gone; // the listing's own
        const auto link = "/proc/self/fd" / entry.path().filename();
        if (std::filesystem::read_symlink(link, gone) != "anon_inode:inotify")
            continue;
        ++counted.instances;
        std::ifstream lines(entry.path());
        for (std::string line; std::getline(lines, line);)
            counted.watches += line.starts_with("inotify wd:") ? 1 : 0;
    }
    return counted;
}

// To close an inotify instance takes milliseconds, which no report is to wait for.
TEST_P(Wait, leaves_no_watch_behind_and_keeps_the_instance)
{
    Scratch scratch;
    scratch.spawn_sleeper();
    const auto long_wait = [&] {
        const auto options = test::freeze_options(test::kShort);
        EXPECT_EQ(wait(scratch.path(), Goal::kFrozen, options).outcome, Outcome::kDeadline);
        return count_inotify();
    };
    const Inotify before = count_inotify();
    const Inotify once = long_wait();
    EXPECT_EQ(once.watches, before.watches);
    EXPECT_LE(once.instances, before.instances + 1);
    EXPECT_GE(once.instances, 1U);
    const Inotify twice = long_wait();
    EXPECT_EQ(twice.watches, before.watches);
    EXPECT_EQ(twice.instances, once.instances);
}

INSTANTIATE_TEST_SUITE_P(Ways, Wait, ::testing::Bool(), test::name_of_way);

} // namespace
