// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// The live trace against the running kernel.
#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <map>
#include <set>

#include "tests/support/scratch.h"
#include "user/cgroup_paths.h"
#include "user/duration.h"
#include "user/resolve.h"
#include "user/trace_model.h"
#include "user/trace_session.h"

namespace
{

using freezer::TraceEvent;
using freezer::TraceOptions;
using freezer::TraceSession;

class Trace : public ::testing::Test
{
  protected:
    void SetUp() override
    {
        if (!test::kernel_has_btf())
            GTEST_SKIP() << "the kernel has no BTF";
        auto opened = freezer::Resolver::open();
        ASSERT_TRUE(opened) << opened.error().message;
        resolver_.emplace(std::move(*opened));
    }
    void open(const std::vector<std::string> &paths, const TraceOptions &options = {})
    {
        std::vector<std::unique_ptr<freezer::Cgroup>> cgroups;
        std::vector<const freezer::Cgroup *> tops;
        for (const std::string &path : paths) {
            auto cgroup = resolver_->by_path(path);
            ASSERT_TRUE(cgroup) << cgroup.error().message;
            cgroups.push_back(std::move(*cgroup));
            tops.push_back(cgroups.back().get());
        }
        auto opened = TraceSession::open(resolver_->mount(), tops, options);
        ASSERT_TRUE(opened) << opened.error().message;
        session_.emplace(std::move(*opened));
    }
    void take()
    {
        session_->drain([&](const TraceEvent &event) {
            events_.push_back(event);
            return true;
        });
    }
    // Takes events until the condition holds, or a deadline far beyond any real delay.
    bool until(const std::function<bool()> &condition)
    {
        const std::uint64_t deadline = freezer::now_ns() + 30'000'000'000;
        for (;;) {
            take();
            if (condition())
                return true;
            const auto wake = session_->wait(deadline, {});
            if (!wake || wake->deadline)
                return false;
        }
    }
    [[nodiscard]] size_t count(fz_trace_kind kind, std::uint32_t value = UINT32_MAX) const
    {
        return static_cast<size_t>(
            std::count_if(events_.begin(), events_.end(), [&](const TraceEvent &event) {
                return event.kind == kind && (value == UINT32_MAX || event.value == value);
            }));
    }
    [[nodiscard]] std::multiset<pid_t> tids(fz_trace_kind kind) const
    {
        std::multiset<pid_t> out;
        for (const TraceEvent &event : events_) {
            if (event.kind == kind)
                out.insert(static_cast<pid_t>(event.task.tid));
        }
        return out;
    }
    [[nodiscard]] const TraceEvent *first(fz_trace_kind kind) const
    {
        const auto found =
            std::find_if(events_.begin(), events_.end(),
                         [&](const TraceEvent &event) { return event.kind == kind; });
        return found == events_.end() ? nullptr : &*found;
    }
    // The kinds that one task went through, in their order.
    [[nodiscard]] std::vector<fz_trace_kind> story_of(pid_t tid) const
    {
        std::vector<const TraceEvent *> own;
        for (const TraceEvent &event : events_) {
            if (event.task.tid == static_cast<std::uint32_t>(tid))
                own.push_back(&event);
        }
        std::stable_sort(own.begin(), own.end(), [](const TraceEvent *a, const TraceEvent *b) {
            return a->time_ns < b->time_ns;
        });
        std::vector<fz_trace_kind> out;
        out.reserve(own.size());
        for (const TraceEvent *const event : own)
            out.push_back(event->kind);
        return out;
    }

