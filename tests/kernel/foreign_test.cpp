// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// Somebody else comes in while an operation waits. It wakes, says so, and with BPF says who.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "tests/support/foreigner.h"
#include "tests/support/operations.h"
#include "user/unique_fd.h"

namespace
{

using freezer::Goal;
using freezer::Outcome;
using test::Foreigner;
using test::freeze_options;
using test::Scratch;

class Foreign : public test::BothWaysTest
{
  protected:
    void expect_named(const freezer::TargetReport &report, const Foreigner &foreigner)
    {
        if (!uses_bpf()) {
            EXPECT_FALSE(report.actor);
            return;
        }
        ASSERT_TRUE(report.actor);
        EXPECT_EQ(report.actor->pid, static_cast<std::uint32_t>(foreigner.pid()));
        EXPECT_EQ(report.actor->comm, Foreigner::kComm);
        EXPECT_EQ(report.actor->uid, 0U);
    }
    [[nodiscard]] bool no_straggler() const { return !straggler.possible(); }
    test::Straggler straggler;
};

TEST_P(Foreign, a_thaw_while_freezing)
{
    if (no_straggler())
        GTEST_SKIP() << straggler.why();
    Scratch scratch;
    straggler.spawn(scratch);
    Foreigner foreigner([&] { return scratch.write("cgroup.freeze", "0"); });
    const auto report = freeze(scratch.path());
    EXPECT_TRUE(foreigner.succeeded());
    EXPECT_EQ(report.outcome, Outcome::kFailed);
    EXPECT_FALSE(report.rolled_back);
    expect_named(report, foreigner);
    EXPECT_EQ(scratch.read("cgroup.freeze"), "0\n");
}

TEST_P(Foreign, a_kill_while_freezing)
{
    if (no_straggler())
        GTEST_SKIP() << straggler.why();
    Scratch scratch;
    const pid_t victim = straggler.spawn(scratch);
    Foreigner foreigner([&] { return ::kill(victim, SIGKILL) == 0; });
    const auto report = freeze(scratch.path());
    EXPECT_TRUE(foreigner.succeeded());
    if (!uses_bpf()) {
        // An empty cgroup is frozen; that it was emptied by a kill, no file tells.
        EXPECT_EQ(report.outcome, Outcome::kReached);
        return;
    }
    EXPECT_EQ(report.outcome, Outcome::kFailed);
    expect_named(report, foreigner);
}

TEST_P(Foreign, a_freeze_while_thawing)
{
    // On one CPU, above the test in rank and asleep until the file is written to: the foreigner
    // runs before the test looks.
    cpu_set_t saved;
    ASSERT_EQ(::sched_getaffinity(0, sizeof(saved), &saved), 0);
    cpu_set_t one;
    CPU_ZERO(&one);
    const int cpu = ::sched_getcpu();
    ASSERT_GE(cpu, 0);
    CPU_SET(static_cast<size_t>(cpu), &one);
    ASSERT_EQ(::sched_setaffinity(0, sizeof(one), &one), 0);
    const sched_param rank{.sched_priority = 1};
    const bool ranked = ::sched_setscheduler(0, SCHED_FIFO, &rank) == 0;
    const sched_param none{};
    ::sched_setscheduler(0, SCHED_OTHER, &none);
    if (!ranked) {
        ::sched_setaffinity(0, sizeof(saved), &saved);
        GTEST_SKIP() << "no SCHED_FIFO for us here";
    }

    Scratch scratch;
    scratch.spawn_sleeper();
    ASSERT_EQ(freeze(scratch.path()).outcome, Outcome::kReached);
    int watch = -1;
    Foreigner foreigner(
        [&] {
            pollfd event{watch, POLLIN, 0};
            return ::poll(&event, 1, -1) == 1 && scratch.write("cgroup.freeze", "1");
        },
        Foreigner::When::kAtOnce,
        [&] {
            watch = ::inotify_init1(IN_CLOEXEC);
            return ::sched_setscheduler(0, SCHED_FIFO, &rank) == 0 &&
                   ::inotify_add_watch(watch, (scratch.dir() + "/cgroup.freeze").c_str(),
                                       IN_MODIFY) >= 0;
        });
    // Asleep, not only about to be.
    EXPECT_TRUE(test::eventually([&] {
        return test::read_file("/proc/" + std::to_string(foreigner.pid()) + "/stat").find(") S ") !=
               std::string::npos;
    }));
    const auto report = thaw(scratch.path());
    EXPECT_TRUE(foreigner.succeeded());
    EXPECT_EQ(report.outcome, Outcome::kFailed);
    expect_named(report, foreigner);
    EXPECT_EQ(scratch.read("cgroup.freeze"), "1\n");
    ::sched_setaffinity(0, sizeof(saved), &saved);
}

TEST_P(Foreign, a_confirming_write_is_not_rolled_back)
{
    if (no_straggler())
        GTEST_SKIP() << straggler.why();
    Scratch scratch;
    straggler.spawn(scratch);
    const freezer::UniqueFd interrupt(::eventfd(0, EFD_CLOEXEC));
    ASSERT_TRUE(interrupt);
    // It changes nothing, so only inotify tells: it must be there. Then the wait ends.
    Foreigner foreigner(
        [&] {
            return scratch.write("cgroup.freeze", "1") && ::eventfd_write(interrupt.get(), 1) == 0;
        },
        Foreigner::When::kWatching);
    auto options = freeze_options();
    options.interrupt_fd = interrupt.get();
    const auto report = freeze(scratch.path(), options);
    EXPECT_TRUE(foreigner.succeeded());
    EXPECT_EQ(report.outcome, Outcome::kInterrupted);
    EXPECT_FALSE(report.rolled_back);
    EXPECT_EQ(scratch.read("cgroup.freeze"), "1\n");
}

TEST_P(Foreign, thawed_and_frozen_again_is_not_rolled_back)
{
    if (no_straggler())
        GTEST_SKIP() << straggler.why();
    Scratch scratch;
    straggler.spawn(scratch);
    const freezer::UniqueFd interrupt(::eventfd(0, EFD_CLOEXEC));
    ASSERT_TRUE(interrupt);
    Foreigner foreigner([&] {
        return scratch.write("cgroup.freeze", "0") && scratch.write("cgroup.freeze", "1") &&
               ::eventfd_write(interrupt.get(), 1) == 0;
    });
    auto options = freeze_options();
    options.interrupt_fd = interrupt.get();
    const auto report = freeze(scratch.path(), options);
    EXPECT_TRUE(foreigner.succeeded());
    // It may have been seen in between, thawed by another: that is a failure, and no rollback.
    EXPECT_TRUE(report.outcome == Outcome::kInterrupted || report.outcome == Outcome::kFailed);
    EXPECT_FALSE(report.rolled_back);
    EXPECT_EQ(scratch.read("cgroup.freeze"), "1\n");
}

TEST_P(Foreign, a_removal_while_waiting_for_frozen)
{
    Scratch scratch;
    scratch.mkdir("goes");
    Foreigner foreigner([&] { return scratch.rmdir("goes"); });
    const auto report = wait(scratch.path("goes"), Goal::kFrozen);
    EXPECT_TRUE(foreigner.succeeded());
    EXPECT_EQ(report.outcome, Outcome::kNoSuchCgroup);
    EXPECT_FALSE(report.state);
    expect_named(report, foreigner);
}

TEST_P(Foreign, a_removal_while_waiting_for_thawed)
{
    Scratch scratch;
    scratch.mkdir("goes");
    ASSERT_EQ(freeze(scratch.path("goes")).outcome, Outcome::kReached);
    Foreigner foreigner([&] { return scratch.rmdir("goes"); });
    const auto report = wait(scratch.path("goes"), Goal::kThawed);
    EXPECT_TRUE(foreigner.succeeded());
    EXPECT_EQ(report.outcome, Outcome::kNoSuchCgroup);
    expect_named(report, foreigner);
}

// The end of its last task and its removal are two events: either is the goal.
TEST_P(Foreign, a_removal_while_waiting_for_empty)
{
    Scratch scratch;
    scratch.mkdir("goes");
    const pid_t victim = scratch.spawn_sleeper("goes");
    Foreigner foreigner([&] {
        return ::kill(victim, SIGKILL) == 0 &&
               test::eventually([&] { return scratch.rmdir("goes"); });
    });
    const auto report = wait(scratch.path("goes"), Goal::kEmpty);
    EXPECT_TRUE(foreigner.succeeded());
    EXPECT_EQ(report.outcome, Outcome::kReached);
    EXPECT_FALSE(report.error);
}

TEST_P(Foreign, a_removal_while_killing)
{
    for (size_t round = 0; round < test::scaled(20, 3); ++round) {
        Scratch scratch;
        scratch.mkdir("goes");
        for (int i = 0; i < 5; ++i)
            scratch.spawn_sleeper("goes");
        // From before the kill on.
        Foreigner foreigner([&] { return test::eventually([&] { return scratch.rmdir("goes"); }); },
                            Foreigner::When::kAtOnce);
        const auto report = kill(scratch.path("goes"));
        EXPECT_TRUE(foreigner.succeeded());
        EXPECT_EQ(report.outcome, Outcome::kReached);
        EXPECT_FALSE(report.error);
    }
}

INSTANTIATE_TEST_SUITE_P(Ways, Foreign, ::testing::Bool(), test::name_of_way);

} // namespace
