// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "user/missing_tasks.h"

#include <gtest/gtest.h>

#include "user/resolve.h"

namespace
{

using freezer::MissingTasks;

constexpr std::uint32_t kFreezable = 0x2001; // TASK_INTERRUPTIBLE | TASK_FREEZABLE

fz_task_row row_of(std::uint32_t tid, std::uint32_t bits, std::uint32_t state = 0,
                   std::uint32_t flags = 0)
{
    fz_task_row row{};
    row.task.tid = tid;
    row.task.tgid = tid;
    row.bits = bits;
    row.state = state;
    row.flags = flags;
    return row;
}

fz_event event_of(fz_event_kind kind, std::uint32_t tid, std::uint32_t flags = 0)
{
    fz_event event{};
    event.kind = kind;
    event.task.tid = tid;
    event.task.tgid = tid;
    event.flags = flags;
    return event;
}

TEST(MissingTasksTest, nothing_is_known_before_the_first_snapshot)
{
    MissingTasks missing;
    EXPECT_TRUE(missing.stale());
    EXPECT_FALSE(missing.none());
    missing.rebase({}, 0);
    EXPECT_TRUE(missing.none());
}

TEST(MissingTasksTest, waits_for_exactly_those_that_are_not_frozen)
{
    fz_task_row zombie = row_of(5, 0);
    zombie.exit_state = 0x20;
    fz_task_row elsewhere = row_of(6, 0);
    elsewhere.target = 1;
    MissingTasks missing;
    missing.rebase({row_of(1, FZ_ROW_FROZEN), row_of(2, 0), row_of(3, 0),
                    row_of(4, 0, 0, FZ_PF_NOFREEZE), zombie, elsewhere},
                   0);
    EXPECT_EQ(missing.count(), 2U);
    missing.apply(event_of(FZ_EV_ARRIVED, 2));
    missing.apply(event_of(FZ_EV_ARRIVED, 2));
    missing.apply(event_of(FZ_EV_FORK, 7));
    missing.apply(event_of(FZ_EV_LEFT, 3));
    EXPECT_FALSE(missing.none());
    missing.apply(event_of(FZ_EV_ARRIVED, 7));
    EXPECT_TRUE(missing.none());
    EXPECT_FALSE(missing.wants_write());
}

TEST(MissingTasksTest, only_a_missing_task_that_falls_asleep_wants_a_write)
{
    MissingTasks missing;
    missing.rebase({row_of(1, FZ_ROW_FROZEN), row_of(2, 0)}, 0);
    missing.apply(event_of(FZ_EV_ASLEEP, 1));
    EXPECT_FALSE(missing.wants_write());
    missing.apply(event_of(FZ_EV_ASLEEP, 2));
    EXPECT_TRUE(missing.wants_write());
    missing.note_written();
    EXPECT_FALSE(missing.wants_write());
    EXPECT_TRUE(missing.stale()); // what the write froze in place made no event
    EXPECT_TRUE(missing.was_written());
    EXPECT_FALSE(missing.rebase({row_of(1, FZ_ROW_FROZEN), row_of(2, FZ_ROW_FROZEN)}, 0));
    EXPECT_TRUE(missing.none());
}

TEST(MissingTasksTest, one_that_no_write_freezes_is_told_and_not_written_for_again)
{
    MissingTasks missing;
    EXPECT_TRUE(missing.rebase({row_of(2, 0, kFreezable)}, 0));
    EXPECT_TRUE(missing.wants_write());
    missing.note_written();
    EXPECT_TRUE(missing.rebase({row_of(2, 0, kFreezable)}, 0));
    EXPECT_FALSE(missing.wants_write());
}

TEST(MissingTasksTest, moves_and_losses_ask_for_a_snapshot)
{
    MissingTasks missing;
    missing.rebase({row_of(2, 0)}, 0);
    missing.apply(event_of(FZ_EV_MOVED, 9));
    EXPECT_FALSE(missing.stale()); // a stranger's move
    missing.apply(event_of(FZ_EV_MOVED, 9, FZ_EVF_INTO));
    EXPECT_TRUE(missing.stale());
    missing.rebase({row_of(2, 0)}, 0);
    missing.apply(event_of(FZ_EV_MOVED, 2));
    EXPECT_TRUE(missing.stale());
    missing.rebase({}, 0);
    missing.note_lost();
    EXPECT_FALSE(missing.none());
}

TEST(ProcCgroupTest, lines_of_v1_and_v2)
{
    const std::string text =
        "9:name=systemd:/s\n6:cpu,freezer:/a:b/c (deleted)\n5:devices:/\n0::/v\n";
    EXPECT_EQ(freezer::parse_v1_hierarchy(text, "freezer"), 6U);
    EXPECT_EQ(freezer::parse_v1_hierarchy(text, "cpu"), 6U);
    EXPECT_EQ(freezer::parse_v1_hierarchy(text, "free"), std::nullopt);
    EXPECT_EQ(freezer::parse_proc_cgroup(text, 6), "/a:b/c");
    EXPECT_EQ(freezer::parse_proc_cgroup(text), "/v");
    EXPECT_EQ(freezer::parse_proc_cgroup(text, 4), std::nullopt);
    EXPECT_EQ(freezer::parse_v1_hierarchy("garbage\n1:\n:::\n", "freezer"), std::nullopt);
}

} // namespace
