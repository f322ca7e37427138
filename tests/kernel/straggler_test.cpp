// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// A task that does not reach the refrigerator: what is said of it, and what is done.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "tests/support/foreigner.h"
#include "tests/support/operations.h"
#include "user/unique_fd.h"

namespace
{

using freezer::FreezeOptions;
using freezer::Goal;
using freezer::Outcome;
using test::freeze_options;
using test::kShort;
using test::Scratch;
using test::stragglers_of;

class Late : public test::StragglerTest
{
};

TEST_P(Late, is_named_and_the_request_taken_back)
{
    Scratch scratch;
    const pid_t pid = straggler.spawn(scratch);
    const auto report = freeze(scratch.path(), freeze_options(kShort));
    EXPECT_EQ(report.outcome, Outcome::kDeadline);
    EXPECT_EQ(stragglers_of(report), std::vector<pid_t>{pid});
    EXPECT_TRUE(report.requested);
    EXPECT_TRUE(report.rolled_back);
    EXPECT_EQ(report.state, freezer::State::kThawed);
    EXPECT_EQ(scratch.read("cgroup.freeze"), "0\n");
    EXPECT_EQ(scratch.event("frozen"), 0);
}

TEST_P(Late, the_others_run_again)
{
    Scratch scratch;
    test::Counters counters(5);
    for (size_t i = 0; i < counters.size(); ++i)
        scratch.spawn_napper(counters, i, 1);
    straggler.spawn(scratch);
    EXPECT_EQ(freeze(scratch.path(), freeze_options(kShort)).outcome, Outcome::kDeadline);
    test::expect_moving(counters);
}

TEST_P(Late, a_request_from_before_is_not_ours_to_take_back)
{
    Scratch scratch;
    straggler.spawn(scratch);
    ASSERT_TRUE(scratch.write("cgroup.freeze", "1"));
    const auto report = freeze(scratch.path(), freeze_options(kShort));
    EXPECT_EQ(report.outcome, Outcome::kDeadline);
    EXPECT_FALSE(report.already);
    EXPECT_FALSE(report.rolled_back);
    EXPECT_EQ(scratch.read("cgroup.freeze"), "1\n");
}

TEST_P(Late, what_was_frozen_below_stays_so)
{
    Scratch scratch;
    scratch.mkdir("cold");
    scratch.mkdir("late");
    scratch.spawn_sleeper("cold");
    straggler.spawn(scratch, "late");
    ASSERT_EQ(freeze(scratch.path("cold")).outcome, Outcome::kReached);
    const auto report = freeze(scratch.path(), freeze_options(kShort));
    EXPECT_EQ(report.outcome, Outcome::kDeadline);
    EXPECT_TRUE(report.rolled_back);
    EXPECT_EQ(scratch.event("frozen", "cold"), 1);
    EXPECT_EQ(scratch.event("frozen", "late"), 0);
}

TEST_P(Late, kept_it_freezes_when_it_can)
{
    Scratch scratch;
    straggler.spawn(scratch);
    FreezeOptions options = freeze_options(kShort);
    options.on_timeout = FreezeOptions::OnTimeout::kKeep;
    const auto report = freeze(scratch.path(), options);
    EXPECT_EQ(report.outcome, Outcome::kDeadline);
    EXPECT_FALSE(report.rolled_back);
    EXPECT_EQ(report.state, freezer::State::kFreezing);
    EXPECT_EQ(scratch.read("cgroup.freeze"), "1\n");

    straggler.release();
    EXPECT_EQ(wait(scratch.path(), Goal::kFrozen).outcome, Outcome::kReached);
    EXPECT_EQ(scratch.event("frozen"), 1);
}

TEST_P(Late, released_while_waited_for)
{
    Scratch scratch;
    const pid_t pid = straggler.spawn(scratch);
    test::Foreigner friendly([&] {
        straggler.release();
        return true;
    });
    const auto report = freeze(scratch.path(), test::listing());
    EXPECT_TRUE(friendly.succeeded());
    EXPECT_EQ(report.outcome, Outcome::kReached);
    EXPECT_EQ(scratch.event("frozen"), 1);
    if (!uses_bpf())
        return;
    expect_true_account(report, scratch);
    ASSERT_TRUE(report.slowest);
    EXPECT_EQ(report.slowest->tid, static_cast<std::uint32_t>(pid));
}

TEST_P(Late, killed_on_request)
{
    Scratch scratch;
    straggler.spawn(scratch);
    FreezeOptions options = freeze_options(kShort);
    options.on_timeout = FreezeOptions::OnTimeout::kKill;
    auto target = targets({scratch.path()});
    // The kill has the same deadline, which a busy machine may break, so that is not asserted.
    const auto reports = freezer().freeze(target, options);
    ASSERT_TRUE(reports);
    EXPECT_EQ(reports->front().outcome, Outcome::kDeadline);
    EXPECT_EQ(wait(scratch.path(), Goal::kEmpty).outcome, Outcome::kReached);
}

TEST_P(Late, dies_of_a_kill)
{
    Scratch scratch;
    straggler.spawn(scratch);
    FreezeOptions options = freeze_options(kShort);
    options.on_timeout = FreezeOptions::OnTimeout::kKeep;
    ASSERT_EQ(freeze(scratch.path(), options).outcome, Outcome::kDeadline);
    EXPECT_EQ(kill(scratch.path()).outcome, Outcome::kReached);
    EXPECT_EQ(scratch.event("populated"), 0);
}

TEST_P(Late, an_interrupt_ends_the_wait_like_the_deadline)
{
    Scratch scratch;
    const pid_t pid = straggler.spawn(scratch);
    const freezer::UniqueFd interrupt(::eventfd(0, EFD_CLOEXEC));
    ASSERT_TRUE(interrupt);
    test::Foreigner impatient([&] { return ::eventfd_write(interrupt.get(), 1) == 0; });
    FreezeOptions options = freeze_options();
    options.interrupt_fd = interrupt.get();
    const auto report = freeze(scratch.path(), options);
    EXPECT_TRUE(impatient.succeeded());
    EXPECT_EQ(report.outcome, Outcome::kInterrupted);
    EXPECT_EQ(stragglers_of(report), std::vector<pid_t>{pid});
    EXPECT_TRUE(report.rolled_back);
    EXPECT_EQ(scratch.read("cgroup.freeze"), "0\n");
}

TEST_P(Late, all_or_none)
{
    Scratch slow;
    Scratch quick;
    Scratch before;
    straggler.spawn(slow);
    quick.spawn_sleeper();
    before.spawn_sleeper();
    ASSERT_EQ(freeze(before.path()).outcome, Outcome::kReached);
    const freezer::UniqueFd interrupt(::eventfd(0, EFD_CLOEXEC));
    ASSERT_TRUE(interrupt);
    // Not a deadline, which may pass before the quick one is there.
    test::Foreigner impatient([&] {
        return test::eventually([&] { return quick.event("frozen") == 1; }) &&
               ::eventfd_write(interrupt.get(), 1) == 0;
    });
    FreezeOptions options = freeze_options();
    options.interrupt_fd = interrupt.get();
    options.all_or_none = true;
    const auto reports = freeze_all({slow.path(), quick.path(), before.path()}, options);
    EXPECT_TRUE(impatient.succeeded());
    EXPECT_EQ(reports[0].outcome, Outcome::kInterrupted);
    EXPECT_TRUE(reports[0].rolled_back);
    EXPECT_EQ(reports[1].outcome, Outcome::kReached);
    EXPECT_TRUE(reports[1].rolled_back);
    EXPECT_EQ(quick.read("cgroup.freeze"), "0\n");
    // Not frozen by this operation, so not thawed by it.
    EXPECT_TRUE(reports[2].already);
    EXPECT_FALSE(reports[2].rolled_back);
    EXPECT_EQ(before.event("frozen"), 1);
}

// Its file has changed and nobody reads it any more.
TEST_P(Late, a_change_of_a_settled_one_does_not_keep_it_awake)
{
    Scratch slow;
    Scratch settled;
    straggler.spawn(slow);
    settled.spawn_sleeper();
    ASSERT_EQ(freeze(settled.path()).outcome, Outcome::kReached);
    const freezer::UniqueFd interrupt(::eventfd(0, EFD_CLOEXEC));
    ASSERT_TRUE(interrupt);
    const pid_t waiter = ::getpid();
    test::Foreigner busybody([&] {
        const freezer::UniqueFd events(
            ::open(settled.dir().append("/cgroup.events").c_str(), O_RDONLY | O_CLOEXEC));
        char text[256];
        if (::read(events.get(), text, sizeof(text)) <= 0 || !settled.write("cgroup.freeze", "0"))
            return false;
        // The kernel wakes everybody who polls the file at once (kernfs_notify_workfn()).
        pollfd change{events.get(), POLLPRI, 0};
        return ::poll(&change, 1, -1) == 1 &&
               test::eventually([&] { return test::sleeps_in_epoll(waiter); }) &&
               ::eventfd_write(interrupt.get(), 1) == 0;
    });
    FreezeOptions options = freeze_options();
    options.interrupt_fd = interrupt.get();
    const auto reports = freeze_all({slow.path(), settled.path()}, options);
    EXPECT_TRUE(busybody.succeeded());
    EXPECT_EQ(reports[0].outcome, Outcome::kInterrupted);
}

TEST_P(Late, without_all_or_none_the_others_stay_frozen)
{
    Scratch slow;
    Scratch quick;
    straggler.spawn(slow);
    quick.spawn_sleeper();
    // The quick one may miss the deadline on a busy machine, but its request must stay.
    FreezeOptions options = freeze_options(kShort);
    options.on_timeout = FreezeOptions::OnTimeout::kKeep;
    const auto reports = freeze_all({slow.path(), quick.path()}, options);
    EXPECT_EQ(reports[0].outcome, Outcome::kDeadline);
    EXPECT_EQ(wait(quick.path(), Goal::kFrozen).outcome, Outcome::kReached);
    EXPECT_EQ(quick.event("frozen"), 1);
}

INSTANTIATE_TEST_SUITE_P(Ways, Late, ::testing::Bool(), test::name_of_way);

} // namespace
