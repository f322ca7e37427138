// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// Freezing every kind of task: the account of each must equal the kernel's own.
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <thread>

#include "tests/support/operations.h"

namespace
{

using freezer::Goal;
using freezer::Outcome;
using freezer::TaskEntry;
using test::Counters;
using test::expect_moving;
using test::expect_still;
using test::listing;
using test::Scratch;

class Freeze : public test::OperationsTest
{
  protected:
    // Thaws the scratch cgroup, which is said to hold so much.
    void expect_thaw(const Scratch &scratch, size_t tasks, size_t cgroups = 1)
    {
        const auto report = thaw(scratch.path());
        EXPECT_EQ(report.outcome, Outcome::kReached);
        EXPECT_EQ(report.tasks, tasks);
        EXPECT_EQ(report.cgroups, cgroups);
    }
};

// A process with `threads` more threads, each of them counting its slot from `first` on.
pid_t spawn_threaded(Scratch &scratch, Counters &counters, size_t first, size_t threads)
{
    return scratch.spawn([&counters, first, threads] {
        const auto count = [&counters](size_t i) {
            for (;;) {
                counters[i].fetch_add(1, std::memory_order_relaxed);
                ::usleep(1000);
            }
        };
        for (size_t i = 1; i <= threads; ++i)
            std::thread(count, first + i).detach();
        count(first);
    });
}

TEST_F(Freeze, a_hundred_processes)
{
    Scratch scratch;
    Counters counters(test::scaled(100, 20));
    for (size_t i = 0; i < counters.size(); ++i)
        scratch.spawn_napper(counters, i, 10);
    expect_moving(counters);

    const auto report = freeze(scratch.path(), listing());
    expect_true_account(report, scratch);
    EXPECT_EQ(report.tasks, counters.size());
    EXPECT_EQ(report.cgroups, 1U);
    EXPECT_TRUE(report.requested);
    EXPECT_FALSE(report.already);
    ASSERT_TRUE(report.slowest);
    EXPECT_LE(report.slowest->after_ns, report.elapsed_ns);
    expect_still(counters);

    expect_thaw(scratch, counters.size());
    EXPECT_EQ(scratch.event("frozen"), 0);
    expect_moving(counters);
}

TEST_F(Freeze, spinners)
{
    Scratch scratch;
    Counters counters(4);
    for (size_t i = 0; i < counters.size(); ++i)
        scratch.spawn_spinner(counters, i);
    for (size_t round = 0; round < test::scaled(20); ++round) {
        expect_true_account(freeze(scratch.path(), listing()), scratch);
        expect_still(counters);
        ASSERT_EQ(thaw(scratch.path()).outcome, Outcome::kReached);
        expect_moving(counters);
    }
}

TEST_F(Freeze, a_tree)
{
    Scratch scratch;
    Counters counters(30);
    size_t next = 0;
    for (const char *below : {"a", "a/b", "a/b/c", "d/e", "f"}) {
        scratch.mkdir(below);
        for (int i = 0; i < 6; ++i)
            scratch.spawn_napper(counters, next++, 5, below);
    }
    expect_moving(counters);

    const auto report = freeze(scratch.path(), listing());
    expect_true_account(report, scratch);
    EXPECT_EQ(report.cgroups, 7U);
    EXPECT_EQ(report.tasks, 30U);
    expect_still(counters);
    expect_thaw(scratch, 30, 7);
    expect_moving(counters);
}

TEST_F(Freeze, what_was_frozen_below_stays_so)
{
    Scratch scratch;
    scratch.mkdir("a");
    scratch.mkdir("b");
    Counters counters(2);
    scratch.spawn_napper(counters, 0, 5, "a");
    scratch.spawn_napper(counters, 1, 5, "b");
    ASSERT_EQ(freeze(scratch.path("a")).outcome, Outcome::kReached);

    const auto report = freeze(scratch.path(), listing());
    expect_true_account(report, scratch);
    const auto *const held = test::entry_of(report, scratch.threads("a").front());
    ASSERT_NE(held, nullptr);
    EXPECT_EQ(held->note, TaskEntry::Note::kBefore);
    const auto *const fresh = test::entry_of(report, scratch.threads("b").front());
    ASSERT_NE(fresh, nullptr);
    EXPECT_TRUE(fresh->after_ns);

    EXPECT_EQ(thaw(scratch.path()).outcome, Outcome::kReached);
    EXPECT_EQ(scratch.read("cgroup.freeze", "a"), "1\n");
    EXPECT_EQ(scratch.event("frozen", "a"), 1);
    const auto before = counters[0].load();
    expect_moving(counters, 0);
    EXPECT_TRUE(test::eventually([&, start = counters[1].load()] { return counters[1] > start; }));
    EXPECT_EQ(counters[0].load(), before);
}

TEST_F(Freeze, many_threads)
{
    Scratch scratch;
    constexpr size_t kProcesses = 3;
    constexpr size_t kEach = 11; // the first thread and ten more
    Counters counters(kProcesses * kEach);
    for (size_t process = 0; process < kProcesses; ++process)
        spawn_threaded(scratch, counters, process * kEach, kEach - 1);
    expect_moving(counters);

    const auto report = freeze(scratch.path(), listing());
    expect_true_account(report, scratch);
    EXPECT_EQ(report.tasks, kProcesses * kEach);
    expect_still(counters);
    expect_thaw(scratch, kProcesses * kEach);
    expect_moving(counters);
}

TEST_F(Freeze, a_storm_of_forks)
{
    Scratch scratch;
    Counters counters(4);
    for (size_t worker = 0; worker < counters.size(); ++worker) {
        scratch.spawn([&counters, worker] {
            for (;;) {
                const pid_t child = ::fork();
                if (child == 0) {
                    counters[worker].fetch_add(1);
                    ::_exit(0);
                }
                ::waitpid(child, nullptr, 0);
            }
        });
    }
    for (size_t round = 0; round < test::scaled(50, 5); ++round) {
        expect_moving(counters);
        const auto report = freeze(scratch.path(), listing());
        expect_true_account(report, scratch);
        EXPECT_GE(report.tasks, counters.size());
        expect_still(counters);
        ASSERT_EQ(thaw(scratch.path()).outcome, Outcome::kReached);
        if (HasFailure())
            break;
    }
}

TEST_F(Freeze, a_storm_of_threads)
{
    Scratch scratch;
    Counters counters(2);
    for (size_t worker = 0; worker < counters.size(); ++worker) {
        scratch.spawn([&counters, worker] {
            for (;;)
                std::thread([&counters, worker] { counters[worker].fetch_add(1); }).join();
        });
    }
    for (size_t round = 0; round < test::scaled(50, 5); ++round) {
        expect_moving(counters);
        expect_true_account(freeze(scratch.path(), listing()), scratch);
        expect_still(counters);
        ASSERT_EQ(thaw(scratch.path()).outcome, Outcome::kReached);
        if (HasFailure())
            break;
    }
}

TEST_F(Freeze, a_stopped_task_stays_stopped)
{
    Scratch scratch;
    Counters counters(2);
    const pid_t stopped = scratch.spawn_napper(counters, 0, 1);
    scratch.spawn_napper(counters, 1, 1);
    ASSERT_EQ(::kill(stopped, SIGSTOP), 0);
    int status = 0;
    ASSERT_EQ(::waitpid(stopped, &status, WUNTRACED), stopped);
    ASSERT_TRUE(WIFSTOPPED(status));

    const auto report = freeze(scratch.path(), listing());
    expect_true_account(report, scratch);
    const auto *const entry = test::entry_of(report, stopped);
    ASSERT_NE(entry, nullptr);
    EXPECT_EQ(entry->note, TaskEntry::Note::kStopped);
    expect_still(counters);

    EXPECT_EQ(thaw(scratch.path()).outcome, Outcome::kReached);
    const auto before = counters[0].load();
    EXPECT_TRUE(test::eventually([&, start = counters[1].load()] { return counters[1] > start; }));
    EXPECT_EQ(counters[0].load(), before);

    ASSERT_EQ(::kill(stopped, SIGCONT), 0);
    expect_moving(counters);
}

// A stopped task bears the kernel's mark of a frozen one in any cgroup. Continued and frozen like
// every other task, it has a time of arrival, and no excuse from before.
TEST_F(Freeze, the_mark_of_a_stopped_task_is_no_freeze)
{
    Scratch scratch;
    const pid_t pid = scratch.spawn_sleeper();
    ASSERT_EQ(::kill(pid, SIGSTOP), 0);
    ASSERT_EQ(::waitpid(pid, nullptr, WUNTRACED), pid);
    const auto stopped = freeze(scratch.path(), listing());
    expect_true_account(stopped, scratch);
    EXPECT_EQ(test::entry_of(stopped, pid)->note, TaskEntry::Note::kStopped);
    ASSERT_EQ(thaw(scratch.path()).outcome, Outcome::kReached);

    ASSERT_EQ(::kill(pid, SIGCONT), 0);
    ASSERT_EQ(::waitpid(pid, nullptr, WCONTINUED), pid);
    const auto running = freeze(scratch.path(), listing());
    expect_true_account(running, scratch);
    EXPECT_TRUE(test::entry_of(running, pid)->after_ns);
}

TEST_F(Freeze, a_traced_task)
{
    Scratch scratch;
    Counters counters(2);
    const pid_t traced = scratch.spawn_napper(counters, 0, 1);
    scratch.spawn_napper(counters, 1, 1);
    ASSERT_EQ(::ptrace(PTRACE_SEIZE, traced, nullptr, nullptr), 0);
    ASSERT_EQ(::ptrace(PTRACE_INTERRUPT, traced, nullptr, nullptr), 0);
    ASSERT_EQ(::waitpid(traced, nullptr, __WALL), traced);

    const auto report = freeze(scratch.path(), listing());
    expect_true_account(report, scratch);
    const auto *const entry = test::entry_of(report, traced);
    ASSERT_NE(entry, nullptr);
    EXPECT_EQ(entry->note, TaskEntry::Note::kTraced);
    expect_still(counters);

    // Let go while frozen, it runs for a moment, inside the kernel only (ptrace_stop() leaves the
    // frozen state, kernel/signal.c): the file may say 0 and then 1 again.
    ASSERT_EQ(::ptrace(PTRACE_DETACH, traced, nullptr, nullptr), 0);
    EXPECT_EQ(wait(scratch.path(), Goal::kFrozen).outcome, Outcome::kReached);
    EXPECT_TRUE(test::eventually([&] {
        const std::string stat = test::read_file("/proc/" + std::to_string(traced) + "/stat");
        if (stat.find(") S ") == std::string::npos)
            return false; // on its way from the one stop to the other
        const auto again = freeze(scratch.path(), listing());
        const auto *const now = test::entry_of(again, traced);
        return now && now->frozen && now->note == TaskEntry::Note::kBefore;
    }));
    expect_frozen_bits(scratch);
    expect_still(counters);

    EXPECT_EQ(thaw(scratch.path()).outcome, Outcome::kReached);
    expect_moving(counters);
}

// The other order: a frozen task is stopped by its tracer and stays counted.
TEST_F(Freeze, a_task_traced_while_frozen)
{
    Scratch scratch;
    Counters counters(1);
    const pid_t pid = scratch.spawn_napper(counters, 0, 1);
    ASSERT_EQ(freeze(scratch.path()).outcome, Outcome::kReached);
    ASSERT_EQ(::ptrace(PTRACE_SEIZE, pid, nullptr, nullptr), 0);
    ASSERT_EQ(::ptrace(PTRACE_INTERRUPT, pid, nullptr, nullptr), 0);
    ASSERT_EQ(::waitpid(pid, nullptr, __WALL), pid);
    EXPECT_EQ(wait(scratch.path(), Goal::kFrozen).outcome, Outcome::kReached);
    expect_still(counters);
    ASSERT_EQ(::ptrace(PTRACE_DETACH, pid, nullptr, nullptr), 0);
    EXPECT_EQ(wait(scratch.path(), Goal::kFrozen).outcome, Outcome::kReached);
    expect_still(counters);
    EXPECT_EQ(thaw(scratch.path()).outcome, Outcome::kReached);
    expect_moving(counters);
}

TEST_F(Freeze, the_parent_of_a_vfork)
{
    Scratch scratch;
    Counters counters(2);
    const pid_t parent = scratch.spawn([&counters] {
        // What vfork(2) does, but with a stack of its own.
        alignas(16) static std::array<char, 65536> stack;
        const auto child = [](void *argument) {
            auto &slots = *static_cast<Counters *>(argument);
            for (;;) {
                slots[0].fetch_add(1);
                ::usleep(1000);
            }
            return 0;
        };
        ::clone(child, stack.data() + stack.size(), CLONE_VM | CLONE_VFORK | SIGCHLD, &counters);
        for (;;) {
            counters[1].fetch_add(1);
            ::usleep(1000);
        }
    });
    expect_moving(counters, 1);

    const auto report = freeze(scratch.path(), listing());
    expect_true_account(report, scratch);
    EXPECT_EQ(report.tasks, 2U);
    const auto *const waiting = test::entry_of(report, parent);
    ASSERT_NE(waiting, nullptr);
    EXPECT_EQ(waiting->note, TaskEntry::Note::kVfork);
    expect_still(counters);

    EXPECT_EQ(thaw(scratch.path()).outcome, Outcome::kReached);
    expect_moving(counters, 1);
    // Its child's end lets the parent go on.
    for (const pid_t pid : scratch.threads()) {
        if (pid != parent) {
            ASSERT_EQ(::kill(pid, SIGKILL), 0);
        }
    }
    EXPECT_TRUE(test::eventually([&] { return counters[1] > 0; }));
}

TEST_F(Freeze, zombies_do_not_count)
{
    Scratch scratch;
    Counters counters(2);
    const pid_t parent = scratch.spawn([&counters] {
        const pid_t child = ::fork();
        if (child == 0)
            ::_exit(0);
        siginfo_t info{};
        ::waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT); // not reaped
        for (;;) {
            counters[0].fetch_add(1);
            ::usleep(1000);
        }
    });
    // A process whose first thread has ended is a zombie too, with a living thread.
    const pid_t leader = scratch.spawn([&counters] {
        std::thread([&counters] {
            for (;;) {
                counters[1].fetch_add(1);
                ::usleep(1000);
            }
        }).detach();
        ::syscall(SYS_exit, 0); // this thread only, and no destructor of the test's
    });
    expect_moving(counters);
    ASSERT_TRUE(test::eventually([&] {
        return test::read_file("/proc/" + std::to_string(leader) + "/stat").find(") Z ") !=
               std::string::npos;
    }));

