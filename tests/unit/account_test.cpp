// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "user/account.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string_view>

#include "user/proc_tasks.h"

namespace
{

using freezer::Account;
using Note = freezer::TaskEntry::Note;

constexpr std::uint32_t kHeld = FZ_ROW_FROZEN | FZ_ROW_TRAP_FREEZE;
// include/linux/sched.h
constexpr std::uint32_t kInterruptible = 0x1;
constexpr std::uint32_t kUninterruptible = 0x2;
constexpr std::uint32_t kStopped = 0x4;
constexpr std::uint32_t kTraced = 0x8;
constexpr std::uint32_t kIdle = 0x402;

fz_event event_of(fz_event_kind kind, std::uint64_t at_ns, std::uint32_t tid = 0,
                  std::uint32_t value = 0)
{
    fz_event event{};
    event.kind = kind;
    event.time_ns = at_ns;
    event.value = value;
    event.flags = FZ_EVF_OWN;
    event.task.tid = tid;
    event.task.tgid = tid;
    return event;
}

fz_event foreign(fz_event_kind kind, std::string_view comm)
{
    fz_event event = event_of(kind, 50, 99);
    event.flags = 0;
    event.task.uid = 1000;
    std::copy_n(comm.begin(), std::min(comm.size(), sizeof(event.task.comm)), event.task.comm);
    return event;
}

fz_task_row row_of(std::uint32_t tid, std::uint32_t bits = kHeld,
                   std::uint32_t state = kInterruptible)
{
    fz_task_row row{};
    row.task.tid = tid;
    row.task.tgid = tid;
    row.start_ns = tid * 1000ULL;
    row.state = state;
    row.bits = bits;
    return row;
}

// One row's entry; there must be one.
freezer::TaskEntry entry_of(const Account &account, const fz_task_row &row)
{
    auto out = account.reconcile({row}, 0);
    EXPECT_EQ(out.tasks.size(), 1U);
    return out.tasks.empty() ? freezer::TaskEntry{} : out.tasks.front();
}

TEST(AccountTest, a_task_counts_once_for_each_request)
{
    Account account;
    account.apply(event_of(FZ_EV_FREEZE, 100));
    account.apply(event_of(FZ_EV_ARRIVED, 110, 7));
    account.apply(event_of(FZ_EV_ARRIVED, 120, 7));
    EXPECT_EQ(account.arrived(), 1U);
    EXPECT_EQ(entry_of(account, row_of(7)).after_ns, 10U); // the first

    account.apply(event_of(FZ_EV_FREEZE, 200));
    EXPECT_EQ(account.arrived(), 0U);
    account.apply(event_of(FZ_EV_ARRIVED, 230, 7));
    EXPECT_EQ(entry_of(account, row_of(7)).after_ns, 30U);
}

TEST(AccountTest, arrivals_of_an_older_freeze_do_not_count)
{
    Account account;
    account.apply(event_of(FZ_EV_FREEZE, 100));
    account.apply(event_of(FZ_EV_ARRIVED, 90, 8));
    EXPECT_EQ(account.arrived(), 0U);
    EXPECT_FALSE(entry_of(account, row_of(8)).after_ns);
}

// Two CPUs' events may stand the wrong way round in the ring buffer.
TEST(AccountTest, an_arrival_before_its_request_in_the_buffer)
{
    Account account;
    account.apply(event_of(FZ_EV_FREEZE, 100));
    account.apply(event_of(FZ_EV_ARRIVED, 110, 7));
    account.apply(event_of(FZ_EV_ARRIVED, 200, 8)); // at the very moment of the request
    account.apply(event_of(FZ_EV_FREEZE, 200));
    EXPECT_EQ(account.arrived(), 1U);
    EXPECT_EQ(entry_of(account, row_of(8)).after_ns, 0U);
    EXPECT_FALSE(entry_of(account, row_of(7)).after_ns);
}

TEST(AccountTest, an_arrival_never_lies_behind_the_completion)
{
    Account account;
    account.apply(event_of(FZ_EV_FREEZE, 100));
    account.apply(event_of(FZ_EV_FROZEN, 150, 0, 1));
    account.apply(event_of(FZ_EV_ARRIVED, 170, 7)); // its CPU was late to switch
    EXPECT_EQ(entry_of(account, row_of(7)).after_ns, 50U);
}

TEST(AccountTest, the_completion_is_of_this_request)
{
    Account account;
    account.apply(event_of(FZ_EV_FREEZE, 100));
    account.apply(event_of(FZ_EV_FROZEN, 150, 0, 1));
    EXPECT_EQ(account.frozen_ns(), 150U);
    EXPECT_EQ(account.frozen_tasks(), 1U);
    account.apply(event_of(FZ_EV_UNFROZEN, 160));
    EXPECT_EQ(account.frozen_ns(), 0U);
    EXPECT_FALSE(account.frozen_tasks());
    account.apply(event_of(FZ_EV_FROZEN, 170, 0, 1));
    account.apply(event_of(FZ_EV_FREEZE, 200));
    EXPECT_EQ(account.frozen_ns(), 0U);
    EXPECT_FALSE(account.frozen_tasks());
    EXPECT_EQ(account.request_ns(), 200U);
}

TEST(AccountTest, how_many_a_thaw_found)
{
    Account account;
    EXPECT_FALSE(account.thawed_tasks());
    account.apply(event_of(FZ_EV_THAW, 100, 0, 12));
    EXPECT_EQ(account.thawed_tasks(), 12U);
    account.apply(event_of(FZ_EV_UNFROZEN, 110));
    EXPECT_EQ(account.thawed_tasks(), 12U);
}

TEST(AccountTest, the_task_that_completed_it)
{
    Account account;
    fz_event frozen = event_of(FZ_EV_FROZEN, 150, 7, 3);
    frozen.flags |= FZ_EVF_ARRIVED;
    account.apply(frozen); // of a request that nobody saw
    EXPECT_FALSE(account.completer());
    account.apply(event_of(FZ_EV_FREEZE, 200));
    account.apply(frozen); // older than the request
    EXPECT_FALSE(account.completer());
    frozen.time_ns = 250;
    account.apply(frozen);
    ASSERT_TRUE(account.completer());
    EXPECT_EQ(account.completer()->tid, 7U);
    EXPECT_EQ(account.completer()->after_ns, 50U);
    account.note_confirmed(240); // the mark was seen before its event was made
    EXPECT_EQ(account.completer()->after_ns, 40U);
    account.apply(event_of(FZ_EV_UNFROZEN, 260));
    EXPECT_FALSE(account.completer());
    account.apply(event_of(FZ_EV_FROZEN, 270, 8, 2)); // by the end of the task 8
    EXPECT_FALSE(account.completer());
    account.apply(frozen);
    account.apply(event_of(FZ_EV_FREEZE, 300));
    EXPECT_FALSE(account.completer());
}

// A cgroup with tasks and children is notified when its own are there, and again later.
TEST(AccountTest, a_completion_that_was_confirmed)
{
    Account account;
    account.apply(event_of(FZ_EV_FREEZE, 100));
    account.apply(event_of(FZ_EV_FROZEN, 120, 0, 1));
    account.apply(event_of(FZ_EV_ARRIVED, 180, 7)); // below
    account.note_confirmed(200);
    account.apply(event_of(FZ_EV_FROZEN, 190, 0, 1));
    EXPECT_EQ(account.frozen_ns(), 200U);
    EXPECT_EQ(entry_of(account, row_of(7)).after_ns, 80U);
    account.apply(event_of(FZ_EV_FREEZE, 300));
    EXPECT_EQ(account.frozen_ns(), 0U);
}

TEST(AccountTest, a_mark_that_was_read_before_its_event_came)
{
    Account account;
    account.apply(event_of(FZ_EV_FREEZE, 100));
    account.note_confirmed(200);
    account.apply(event_of(FZ_EV_ARRIVED, 220, 7)); // counted before, switched away after
    account.apply(event_of(FZ_EV_FROZEN, 230, 0, 1));
    EXPECT_EQ(account.frozen_ns(), 200U);
    EXPECT_EQ(entry_of(account, row_of(7)).after_ns, 100U);
}

TEST(AccountTest, a_verdict_before_the_event_of_its_request_came)
{
    Account account;
    account.note_confirmed(200);
    account.apply(event_of(FZ_EV_FREEZE, 100));
    account.apply(event_of(FZ_EV_ARRIVED, 220, 7));
    account.apply(event_of(FZ_EV_FROZEN, 230, 0, 1));
    EXPECT_EQ(account.frozen_ns(), 200U);
    EXPECT_EQ(entry_of(account, row_of(7)).after_ns, 100U);
}

TEST(AccountTest, an_exit_or_a_birth_frees_the_id)
{
    for (const fz_event_kind kind : {FZ_EV_EXIT, FZ_EV_FORK}) {
        Account account;
        account.apply(event_of(FZ_EV_FREEZE, 100));
        account.apply(event_of(FZ_EV_ARRIVED, 110, 7));
        account.apply(event_of(kind, 120, 7));
        EXPECT_EQ(account.arrived(), 0U);
        account.apply(event_of(FZ_EV_ARRIVED, 130, 7));
        EXPECT_EQ(entry_of(account, row_of(7)).after_ns, 30U);
    }
}

TEST(AccountTest, the_record_stands_in_for_a_dropped_arrival)
{
    Account account;
    account.apply(event_of(FZ_EV_FREEZE, 100));
    fz_task_row row = row_of(7);
    row.arrived_ns = 140;
    EXPECT_EQ(entry_of(account, row).after_ns, 40U);
    row.arrived_ns = 90; // of the freeze before
    EXPECT_FALSE(entry_of(account, row).after_ns);
}

TEST(AccountTest, the_targets_record_stands_in_for_a_dropped_request)
{
    Account account;
    account.apply(event_of(FZ_EV_ARRIVED, 50, 6));
    account.apply(event_of(FZ_EV_ARRIVED, 110, 7));
    fz_task_row row = row_of(8);
    row.arrived_ns = 120;
    // Not "120 ns after nothing".
    EXPECT_FALSE(entry_of(account, row).after_ns);
    EXPECT_FALSE(entry_of(account, row_of(7)).after_ns);

    fz_target target{};
    target.request_ns = 100;
    target.frozen_ns = 130;
    account.note_target(target);
    EXPECT_EQ(account.request_ns(), 100U);
    EXPECT_EQ(account.frozen_ns(), 130U);
    EXPECT_EQ(entry_of(account, row).after_ns, 20U);
    EXPECT_EQ(entry_of(account, row_of(7)).after_ns, 10U);
    EXPECT_EQ(account.arrived(), 1U);
}

TEST(AccountTest, the_targets_record_does_not_undo_what_is_newer)
{
    Account account;
    account.apply(event_of(FZ_EV_FREEZE, 200));
    account.apply(event_of(FZ_EV_ARRIVED, 210, 7));
    fz_target target{};
    target.request_ns = 200;
    target.frozen_ns = 150; // of the freeze before
    account.note_target(target);
    EXPECT_EQ(account.request_ns(), 200U);
    EXPECT_EQ(account.frozen_ns(), 0U);
    EXPECT_EQ(account.arrived(), 1U);
}

TEST(AccountTest, a_frozen_task_without_any_sign_takes_the_completions_time)
{
    Account account;
    account.apply(event_of(FZ_EV_FREEZE, 100));
    const auto before = account.reconcile({row_of(7)}, 0);
    EXPECT_EQ(before.unexplained, 1U);
    account.apply(event_of(FZ_EV_FROZEN, 150, 0, 1));
    const auto after = account.reconcile({row_of(7)}, 0);
    EXPECT_EQ(after.unexplained, 0U);
    EXPECT_EQ(after.tasks.front().after_ns, 50U);
}

TEST(AccountTest, frozen_before)
{
    Account account;
    account.note_before({row_of(7), row_of(8, FZ_ROW_FROZEN), row_of(9, FZ_ROW_TRAP_FREEZE)}, 0);
    account.apply(event_of(FZ_EV_FREEZE, 100));
    EXPECT_EQ(entry_of(account, row_of(7)).note, Note::kBefore);
    // Counted, and only now gone from its CPU.
    account.apply(event_of(FZ_EV_ARRIVED, 105, 7));
    EXPECT_EQ(entry_of(account, row_of(7)).note, Note::kBefore);
    // The mark alone is that of a stopped task; one that is only asked is not there yet.
    EXPECT_EQ(entry_of(account, row_of(8)).note, Note::kNone);
    EXPECT_EQ(entry_of(account, row_of(9)).note, Note::kNone);
    fz_task_row reused = row_of(7);
    reused.start_ns += 1;
    EXPECT_EQ(entry_of(account, reused).note, Note::kNone);
    EXPECT_EQ(account.reconcile({row_of(7), row_of(8)}, 0).unexplained, 1U);
}

TEST(AccountTest, each_target_has_its_own_rows)
{
    Account account;
    fz_task_row row = row_of(7);
    row.target = 3;
    account.note_before({row}, 0);
    EXPECT_EQ(entry_of(account, row_of(7)).note, Note::kNone);
    EXPECT_TRUE(account.reconcile({row}, 0).tasks.empty());
    EXPECT_EQ(account.reconcile({row}, 3).tasks.size(), 1U);
}

TEST(AccountTest, a_note_for_each_way_to_be_frozen)
{
    Account account;
    account.apply(event_of(FZ_EV_FREEZE, 100));
    account.apply(event_of(FZ_EV_ARRIVED, 110, 7));
    for (const auto &[state, note] :
         {std::pair{kStopped, Note::kStopped}, std::pair{kTraced, Note::kTraced},
          std::pair{kUninterruptible, Note::kVfork}, std::pair{kInterruptible, Note::kNone}}) {
        const auto entry = entry_of(account, row_of(7, kHeld, state));
        EXPECT_TRUE(entry.frozen);
        EXPECT_EQ(entry.note, note) << to_string(note);
        EXPECT_EQ(entry.after_ns.has_value(), note == Note::kNone);
    }
}

TEST(AccountTest, a_note_for_what_cannot_freeze)
{
    const Account account;
    fz_task_row kernel_thread = row_of(2, FZ_ROW_TRAP_FREEZE, kIdle);
    kernel_thread.flags = FZ_PF_KTHREAD;
    EXPECT_EQ(entry_of(account, kernel_thread).note, Note::kKernelThread);
    EXPECT_EQ(
        entry_of(account, row_of(3, FZ_ROW_TRAP_FREEZE | FZ_ROW_HELD_BY_V1, FZ_TASK_FROZEN)).note,
        Note::kHeldByV1);
    const auto late = entry_of(account, row_of(4, FZ_ROW_TRAP_FREEZE, 0));
    EXPECT_FALSE(late.frozen);
    EXPECT_EQ(late.note, Note::kNone);
    EXPECT_EQ(account.reconcile({row_of(4, 0, 0)}, 0).unexplained, 0U);
}

TEST(AccountTest, the_dead_do_not_count)
{
    const Account account;
    fz_task_row zombie = row_of(7);
    zombie.exit_state = 0x20;
    fz_task_row exiting = row_of(8);
    exiting.flags = FZ_PF_EXITING;
    EXPECT_TRUE(account.reconcile({zombie, exiting}, 0).tasks.empty());
}

TEST(AccountTest, who_it_was)
{
    Account account;
    for (const fz_event_kind kind : {FZ_EV_FREEZE, FZ_EV_THAW, FZ_EV_KILL})
        account.apply(event_of(kind, 10, 5));
    EXPECT_FALSE(account.foreign_freeze());
    EXPECT_FALSE(account.foreign_thaw());
    EXPECT_FALSE(account.foreign_kill());

    account.apply(foreign(FZ_EV_FREEZE, "freezer"));
    account.apply(foreign(FZ_EV_THAW, "thawer"));
    account.apply(foreign(FZ_EV_KILL, "killer"));
    account.apply(foreign(FZ_EV_REMOVED, "sixteen letters!"));
    ASSERT_TRUE(account.foreign_freeze());
    EXPECT_EQ(account.foreign_freeze()->comm, "freezer");
    ASSERT_TRUE(account.foreign_thaw());
    EXPECT_EQ(account.foreign_thaw()->comm, "thawer");
    ASSERT_TRUE(account.foreign_kill());
    EXPECT_EQ(account.foreign_kill()->comm, "killer");
    EXPECT_EQ(account.foreign_kill()->pid, 99U);
    EXPECT_EQ(account.foreign_kill()->uid, 1000U);
    ASSERT_TRUE(account.remover());
    EXPECT_EQ(account.remover()->comm, "sixteen letters!"); // no NUL in all its bytes
}

TEST(AccountTest, when_it_became_empty)
{
    Account account;
    account.apply(event_of(FZ_EV_POPULATED, 100, 0, 0));
    EXPECT_EQ(account.empty_ns(), 100U);
    account.apply(event_of(FZ_EV_POPULATED, 110, 0, 1));
    EXPECT_EQ(account.empty_ns(), 0U);
}

TEST(AccountTest, events_of_a_newer_tracker_are_passed_over)
{
    Account account;
    account.apply(event_of(FZ_EV_FREEZE, 100));
    account.apply(event_of(FZ_EV_ARRIVED, 110, 7));
    account.apply(event_of(FZ_EV_KINDS, 120, 7));
    EXPECT_EQ(account.request_ns(), 100U);
    EXPECT_EQ(account.arrived(), 1U);
}

TEST(StateLetter, as_proc_shows_it)
{
    const auto letter = [](std::uint32_t state, std::uint32_t exit_state = 0) {
        fz_task_row row{};
        row.state = state;
        row.exit_state = exit_state;
        return freezer::state_letter(row);
    };
    EXPECT_EQ(letter(0), 'R');
    EXPECT_EQ(letter(kInterruptible), 'S');
    EXPECT_EQ(letter(kInterruptible | 0x2000), 'S'); // TASK_FREEZABLE
    EXPECT_EQ(letter(kUninterruptible), 'D');
    EXPECT_EQ(letter(kIdle), 'I');
    EXPECT_EQ(letter(kStopped), 'T');
    EXPECT_EQ(letter(kTraced), 't');
    EXPECT_EQ(letter(FZ_TASK_FROZEN), 'D');
    EXPECT_EQ(letter(0x80, 0x20), 'Z');
    EXPECT_EQ(letter(0x80, 0x10), 'X');
}

TEST(Survivors, say_why_they_are_there)
{
    fz_task_row zombie = row_of(7, 0, 0x80);
    zombie.exit_state = 0x20;
    zombie.parent_tgid = 3;
    fz_task_row kernel_thread = row_of(8, 0, kIdle);
    kernel_thread.flags = FZ_PF_KTHREAD;
    fz_task_row other = row_of(9);
    other.target = 1;
    const auto left = freezer::survivors({zombie, kernel_thread, other, row_of(10, 0)}, 0);
    ASSERT_EQ(left.size(), 3U);
    EXPECT_EQ(left[0].note, Note::kZombie);
    EXPECT_EQ(left[0].parent_tgid, 3U);
    EXPECT_EQ(left[1].note, Note::kKernelThread);
    EXPECT_EQ(left[2].note, Note::kNone);
}

} // namespace
