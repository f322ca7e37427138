// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// A cgroup with tasks of its own and with child cgroups. The kernel's `frozen 1` speaks of its own
// tasks only then (kernel/cgroup/freezer.c, cgroup_update_frozen(); the descendants are asked about
// only when they report upwards, cgroup_propagate_frozen()). "Frozen" must mean all below too.
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/support/foreigner.h"
#include "tests/support/operations.h"

namespace
{

using freezer::FreezeOptions;
using freezer::Goal;
using freezer::Outcome;
using test::freeze_options;
using test::kShort;
using test::listing;
using test::Scratch;
using test::stragglers_of;

class Below : public test::StragglerTest
{
  protected:
    // Tasks in the cgroup itself, and a late one two levels below; its id.
    pid_t populate(Scratch &scratch)
    {
        scratch.mkdir("child/late");
        for (int i = 0; i < 3; ++i)
            scratch.spawn_sleeper();
        scratch.spawn_sleeper("child");
        return straggler.spawn(scratch, "child/late");
    }
};

TEST_P(Below, a_late_task_in_a_child_keeps_the_parent_from_being_frozen)
{
    Scratch scratch;
    const pid_t late = populate(scratch);
    const auto report = freeze(scratch.path(), freeze_options(kShort));
    EXPECT_EQ(report.outcome, Outcome::kDeadline);
    const auto named = stragglers_of(report);
    EXPECT_NE(std::find(named.begin(), named.end(), late), named.end());
    EXPECT_TRUE(report.rolled_back);
    EXPECT_EQ(scratch.read("cgroup.freeze"), "0\n");
}

TEST_P(Below, it_is_frozen_once_all_are)
{
    Scratch scratch;
    populate(scratch);
    test::Foreigner friendly([&] {
        straggler.release();
        return true;
    });
    const auto report = freeze(scratch.path(), listing());
    EXPECT_TRUE(friendly.succeeded());
    EXPECT_EQ(report.outcome, Outcome::kReached);
    for (const char *below : {"", "child", "child/late"})
        EXPECT_EQ(scratch.event("frozen", below), 1) << below;
    if (uses_bpf())
        expect_true_account(report, scratch);
}

TEST_P(Below, kept_it_is_not_called_frozen)
{
    Scratch scratch;
    populate(scratch);
    FreezeOptions options = freeze_options(kShort);
    options.on_timeout = FreezeOptions::OnTimeout::kKeep;
    const auto report = freeze(scratch.path(), options);
    EXPECT_EQ(report.outcome, Outcome::kDeadline);
    EXPECT_EQ(report.state, freezer::State::kFreezing);
    EXPECT_FALSE(freeze(scratch.path(), options).already);
    EXPECT_EQ(wait(scratch.path(), Goal::kFrozen, freeze_options(kShort)).outcome,
              Outcome::kDeadline);
    straggler.release();
    EXPECT_EQ(wait(scratch.path(), Goal::kFrozen).outcome, Outcome::kReached);
    EXPECT_EQ(scratch.event("frozen", "child/late"), 1);
}

// Without a late one: many rounds, so that the parent is ready before its children and after them.
TEST_P(Below, parent_and_children_in_any_order)
{
    Scratch scratch;
    scratch.mkdir("child");
    test::Counters counters(6);
    for (size_t i = 0; i < 3; ++i) {
        scratch.spawn_napper(counters, 2 * i, 1);
        scratch.spawn_napper(counters, 2 * i + 1, 1, "child");
    }
    for (size_t round = 0; round < test::scaled(100, 10); ++round) {
        const auto report = freeze(scratch.path(), listing());
        ASSERT_EQ(report.outcome, Outcome::kReached);
        const auto before = counters.values();
        ASSERT_EQ(scratch.event("frozen", "child"), 1) << round;
        if (uses_bpf())
            expect_true_account(report, scratch);
        EXPECT_EQ(counters.values(), before);
        ASSERT_EQ(thaw(scratch.path()).outcome, Outcome::kReached);
    }
}

INSTANTIATE_TEST_SUITE_P(Ways, Below, ::testing::Bool(), test::name_of_way);

} // namespace