    const auto report = freeze(scratch.path(), listing());
    expect_true_account(report, scratch);
    EXPECT_EQ(report.tasks, 2U);
    EXPECT_NE(test::entry_of(report, parent), nullptr);
    EXPECT_EQ(test::entry_of(report, leader), nullptr);
    expect_still(counters);
    expect_thaw(scratch, 2);
    expect_moving(counters);
}

TEST_F(Freeze, an_empty_cgroup)
{
    Scratch scratch;
    const auto report = freeze(scratch.path(), listing());
    expect_true_account(report, scratch);
    EXPECT_EQ(report.tasks, 0U);
    EXPECT_FALSE(report.slowest);
    expect_thaw(scratch, 0);
}

// Where the kernel counts them all, and where it does not.
TEST_F(Freeze, what_is_below_is_counted)
{
    Scratch scratch;
    scratch.mkdir("leaf");
    scratch.mkdir("inner/leaf");
    scratch.mkdir("empty");
    scratch.spawn_sleeper("leaf");
    scratch.spawn_sleeper("inner/leaf");
    const auto expect_counted = [&] {
        const auto tasks = scratch.threads_of_tree().size();
        const auto cgroups = scratch.cgroups().size();
        const auto report = freeze(scratch.path());
        EXPECT_EQ(report.outcome, Outcome::kReached);
        EXPECT_EQ(report.tasks, tasks);
        EXPECT_EQ(report.cgroups, cgroups);
        expect_thaw(scratch, tasks, cgroups);
    };
    expect_counted();

    // Told of before this request.
    ASSERT_EQ(freeze(scratch.path("leaf")).outcome, Outcome::kReached);
    expect_counted();
    ASSERT_EQ(thaw(scratch.path("leaf")).outcome, Outcome::kReached);

    // Marked as soon as what is below is.
    for (int i = 0; i < 5; ++i)
        scratch.spawn_sleeper("inner");
    expect_counted();
    scratch.spawn_sleeper();
    expect_counted();

    // Marked for a second time.
    ASSERT_EQ(freeze(scratch.path()).outcome, Outcome::kReached);
    Scratch elsewhere;
    const pid_t late = elsewhere.spawn_sleeper();
    ASSERT_TRUE(scratch.write("cgroup.procs", std::to_string(late), "leaf"));
    EXPECT_EQ(wait(scratch.path(), Goal::kFrozen).tasks, scratch.threads_of_tree().size());
    expect_thaw(scratch, scratch.threads_of_tree().size(), scratch.cgroups().size());
}

