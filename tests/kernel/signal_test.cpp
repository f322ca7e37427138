// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// One signal to every process of a cgroup, on both hierarchies.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <map>

#include "tests/support/operations.h"
#include "tests/support/scratch_v1.h"
#include "user/files.h"
#include "user/signal_all.h"

namespace
{

using freezer::Outcome;
using freezer::SignalledProcess;
using freezer::Target;
using End = SignalledProcess::End;

// Parameter: on v1.
class Signal : public test::OperationsTest, public ::testing::WithParamInterface<bool>
{
  protected:
    void SetUp() override
    {
        if (::geteuid() == 0 && GetParam() && test::v1_mount().empty())
            GTEST_SKIP() << "the kernel has no v1 freezer that could be mounted";
        OperationsTest::SetUp();
        if (IsSkipped() || HasFatalFailure())
            return;
        if (GetParam() && !freezer().resolver().has_v1())
            open_anew(); // the library was open before v1 was mounted
        if (GetParam())
            v1_.emplace();
        else
            v2_.emplace();
    }
    pid_t spawn(const std::function<void()> &body)
    {
        return GetParam() ? v1_->spawn(body) : v2_->spawn(body);
    }
    [[nodiscard]] std::string dir() const { return GetParam() ? v1_->dir() : v2_->dir(); }
    freezer::SignalReport send(int signal, bool wait = true, bool keep = false)
    {
        freezer::SignalOptions options;
        options.signal = signal;
        options.wait = wait;
        options.keep_frozen = keep;
        options.timeout_ns = test::kPatience;
        auto targets = target();
        return std::move((*freezer().signal(targets, options)).front());
    }
    std::vector<Target> target() { return targets({dir()}); }
    static std::map<pid_t, End> ends(const freezer::SignalReport &report)
    {
        std::map<pid_t, End> out;
        for (const SignalledProcess &process : report.processes)
            EXPECT_TRUE(out.emplace(process.pid, process.end).second) << process.pid;
        return out;
    }

    // Before the cgroups: its page must outlive the blocked task.
    test::Straggler straggler;
    std::optional<test::Scratch> v2_;
    std::optional<test::ScratchV1> v1_;
};

INSTANTIATE_TEST_SUITE_P(Hierarchy, Signal, ::testing::Bool(),
                         [](const auto &info) { return info.param ? "v1" : "v2"; });

test::Counters *handled_signals;

extern "C" void count_signal(int)
{
    (*handled_signals)[0].fetch_add(1);
}

TEST_P(Signal, says_how_it_ended_for_each)
{
    test::Counters ready(1);
    test::Counters handled(1);
    handled_signals = &handled;
    std::map<pid_t, End> expected;
    expected[spawn([&] {
        ready[0]++;
        test::sleep_for_ever();
    })] = End::kDead;
    expected[spawn([&] {
        ::signal(SIGTERM, count_signal);
        ready[0]++;
        test::sleep_for_ever();
    })] = End::kHandled;
    expected[spawn([&] {
        ::signal(SIGTERM, SIG_IGN);
        ready[0]++;
        test::sleep_for_ever();
    })] = End::kIgnored;
    const auto block = [] {
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, SIGTERM);
        ::sigprocmask(SIG_BLOCK, &set, nullptr);
    };
    expected[spawn([&] {
        block();
        ready[0]++;
        test::sleep_for_ever();
    })] = End::kBlocked;
    expected[spawn([&] {
        block();
        ::kill(::getpid(), SIGTERM);
        ready[0]++;
        test::sleep_for_ever();
    })] = End::kAlreadyPending;
    ASSERT_TRUE(test::eventually([&] { return ready[0] == 5; }));
    const auto report = send(SIGTERM);
    EXPECT_EQ(report.outcome, Outcome::kReached) << (report.error ? report.error->message : "");
    EXPECT_EQ(report.sent, 5U);
    EXPECT_EQ(ends(report), expected);
    EXPECT_TRUE(test::eventually([&] { return handled[0] == 1; }));
    EXPECT_EQ(report.state, freezer::State::kThawed);

    const auto stopped = send(SIGSTOP);
    EXPECT_EQ(stopped.outcome, Outcome::kReached);
    for (const auto &[pid, end] : ends(stopped))
        EXPECT_EQ(end, End::kStopped) << pid;
    const auto killed = send(SIGKILL);
    EXPECT_EQ(killed.outcome, Outcome::kReached);
    for (const auto &[pid, end] : ends(killed))
        EXPECT_EQ(end, End::kDead) << pid;
}

