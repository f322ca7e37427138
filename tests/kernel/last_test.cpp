// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// The last to arrive, and the number of all, where single tasks are not followed: both come with
// the event of the completion.
#include <gtest/gtest.h>
#include <poll.h>

#include <algorithm>
#include <csignal>

#include "bpf/abi.h"
#include "tests/support/foreigner.h"
#include "tests/support/operations.h"
#include "user/tracker.h"

namespace
{

using freezer::Outcome;
using test::Counters;
using test::Scratch;

constexpr int kPatienceMs = test::kPatience / 1'000'000;

class Last : public test::OperationsTest
{
  protected:
    void SetUp() override
    {
        OperationsTest::SetUp();
        if (!IsSkipped() && !HasFatalFailure())
            open_without_tasks();
    }
};

TEST_F(Last, comes_with_the_completion)
{
    Scratch scratch;
    Counters counters(test::scaled(50, 10));
    for (size_t i = 0; i < counters.size(); ++i)
        scratch.spawn_napper(counters, i, 1);
    const auto threads = scratch.threads();
    for (size_t round = 0; round < test::scaled(100, 5); ++round) {
        const auto report = freeze(scratch.path());
        ASSERT_EQ(report.outcome, Outcome::kReached);
        EXPECT_EQ(report.tasks, counters.size());
        EXPECT_EQ(report.cgroups, 1U);
        ASSERT_TRUE(report.slowest);
        const auto tid = static_cast<pid_t>(report.slowest->tid);
        EXPECT_NE(std::find(threads.begin(), threads.end(), tid), threads.end());
        EXPECT_LE(report.slowest->after_ns, report.elapsed_ns);
        ASSERT_EQ(thaw(scratch.path()).outcome, Outcome::kReached);
        // One that is still in the refrigerator counts at once, and so the writer completes it.
        test::expect_moving(counters);
    }
}

// A cgroup with both is called frozen before it is, so there the last is found by following all.
TEST_F(Last, is_found_below_a_cgroup_with_tasks_too)
{
    test::Straggler straggler;
    if (!straggler.possible())
        GTEST_SKIP() << straggler.why();
    Scratch scratch;
    scratch.mkdir("child");
    scratch.spawn_sleeper();
    const pid_t late = straggler.spawn(scratch, "child");
    test::Foreigner friendly([&] {
        // By then the other one has arrived.
        if (!test::eventually([&] { return scratch.event("frozen") == 1; }))
            return false;
        straggler.release();
        return true;
    });
    const auto report = freeze(scratch.path());
    EXPECT_TRUE(friendly.succeeded());
    ASSERT_EQ(report.outcome, Outcome::kReached);
    ASSERT_TRUE(report.slowest);
    EXPECT_EQ(report.slowest->tid, static_cast<std::uint32_t>(late));
}

TEST_F(Last, is_nobody_when_an_end_completed_it)
{
    test::Straggler straggler;
    if (!straggler.possible())
        GTEST_SKIP() << straggler.why();
    Scratch scratch;
    scratch.spawn_sleeper();
    const pid_t late = straggler.spawn(scratch);
    test::Foreigner killer([late] { return ::kill(late, SIGKILL) == 0; });
    const auto report = freeze(scratch.path());
    EXPECT_TRUE(killer.succeeded());
    ASSERT_EQ(report.outcome, Outcome::kReached);
    EXPECT_EQ(report.tasks, 1U);
    EXPECT_FALSE(report.slowest);
}

TEST_F(Last, a_kill_counts_the_deaths)
{
    Scratch scratch;
    for (int i = 0; i < 5; ++i)
        scratch.spawn_sleeper();
    const auto report = kill(scratch.path());
    ASSERT_EQ(report.outcome, Outcome::kReached);
    if (!test::kernel_skips_programs()) {
        ASSERT_TRUE(report.deaths);
        EXPECT_EQ(*report.deaths, 5U);
    }
}

TEST_F(Last, arrivals_are_counted_where_asked_for)
{
    Scratch scratch;
    constexpr std::uint64_t kTasks = 20;
    for (std::uint64_t i = 0; i < kTasks; ++i)
        scratch.spawn_sleeper();
    auto tracker = freezer::Tracker::open({});
    ASSERT_TRUE(tracker) << tracker.error().message;
    const auto target = targets({scratch.path()});
    const auto arrived = [&] {
        const auto counts = tracker->counts(0);
        return counts ? counts->arrived : 0;
    };
    const auto freeze_watched = [&](std::uint32_t mask) {
        EXPECT_TRUE(tracker->watch(0, *target.front().cgroup));
        tracker->set_wake(0, mask);
        EXPECT_EQ(freeze(scratch.path()).outcome, Outcome::kReached);
    };
    freeze_watched(FZ_WAKE_FROZEN);
    EXPECT_EQ(arrived(), 0U);
    ASSERT_EQ(thaw(scratch.path()).outcome, Outcome::kReached);

    // A task's switch comes after it was counted by the kernel.
    freeze_watched(FZ_COUNT_TASKS);
    EXPECT_TRUE(test::eventually([&] { return arrived() >= kTasks; })) << arrived();
    ASSERT_EQ(thaw(scratch.path()).outcome, Outcome::kReached);

    freeze_watched(0); // what was counted before is forgotten
    EXPECT_EQ(arrived(), 0U);
}

// Whoever still makes requests is not woken by what they bring about (FZ_WAKE_LATER).
TEST_F(Last, wakes_later_where_asked_to)
{
    Scratch scratch;
    scratch.spawn_sleeper();
    auto tracker = freezer::Tracker::open({});
    ASSERT_TRUE(tracker) << tracker.error().message;
    const auto target = targets({scratch.path()});
    ASSERT_TRUE(tracker->watch(0, *target.front().cgroup));
    const auto expect_marks = [&](std::uint32_t more, int woken) {
        tracker->set_wake(0, FZ_WAKE_FROZEN | FZ_WAKE_UNFROZEN | more);
        ASSERT_EQ(freeze(scratch.path()).outcome, Outcome::kReached);
        ASSERT_EQ(thaw(scratch.path()).outcome, Outcome::kReached);
        pollfd events{tracker->event_fd(), POLLIN, 0};
        // Woken: at the latest when the kernel has done what is left of it.
        EXPECT_EQ(::poll(&events, 1, woken == 0 ? 0 : kPatienceMs), woken);
        std::vector<std::uint32_t> kinds;
        tracker->drain([&](const fz_event &event) { kinds.push_back(event.kind); });
        EXPECT_EQ(std::count(kinds.begin(), kinds.end(), std::uint32_t{FZ_EV_FROZEN}), 1);
        EXPECT_EQ(std::count(kinds.begin(), kinds.end(), std::uint32_t{FZ_EV_UNFROZEN}), 1);
        EXPECT_EQ(::poll(&events, 1, 0), 0) << "all is read";
    };
    expect_marks(FZ_WAKE_LATER, 0);
    expect_marks(0, 1);
    expect_marks(FZ_WAKE_LATER, 0);
}

// fz_target.below
TEST_F(Last, the_kernel_counts_what_is_below)
{
    Scratch scratch;
    scratch.mkdir("a");
    scratch.mkdir("b/c");
    scratch.mkdir("empty");
    for (const char *below : {"a", "a", "b/c"})
        scratch.spawn_sleeper(below);
    scratch.spawn_sleeper(); // not below
    auto tracker = freezer::Tracker::open({});
    ASSERT_TRUE(tracker) << tracker.error().message;
    const auto target = targets({scratch.path()});
    ASSERT_TRUE(tracker->watch(0, *target.front().cgroup));
    constexpr std::uint64_t kFourWithThree = (std::uint64_t{4} << 32) | 3;

    for (int round = 0; round < 2; ++round) {
        tracker->set_wake(0, FZ_WAKE_FROZEN);
        ASSERT_EQ(freeze(scratch.path()).outcome, Outcome::kReached);
        if (!test::kernel_skips_programs()) { // that of the request, which sets it to nothing
            EXPECT_EQ(tracker->target(0).below, kFourWithThree);
            EXPECT_EQ(tracker->target(0).below_again, 0U);
        }

        if (round == 1) {
            Scratch elsewhere;
            const pid_t late = elsewhere.spawn_sleeper();
            ASSERT_TRUE(scratch.write("cgroup.procs", std::to_string(late), "a"));
            EXPECT_EQ(tracker->target(0).below_again, 1U);
            ASSERT_TRUE(elsewhere.write("cgroup.procs", std::to_string(late)));
        }
        tracker->set_wake(0, FZ_WAKE_UNFROZEN);
        ASSERT_EQ(thaw(scratch.path()).outcome, Outcome::kReached);
        if (!test::kernel_skips_programs()) {
            EXPECT_EQ(tracker->target(0).below, kFourWithThree);
        }
    }
}

} // namespace