TEST_F(Freeze, a_thaw_counts_who_is_there_by_then)
{
    Scratch scratch;
    Scratch outside;
    Counters counters(4);
    const pid_t dies = scratch.spawn_napper(counters, 0, 5);
    const pid_t leaves = scratch.spawn_napper(counters, 1, 5);
    scratch.spawn_napper(counters, 2, 5);
    const pid_t comes = outside.spawn_napper(counters, 3, 5);
    expect_moving(counters);
    ASSERT_EQ(freeze(scratch.path()).tasks, 3U);

    // SIGKILL takes effect at once, and what comes in freezes.
    ASSERT_EQ(::kill(dies, SIGKILL), 0);
    ASSERT_TRUE(test::eventually([&] { return scratch.threads().size() == 2; }));
    ASSERT_TRUE(outside.write("cgroup.procs", std::to_string(leaves)));
    ASSERT_TRUE(scratch.write("cgroup.procs", std::to_string(comes)));
    ASSERT_TRUE(test::eventually([&] { return scratch.event("frozen") == 1; }));
    expect_thaw(scratch, 2);
    scratch.mkdir("below");
    ASSERT_TRUE(scratch.write("cgroup.procs", std::to_string(comes), "below"));
    ASSERT_EQ(freeze(scratch.path()).tasks, 2U);
    expect_thaw(scratch, 2, 2);
    // Nothing was frozen, so nothing was counted.
    const auto again = thaw(scratch.path());
    EXPECT_TRUE(again.already);
    EXPECT_EQ(again.tasks, 2U);
    EXPECT_EQ(again.cgroups, 2U);
}

