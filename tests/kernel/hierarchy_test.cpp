// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// A frozen tree that changes: cgroups come and go, tasks move.
#include <gtest/gtest.h>

#include "tests/support/operations.h"

namespace
{

using freezer::Goal;
using freezer::Outcome;
using test::Counters;
using test::expect_moving;
using test::expect_still;
using test::listing;
using test::Scratch;

class Hierarchy : public test::OperationsTest
{
  protected:
    // The cgroup is frozen, whoever moved what: waits until the kernel says so, then the list of a
    // second freeze, which finds nothing to do, must be true.
    void expect_frozen_again(const Scratch &scratch, const std::string &below)
    {
        const std::string path = scratch.path(below);
        EXPECT_EQ(wait(path, Goal::kFrozen).outcome, Outcome::kReached);
        const auto report = freeze(path, listing());
        EXPECT_TRUE(report.already);
        expect_true_account(report, scratch, below);
    }
    static bool move(const Scratch &scratch, pid_t pid, const std::string &below)
    {
        return scratch.write("cgroup.procs", std::to_string(pid), below);
    }
};

TEST_F(Hierarchy, mkdir_under_a_frozen_parent)
{
    Scratch scratch;
    Counters counters(2);
    scratch.mkdir("old");
    scratch.spawn_napper(counters, 0, 1, "old");
    ASSERT_EQ(freeze(scratch.path()).outcome, Outcome::kReached);

    scratch.mkdir("new");
    EXPECT_EQ(scratch.event("frozen", "new"), 1);
    EXPECT_EQ(scratch.event("frozen"), 1);
    // Born into a frozen cgroup: never runs.
    scratch.spawn_napper(counters, 1, 1, "new");
    EXPECT_EQ(wait(scratch.path(), Goal::kFrozen).outcome, Outcome::kReached);
    // The kernel does not take `frozen` back for a task that is born: it may still be on its way.
    EXPECT_TRUE(test::eventually([&] {
        const auto now = freeze(scratch.path(), listing());
        const auto *const born = test::entry_of(now, scratch.threads("new").front());
        return born && born->frozen;
    }));
    const auto report = freeze(scratch.path(), listing());
    expect_true_account(report, scratch);
    EXPECT_EQ(report.tasks, 2U);
    EXPECT_EQ(report.cgroups, 3U);
    expect_still(counters);
    EXPECT_EQ(counters[1].load(), 0U);

    EXPECT_EQ(thaw(scratch.path()).outcome, Outcome::kReached);
    expect_moving(counters);
}

TEST_F(Hierarchy, rmdir_under_a_frozen_parent)
{
    Scratch scratch;
    Counters counters(1);
    scratch.mkdir("stays");
    scratch.mkdir("goes/deep");
    scratch.spawn_napper(counters, 0, 1, "stays");
    ASSERT_EQ(freeze(scratch.path()).outcome, Outcome::kReached);
    EXPECT_TRUE(scratch.rmdir("goes/deep"));
    EXPECT_EQ(scratch.event("frozen"), 1);
    EXPECT_TRUE(scratch.rmdir("goes"));
    EXPECT_EQ(scratch.event("frozen"), 1);

    const auto report = freeze(scratch.path(), listing());
    EXPECT_TRUE(report.already);
    expect_true_account(report, scratch);
    EXPECT_EQ(report.cgroups, 2U);
    expect_still(counters);
    EXPECT_EQ(thaw(scratch.path()).outcome, Outcome::kReached);
    expect_moving(counters);
}

TEST_F(Hierarchy, a_running_task_moves_into_a_frozen_cgroup)
{
    Scratch scratch;
    scratch.mkdir("cold");
    scratch.mkdir("warm");
    Counters counters(2);
    scratch.spawn_napper(counters, 0, 1, "cold");
    const pid_t mover = scratch.spawn_spinner(counters, 1, "warm");
    ASSERT_EQ(freeze(scratch.path("cold")).outcome, Outcome::kReached);
    expect_moving(counters, 0);

    ASSERT_TRUE(move(scratch, mover, "cold"));
    expect_frozen_again(scratch, "cold");
    EXPECT_EQ(scratch.threads("cold").size(), 2U);
    expect_still(counters);
    EXPECT_EQ(thaw(scratch.path("cold")).outcome, Outcome::kReached);
    expect_moving(counters);
}

TEST_F(Hierarchy, a_frozen_task_moves_out)
{
    Scratch scratch;
    scratch.mkdir("cold");
    scratch.mkdir("warm");
    Counters counters(2);
    const pid_t mover = scratch.spawn_napper(counters, 0, 1, "cold");
    scratch.spawn_napper(counters, 1, 1, "cold");
    expect_moving(counters);
    ASSERT_EQ(freeze(scratch.path("cold")).outcome, Outcome::kReached);

    ASSERT_TRUE(move(scratch, mover, "warm"));
    expect_moving(counters, 1);
    const auto before = counters[1].load();
    expect_frozen_again(scratch, "cold");
    EXPECT_EQ(counters[1].load(), before);
    // Where it is now it can be frozen like any other, with a time of its own.
    const auto report = freeze(scratch.path("warm"), listing());
    expect_true_account(report, scratch, "warm");
    EXPECT_TRUE(test::entry_of(report, mover)->after_ns);
    expect_still(counters);
}

TEST_F(Hierarchy, a_frozen_task_moves_into_a_frozen_cgroup)
{
    Scratch scratch;
    scratch.mkdir("one");
    scratch.mkdir("two");
    Counters counters(2);
    const pid_t mover = scratch.spawn_napper(counters, 0, 1, "one");
    scratch.spawn_napper(counters, 1, 1, "two");
    expect_moving(counters);
    ASSERT_EQ(freeze(scratch.path("one")).outcome, Outcome::kReached);
    ASSERT_EQ(freeze(scratch.path("two")).outcome, Outcome::kReached);
    const auto before = counters.values();

    ASSERT_TRUE(move(scratch, mover, "two"));
    expect_frozen_again(scratch, "one");
    expect_frozen_again(scratch, "two");
    EXPECT_EQ(scratch.threads("two").size(), 2U);
    EXPECT_EQ(counters.values(), before);
    EXPECT_EQ(thaw(scratch.path("one")).outcome, Outcome::kReached);
    EXPECT_EQ(counters.values(), before);
    EXPECT_EQ(thaw(scratch.path("two")).outcome, Outcome::kReached);
    expect_moving(counters);
}

// Each on its own: tasks of one target do not show up in the other's account, those below both do.
TEST_F(Hierarchy, a_target_inside_another)
{
    Scratch scratch;
    scratch.mkdir("in");
    scratch.mkdir("beside");
    for (int i = 0; i < 5; ++i) {
        scratch.spawn_sleeper("in");
        scratch.spawn_sleeper("beside");
    }
    // The inner one first: else the outer one's request is its request too, made before its time.
    const auto reports = freeze_all({scratch.path("in"), scratch.path()}, listing());
    expect_true_account(reports[0], scratch, "in");
    expect_true_account(reports[1], scratch);
    EXPECT_EQ(reports[0].tasks, 5U);
    EXPECT_EQ(reports[1].tasks, 10U);
}

} // namespace