    std::optional<freezer::Resolver> resolver_;
    std::optional<TraceSession> session_;
    std::vector<TraceEvent> events_;
};

std::multiset<pid_t> set_of(const std::vector<pid_t> &tids)
{
    return {tids.begin(), tids.end()};
}

TEST_F(Trace, each_task_reaches_and_leaves_once)
{
    test::Scratch scratch;
    scratch.mkdir("db");
    for (int i = 0; i < 20; ++i)
        scratch.spawn_sleeper("db");
    open({scratch.path()});
    EXPECT_EQ(session_->members().size(), 20U);
    const auto tasks = set_of(scratch.threads("db"));

    ASSERT_TRUE(scratch.write("cgroup.freeze", "1"));
    ASSERT_TRUE(until([&] { return count(FZ_TR_REACHED) >= 20 && count(FZ_TR_FROZEN, 1) >= 2; }));
    ASSERT_TRUE(scratch.write("cgroup.freeze", "0"));
    ASSERT_TRUE(until([&] { return count(FZ_TR_LEFT) >= 20; }));
    EXPECT_EQ(tids(FZ_TR_REACHED), tasks);
    EXPECT_EQ(tids(FZ_TR_LEFT), tasks);

    const TraceEvent *const request = first(FZ_TR_FREEZE);
    ASSERT_NE(request, nullptr);
    EXPECT_EQ(request->cgroup.path, scratch.path());
    EXPECT_EQ(request->actor.tgid, static_cast<unsigned>(::getpid()));
    EXPECT_EQ(request->actor.uid, ::getuid());
    EXPECT_EQ(request->actor.comm, "kernel_tests");
    EXPECT_EQ(request->flags & FZ_TRF_INHERITED, 0U);
    EXPECT_FALSE(request->actor_cgroup.path.empty());
    for (const TraceEvent &event : events_) {
        if (event.kind == FZ_TR_REACHED) {
            EXPECT_EQ(event.cgroup.path, scratch.path("db"));
            EXPECT_GE(event.since_ns, request->time_ns);
            EXPECT_LE(event.since_ns, event.time_ns);
        }
        const bool requests = event.kind == FZ_TR_FREEZE || event.kind == FZ_TR_THAW;
        if (requests) {
            EXPECT_EQ((event.flags & FZ_TRF_INHERITED) != 0,
                      event.cgroup.path == scratch.path("db"));
        }
    }
    freezer::TraceModel model(true);
    for (const TraceEvent &member : session_->members())
        model.apply(member);
    for (const TraceEvent &event : events_)
        model.apply(event);
    ASSERT_EQ(model.freezes().size(), 1U);
    EXPECT_EQ(model.freezes().front().tasks.size(), 20U);
    EXPECT_TRUE(model.freezes().front().total_ns());
    EXPECT_EQ(freezer::total(session_->drops()), 0U);
}

TEST_F(Trace, kill_while_frozen)
{
    test::Scratch scratch;
    const pid_t pid = scratch.spawn_sleeper();
    open({scratch.path()});
    ASSERT_TRUE(scratch.write("cgroup.freeze", "1"));
    ASSERT_TRUE(until([&] { return count(FZ_TR_REACHED) == 1; }));
    ::kill(pid, SIGKILL);
    ASSERT_TRUE(until([&] { return count(FZ_TR_EXIT) == 1; }));
    EXPECT_EQ(story_of(pid), (std::vector<fz_trace_kind>{FZ_TR_REACHED, FZ_TR_SIGNAL, FZ_TR_LEFT,
                                                         FZ_TR_DELIVER, FZ_TR_EXIT}));
    const TraceEvent *const sent = first(FZ_TR_SIGNAL);
    EXPECT_EQ(sent->value, static_cast<unsigned>(SIGKILL));
    EXPECT_EQ(sent->actor.tgid, static_cast<unsigned>(::getpid()));
    EXPECT_EQ(first(FZ_TR_EXIT)->value & 0x7f, static_cast<unsigned>(SIGKILL));
    EXPECT_NE(first(FZ_TR_LEFT)->since_ns, 0U);
}

TEST_F(Trace, what_was_frozen_before_is_seen_to_leave)
{
    test::Scratch scratch;
    const pid_t pid = scratch.spawn_sleeper();
    ASSERT_TRUE(scratch.write("cgroup.freeze", "1"));
    ASSERT_TRUE(test::eventually([&] { return scratch.event("frozen") == 1; }));
    open({scratch.path()});
    ASSERT_EQ(session_->members().size(), 1U);
    EXPECT_TRUE(session_->members().front().flags & FZ_TRF_INSIDE);
    ASSERT_TRUE(scratch.write("cgroup.freeze", "0"));
    ASSERT_TRUE(until([&] { return count(FZ_TR_LEFT) == 1; }));
    EXPECT_EQ(first(FZ_TR_LEFT)->task.tid, static_cast<unsigned>(pid));
    EXPECT_EQ(first(FZ_TR_LEFT)->since_ns, 0U);
    EXPECT_EQ(count(FZ_TR_REACHED), 0U);
}

TEST_F(Trace, two_hundred_rounds_lose_nothing)
{
    test::Scratch scratch;
    for (int i = 0; i < 10; ++i)
        scratch.spawn_sleeper();
    open({scratch.path()});
    const size_t rounds = test::scaled(200, 20);
    for (size_t round = 1; round <= rounds; ++round) {
        ASSERT_TRUE(scratch.write("cgroup.freeze", "1"));
        ASSERT_TRUE(until([&] { return count(FZ_TR_REACHED) >= 10 * round; })) << round;
        ASSERT_TRUE(scratch.write("cgroup.freeze", "0"));
        ASSERT_TRUE(until([&] { return count(FZ_TR_LEFT) >= 10 * round; })) << round;
    }
    EXPECT_EQ(count(FZ_TR_REACHED), 10 * rounds);
    EXPECT_EQ(count(FZ_TR_LEFT), 10 * rounds);
    EXPECT_EQ(count(FZ_TR_FREEZE), rounds);
    EXPECT_EQ(count(FZ_TR_THAW), rounds);
    EXPECT_EQ(freezer::total(session_->drops()), 0U);
}

// The kernel counts a task before it goes to sleep: one that a thaw finds in between never does,
// and makes no event. /proc/PID/syscall waits for its switch away (task_current_syscall(),
// lib/syscall.c).
bool all_asleep(const test::Scratch &scratch)
{
    const auto threads = scratch.threads();
    return std::none_of(threads.begin(), threads.end(), [](pid_t tid) {
        return test::read_file("/proc/" + std::to_string(tid) + "/syscall").starts_with("running");
    });
}

// A thaw so early that the task has not gone to sleep, or was just woken by the freeze once more.
TEST_F(Trace, a_thaw_before_the_task_sleeps)
{
    test::Scratch scratch;
    scratch.spawn_sleeper();
    TraceOptions options;
    options.events = *freezer::parse_event_list("reached,left");
    open({scratch.path()}, options);
    const size_t rounds = test::scaled(5000, 50);
    for (size_t round = 1; round <= rounds; ++round) {
        ASSERT_TRUE(scratch.write("cgroup.freeze", "1"));
        // Without going to sleep itself: to be quick is the point here.
        const std::uint64_t deadline = freezer::now_ns() + 30'000'000'000;
        while (events_.empty()) {
            take();
            ASSERT_LT(freezer::now_ns(), deadline) << round;
        }
        ASSERT_TRUE(scratch.write("cgroup.freeze", "0"));
        ASSERT_TRUE(until([&] { return count(FZ_TR_LEFT) == 1; })) << round;
        ASSERT_EQ(count(FZ_TR_REACHED), 1U) << round;
        events_.clear();
    }
    EXPECT_EQ(freezer::total(session_->drops()), 0U);
}

TEST_F(Trace, thousands_of_tasks_while_nobody_reads_lose_nothing)
{
    test::Scratch scratch;
    const size_t tasks = test::scaled(2000, 100);
    for (size_t i = 0; i < tasks; ++i)
        scratch.spawn_sleeper();
    open({scratch.path()});
    ASSERT_TRUE(scratch.write("cgroup.freeze", "1"));
    ASSERT_TRUE(test::eventually([&] { return scratch.event("frozen") == 1; }));
    ASSERT_TRUE(test::eventually([&] { return all_asleep(scratch); }));
    ASSERT_TRUE(scratch.write("cgroup.freeze", "0"));
    EXPECT_TRUE(until([&] { return count(FZ_TR_LEFT) >= tasks; }));
    EXPECT_EQ(tids(FZ_TR_REACHED), set_of(scratch.threads()));
    EXPECT_EQ(tids(FZ_TR_LEFT), set_of(scratch.threads()));
    EXPECT_EQ(freezer::total(session_->drops()), 0U);
}

TEST_F(Trace, losses_are_counted_exactly)
{
    test::Scratch scratch;
    const size_t tasks = 300;
    for (size_t i = 0; i < tasks; ++i)
        scratch.spawn_sleeper();
    TraceOptions options;
    options.ring_bytes = 4096;
    // The smallest ring buffer is a page: one of 64 KiB has no room for both events of every task.
    options.events = *freezer::parse_event_list("reached,left");
    open({scratch.path()}, options);
    ASSERT_TRUE(scratch.write("cgroup.freeze", "1"));
    ASSERT_TRUE(test::eventually([&] { return scratch.event("frozen") == 1; }));
    ASSERT_TRUE(test::eventually([&] { return all_asleep(scratch); }));
    ASSERT_TRUE(scratch.write("cgroup.freeze", "0"));
    const auto made = [&](fz_trace_kind kind) { return count(kind) + session_->drops()[kind]; };
    ASSERT_TRUE(until([&] { return made(FZ_TR_REACHED) >= tasks && made(FZ_TR_LEFT) >= tasks; }));
    EXPECT_EQ(made(FZ_TR_REACHED), tasks);
    EXPECT_EQ(made(FZ_TR_LEFT), tasks);
    const auto drops = session_->drops();
    EXPECT_GT(drops[FZ_TR_REACHED] + drops[FZ_TR_LEFT], 0U);
    EXPECT_EQ(freezer::total(drops), drops[FZ_TR_REACHED] + drops[FZ_TR_LEFT]);
}

TEST_F(Trace, moves_are_told_in_and_out)
{
    test::Scratch scratch;
    test::Scratch outside;
    scratch.mkdir("in");
    const pid_t pid = outside.spawn_sleeper();
    open({scratch.path()});
    ASSERT_TRUE(scratch.write("cgroup.procs", std::to_string(pid), "in"));
    ASSERT_TRUE(outside.write("cgroup.procs", std::to_string(pid)));
    ASSERT_TRUE(until([&] { return count(FZ_TR_MOVED) == 2; }));
    std::vector<TraceEvent> moves;
    for (const TraceEvent &event : events_) {
        if (event.kind == FZ_TR_MOVED)
            moves.push_back(event);
    }
    EXPECT_EQ(moves[0].task.tid, static_cast<unsigned>(pid));
    EXPECT_EQ(moves[0].cgroup.path, scratch.path("in"));
    EXPECT_EQ(moves[0].actor.tgid, static_cast<unsigned>(::getpid()));
    EXPECT_EQ(moves[1].cgroup.path, outside.path());
    EXPECT_EQ(moves[1].from.path, scratch.path("in"));
    // Between two cgroups of others: none of ours.
    outside.mkdir("x");
    ASSERT_TRUE(outside.write("cgroup.procs", std::to_string(pid), "x"));
    ASSERT_TRUE(scratch.rmdir("in"));
    ASSERT_TRUE(until([&] { return count(FZ_TR_REMOVED) == 1; }));
    EXPECT_EQ(count(FZ_TR_MOVED), 2U);
}

TEST_F(Trace, a_cgroups_life)
{
    test::Scratch scratch;
    open({scratch.path()});
    scratch.mkdir("short");
    const pid_t pid = scratch.spawn([] {}, "short");
    ASSERT_TRUE(until([&] { return count(FZ_TR_POPULATED, 0) >= 1; }));
    ::waitpid(pid, nullptr, 0);
    ASSERT_TRUE(test::eventually([&] { return scratch.rmdir("short"); }));
    ASSERT_TRUE(until([&] { return count(FZ_TR_REMOVED) == 1; }));
    // By the name that it had, although it is gone.
    EXPECT_EQ(first(FZ_TR_MADE)->cgroup.path, scratch.path("short"));
    EXPECT_EQ(first(FZ_TR_REMOVED)->cgroup.path, scratch.path("short"));
    EXPECT_EQ(first(FZ_TR_FORK)->task.tid, static_cast<unsigned>(pid));
    EXPECT_EQ(first(FZ_TR_FORK)->actor.tgid, static_cast<unsigned>(::getpid()));
    EXPECT_EQ(first(FZ_TR_EXIT)->value, 0U);
    EXPECT_EQ(count(FZ_TR_POPULATED, 1), 2U); // and of the one above
}

TEST_F(Trace, the_whole_machine)
{
    test::Scratch scratch;
    test::Scratch running;
    TraceOptions options;
    options.only_freezing_life = true;
    open({}, options);
    const pid_t pid = scratch.spawn_sleeper();
    ASSERT_TRUE(scratch.write("cgroup.freeze", "1"));
    const auto of_ours = [&](fz_trace_kind kind, const test::Scratch &which) {
        return std::count_if(events_.begin(), events_.end(), [&](const TraceEvent &event) {
            return event.kind == kind && event.cgroup.path == which.path();
        });
    };
    ASSERT_TRUE(until([&] { return of_ours(FZ_TR_FROZEN, scratch) == 1; }));
    const pid_t other = running.spawn_sleeper();
    ::kill(other, SIGKILL);
    ::kill(pid, SIGKILL);
    ASSERT_TRUE(until([&] { return of_ours(FZ_TR_EXIT, scratch) == 1; }));
    EXPECT_EQ(of_ours(FZ_TR_FREEZE, scratch), 1);
    EXPECT_EQ(of_ours(FZ_TR_REACHED, scratch), 1);
    EXPECT_EQ(of_ours(FZ_TR_SIGNAL, scratch), 1);
    // Nobody froze the other one: its signals and its end are not told.
    EXPECT_EQ(of_ours(FZ_TR_SIGNAL, running), 0);
    EXPECT_EQ(of_ours(FZ_TR_FORK, scratch), 0); // it was born before the request
}

TEST_F(Trace, only_what_is_wanted)
{
    test::Scratch scratch;
    scratch.spawn_sleeper();
    TraceOptions options;
    options.events = *freezer::parse_event_list("requests");
    options.measure = true;
    open({scratch.path()}, options);
    ASSERT_TRUE(scratch.write("cgroup.freeze", "1"));
    ASSERT_TRUE(scratch.write("cgroup.freeze", "0"));
    ASSERT_TRUE(until([&] { return count(FZ_TR_THAW) == 1; }));
    EXPECT_EQ(events_.size(), 2U);
    const auto costs = session_->costs();
    std::map<std::string, std::uint64_t> runs;
    for (const auto &cost : costs)
        runs[cost.name] = cost.runs;
    EXPECT_GE(runs["trace_freeze"], 1U);
    EXPECT_FALSE(runs.contains("trace_switch"));
}

TEST_F(Trace, a_stopped_task_is_no_frozen_one)
{
    test::Scratch scratch;
    const pid_t pid = scratch.spawn_sleeper();
    open({scratch.path()});
    ::kill(pid, SIGSTOP);
    ASSERT_EQ(::waitpid(pid, nullptr, WUNTRACED), pid);
    ::kill(pid, SIGCONT);
    ASSERT_TRUE(until([&] { return count(FZ_TR_SIGNAL, SIGCONT) >= 1; }));
    ::kill(pid, SIGKILL);
    ASSERT_TRUE(until([&] { return count(FZ_TR_EXIT) == 1; }));
    EXPECT_EQ(count(FZ_TR_REACHED), 0U);
    EXPECT_EQ(count(FZ_TR_LEFT), 0U);
}

TEST_F(Trace, waiting_ends_for_each_reason)
{
    test::Scratch scratch;
    open({scratch.path()});
    const auto late = session_->wait(freezer::now_ns(), {});
    ASSERT_TRUE(late);
    EXPECT_TRUE(late->deadline);
    EXPECT_FALSE(late->events);
    const freezer::UniqueFd bell(::eventfd(1, EFD_CLOEXEC));
    const int readable[] = {bell.get()};
    const auto rung = session_->wait(std::nullopt, readable);
    ASSERT_TRUE(rung);
    EXPECT_EQ(rung->descriptor, 0U);
    EXPECT_FALSE(rung->deadline);
    int pipe[2];
    ASSERT_EQ(::pipe(pipe), 0);
    ::close(pipe[0]);
    const auto hung = session_->wait(std::nullopt, {}, pipe[1]);
    ::close(pipe[1]);
    ASSERT_TRUE(hung);
    EXPECT_TRUE(hung->hangup);
}

TEST_F(Trace, paths_of_cgroups_by_id)
{
    test::Scratch scratch;
    auto paths = freezer::CgroupPaths::open(resolver_->mount());
    ASSERT_TRUE(paths) << paths.error().message;
    const auto known = resolver_->by_path(scratch.path());
    EXPECT_EQ(paths->path_of((*known)->id()), scratch.path());
    scratch.mkdir("later"); // made after the walk: by handle
    const auto later = resolver_->by_path(scratch.path("later"));
    EXPECT_EQ(paths->path_of((*later)->id()), scratch.path("later"));
    EXPECT_EQ(paths->path_of(1), "/");
    EXPECT_EQ(paths->path_of(UINT64_MAX), "");
}

} // namespace