TEST_F(Freeze, already_frozen_does_nothing)
{
    Scratch scratch;
    scratch.spawn_sleeper();
    ASSERT_EQ(freeze(scratch.path()).outcome, Outcome::kReached);
    const auto report = freeze(scratch.path(), listing());
    expect_true_account(report, scratch);
    EXPECT_TRUE(report.already);
    EXPECT_FALSE(report.requested);
    EXPECT_EQ(report.source, freezer::VerdictSource::kBefore);
}

TEST_F(Freeze, frozen_through_an_ancestor_is_not_already_frozen)
{
    Scratch scratch;
    scratch.mkdir("child");
    Counters counters(1);
    scratch.spawn_napper(counters, 0, 1, "child");
    ASSERT_EQ(freeze(scratch.path()).outcome, Outcome::kReached);

    const auto report = freeze(scratch.path("child"), listing());
    expect_true_account(report, scratch, "child");
    EXPECT_FALSE(report.already);
    EXPECT_TRUE(report.requested);
    EXPECT_EQ(scratch.read("cgroup.freeze", "child"), "1\n");

    ASSERT_EQ(thaw(scratch.path()).outcome, Outcome::kReached);
    EXPECT_EQ(scratch.event("frozen", "child"), 1);
    expect_still(counters);
    EXPECT_EQ(thaw(scratch.path("child")).outcome, Outcome::kReached);
    expect_moving(counters);
}

TEST_F(Freeze, a_thaw_under_a_frozen_ancestor_names_it)
{
    Scratch scratch;
    scratch.mkdir("child");
    scratch.spawn_sleeper("child");
    ASSERT_EQ(freeze(scratch.path()).outcome, Outcome::kReached);
    ASSERT_EQ(freeze(scratch.path("child")).outcome, Outcome::kReached);
    const auto report = thaw(scratch.path("child"));
    EXPECT_EQ(report.outcome, Outcome::kFailed);
    EXPECT_EQ(report.state, freezer::State::kFrozenByParent);
    EXPECT_EQ(report.held_by_ancestor, scratch.path());
    EXPECT_EQ(scratch.event("frozen", "child"), 1);
}

} // namespace