TEST_P(Signal, left_frozen_when_asked_or_found_so)
{
    test::Counters handled(1);
    handled_signals = &handled;
    test::Counters ready(1);
    spawn([&] {
        ::signal(SIGUSR1, count_signal);
        ready[0] = 1;
        test::sleep_for_ever();
    });
    ASSERT_TRUE(test::eventually([&] { return ready[0] == 1; }));
    const auto kept = send(SIGUSR1, false, true);
    EXPECT_EQ(kept.outcome, Outcome::kReached);
    EXPECT_EQ(kept.sent, 1U);
    EXPECT_EQ(kept.state, freezer::State::kFrozen);
    const auto again = send(SIGUSR1, false);
    EXPECT_EQ(again.state, freezer::State::kFrozen);
    EXPECT_EQ(handled[0], 0U);
    auto targets = target();
    EXPECT_EQ((*freezer().thaw(targets, {})).front().outcome, Outcome::kReached);
    EXPECT_TRUE(test::eventually([&] { return handled[0] == 1; })); // one, not two
}

TEST_P(Signal, a_freeze_that_is_late_sends_nothing)
{
    if (!straggler.possible())
        GTEST_SKIP() << straggler.why();
    test::Scratch &home = GetParam() ? v1_->v2() : *v2_;
    const pid_t late = straggler.spawn(home);
    if (GetParam())
        v1_->adopt(late);
    const pid_t pid = spawn(test::sleep_for_ever);
    freezer::SignalOptions options;
    options.signal = SIGKILL;
    options.timeout_ns = 100'000'000;
    auto targets = target();
    const auto report = std::move((*freezer().signal(targets, options)).front());
    EXPECT_EQ(report.outcome, Outcome::kDeadline);
    EXPECT_EQ(report.sent, 0U);
    EXPECT_EQ(report.state, freezer::State::kThawed);
    EXPECT_EQ(::waitpid(pid, nullptr, WNOHANG), 0);
}

pid_t counting_process; // of count_own_signal()
size_t counting_slot;
size_t counting_slot_of_others;

// A child is born with its parent's handler, and may get a signal before it can say that it is
// another.
extern "C" void count_own_signal(int)
{
    const bool own = ::getpid() == counting_process;
    (*handled_signals)[own ? counting_slot : counting_slot_of_others].fetch_add(1);
}

TEST_P(Signal, a_thousand_processes_that_fork_get_it_once_each)
{
    freezer::raise_file_limit();
    const size_t processes = test::scaled(1000, 50);
    test::Counters handled(processes + 1);
    test::Counters ready(1);
    handled_signals = &handled;
    counting_slot_of_others = processes;
    for (size_t i = 0; i < processes; ++i) {
        spawn([&, i] {
            counting_process = ::getpid();
            counting_slot = i;
            struct sigaction action {
            };
            action.sa_handler = count_own_signal;
            ::sigaction(SIGUSR1, &action, nullptr);
            ready[0]++;
            // A hundred a second in all: where a fork takes a millisecond, a thousand would be all
            // that the machine does.
            for (;;) {
                const pid_t child = ::fork();
                if (child == 0)
                    ::usleep(10'000'000), ::_exit(0);
                while (::waitpid(child, nullptr, 0) < 0) {
                }
            }
        });
    }
    ASSERT_TRUE(test::eventually([&] { return ready[0] == processes; }));
    const auto report = send(SIGUSR1, true);
    EXPECT_EQ(report.outcome, Outcome::kReached) << (report.error ? report.error->message : "");
    EXPECT_GE(report.sent, processes);
    std::uint64_t taken = 0;
    for (const auto &[pid, end] : ends(report)) {
        EXPECT_TRUE(end == End::kHandled || end == End::kDead) << pid << " " << to_string(end);
        taken += end == End::kHandled;
    }
    EXPECT_GE(taken, processes);
    // What is told is that a handler is to run, which a busy machine takes its time for.
    const auto count = [&](auto &&test) {
        const auto values = handled.values();
        return static_cast<size_t>(std::count_if(
            values.begin(), values.begin() + static_cast<std::ptrdiff_t>(processes), test));
    };
    EXPECT_TRUE(test::eventually([&] { return count([](auto n) { return n > 0; }) == processes; }));
    EXPECT_EQ(count([](auto n) { return n == 1; }), processes);
}

// It is no eligible thread for the signal (wants_signal() in kernel/signal.c), frozen or not.
TEST_P(Signal, a_stopped_process_takes_sigterm_only_after_sigcont)
{
    const pid_t pid = spawn(test::sleep_for_ever);
    ::kill(pid, SIGSTOP);
    ASSERT_EQ(::waitpid(pid, nullptr, WUNTRACED), pid);
    freezer::SignalOptions options;
    options.signal = SIGTERM;
    options.wait = true;
    options.timeout_ns = test::kShort;
    auto opened = target();
    const auto report = std::move((*freezer().signal(opened, options)).front());
    EXPECT_EQ(report.outcome, Outcome::kDeadline);
    EXPECT_EQ(ends(report), (std::map<pid_t, End>{{pid, End::kPending}}));
    EXPECT_EQ(::waitpid(pid, nullptr, WNOHANG), 0);
    ::kill(pid, SIGCONT);
    EXPECT_EQ(::waitpid(pid, nullptr, 0), pid);
}

} // namespace
