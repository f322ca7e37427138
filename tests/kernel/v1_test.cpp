// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// The v1 freezer, which announces nothing, on real tasks.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <ctime>
#include <set>
#include <thread>

#include "tests/support/operations.h"
#include "tests/support/scratch_v1.h"

namespace
{

using freezer::FreezeOptions;
using freezer::Goal;
using freezer::Outcome;
using freezer::Target;
using freezer::TargetReport;
using freezer::TaskEntry;

// Counts what is done to a cgroup; and can lie as a kernel with a bug does.
class Watched final : public freezer::Cgroup
{
  public:
    explicit Watched(std::unique_ptr<Cgroup> inner) : inner_(std::move(inner)) {}

    [[nodiscard]] const std::string &path() const override { return inner_->path(); }
    [[nodiscard]] int directory() const override { return inner_->directory(); }
    [[nodiscard]] std::uint64_t id() const override { return inner_->id(); }
    [[nodiscard]] const char *hierarchy_name() const override { return inner_->hierarchy_name(); }
    [[nodiscard]] std::uint32_t hierarchy_id() const override { return inner_->hierarchy_id(); }
    [[nodiscard]] std::optional<std::uint32_t> level() const override { return inner_->level(); }
    [[nodiscard]] bool announces() const override { return inner_->announces(); }
    bool verdict_takes_tasks() override { return inner_->verdict_takes_tasks(); }
    void keep_below(size_t most) override { inner_->keep_below(most); }
    [[nodiscard]] bool signals_wait_for_thaw() const override
    {
        return inner_->signals_wait_for_thaw();
    }
    freezer::Result<freezer::Reading> read() override
    {
        ++reads;
        auto reading = inner_->read();
        if (reading && reading->asked && pretend_frozen)
            reading->frozen = reading->flagged = true;
        return reading;
    }
    freezer::Result<bool> self_freezing() override { return inner_->self_freezing(); }
    freezer::Status request_freeze(bool freeze) override
    {
        ++(freeze ? freezes : thaws);
        // The first request is lost on the tasks, as if the kernel had let them go.
        if (freeze && pretend_frozen && thaws > 0)
            pretend_frozen = false;
        return inner_->request_freeze(freeze);
    }
    freezer::Status kill() override { return inner_->kill(); }
    freezer::Result<std::unique_ptr<Cgroup>> make_child(const std::string &name) override
    {
        return inner_->make_child(name);
    }
    freezer::Status remove() override { return inner_->remove(); }
    freezer::Result<std::optional<std::string>> freezing_ancestor() override
    {
        return inner_->freezing_ancestor();
    }
    [[nodiscard]] freezer::Result<std::unique_ptr<Cgroup>>
    open_below(const std::string &relative) const override
    {
        return inner_->open_below(relative);
    }
    freezer::Result<std::vector<std::unique_ptr<Cgroup>>> children() override
    {
        return inner_->children();
    }
    freezer::Result<std::vector<int>> own_tasks() override { return inner_->own_tasks(); }
    freezer::Result<freezer::TreeSize> size() override { return inner_->size(); }
    freezer::Result<std::vector<int>> headless_processes() override
    {
        return inner_->headless_processes();
    }
    std::optional<std::uint64_t> total_freeze_ns() override { return inner_->total_freeze_ns(); }
    freezer::Result<int> notify_fd() override { return inner_->notify_fd(); }
    [[nodiscard]] std::optional<freezer::WatchPath> notify_path() const override
    {
        return inner_->notify_path();
    }
    [[nodiscard]] std::vector<freezer::WatchPath> watch_paths() const override
    {
        return inner_->watch_paths();
    }
    std::vector<freezer::WatchPath> watch_paths_below() override
    {
        return inner_->watch_paths_below();
    }

    int reads = 0;
    int freezes = 0;
    int thaws = 0;
    bool pretend_frozen = false;

  private:
    std::unique_ptr<Cgroup> inner_;
};

class V1 : public test::BothWaysTest
{
  protected:
    void SetUp() override
    {
        if (::geteuid() == 0 && test::v1_mount().empty())
            GTEST_SKIP() << "the kernel has no v1 freezer that could be mounted";
        test::BothWaysTest::SetUp();
        if (IsSkipped() || HasFatalFailure())
            return;
        if (!freezer().resolver().has_v1())
            open_anew(); // the library was open before v1 was mounted
        scratch_.emplace();
    }

    std::vector<Target> target(const std::string &dir) { return targets({dir}); }
    TargetReport wait(Goal goal) { return test::BothWaysTest::wait(scratch_->dir(), goal); }
    TargetReport freeze(const FreezeOptions &options = test::freeze_options(),
                        const std::string &below = "")
    {
        return test::BothWaysTest::freeze(scratch_->dir(below), options);
    }
    TargetReport thaw(const std::string &below = "")
    {
        return test::BothWaysTest::thaw(scratch_->dir(below));
    }
    TargetReport kill() { return test::BothWaysTest::kill(scratch_->dir()); }
    // Frozen, by the kernel's file and, with BPF, by the account: every task once.
    void expect_frozen(const TargetReport &report)
    {
        EXPECT_EQ(report.outcome, Outcome::kReached) << (report.error ? report.error->message : "");
        EXPECT_EQ(scratch_->state(), "FROZEN");
        if (!report.entries || !uses_bpf())
            return;
        std::multiset<pid_t> counted;
        for (const TaskEntry &entry : *report.entries) {
            EXPECT_TRUE(entry.frozen) << entry.tid;
            counted.insert(static_cast<pid_t>(entry.tid));
        }
        const auto tasks = scratch_->tasks();
        EXPECT_EQ(counted, std::multiset<pid_t>(tasks.begin(), tasks.end()));
        EXPECT_TRUE(report.complete);
    }
    // The state letter in /proc/PID/stat.
    static char letter(pid_t pid)
    {
        const std::string stat = test::read_file("/proc/" + std::to_string(pid) + "/stat");
        const size_t close = stat.rfind(") ");
        return close == std::string::npos ? '-' : stat[close + 2];
    }

    // Before the cgroup: its page must outlive the blocked task.
    test::Straggler straggler;
    std::optional<test::ScratchV1> scratch_;
};

INSTANTIATE_TEST_SUITE_P(Tracking, V1, ::testing::Bool(), test::name_of_way);

// What only BPF can tell.
class V1Bpf : public V1
{
};
INSTANTIATE_TEST_SUITE_P(Tracking, V1Bpf, ::testing::Values(true));

TEST_P(V1, tasks_of_every_kind_freeze_and_thaw)
{
    test::Counters counters(1);
    scratch_->spawn_spinner(counters, 0);
    scratch_->spawn_sleeper();
    scratch_->spawn([] { ::sleep(1000); });
    for (int i = 0; i < 50; ++i)
        scratch_->spawn_sleeper();
    expect_frozen(freeze(test::listing()));
    const auto before = counters.values();
    EXPECT_EQ(scratch_->tasks().size(), 53U);
    EXPECT_EQ(counters.values(), before);
    const auto report = thaw();
    EXPECT_EQ(report.outcome, Outcome::kReached);
    EXPECT_EQ(scratch_->state(), "THAWED");
    EXPECT_TRUE(test::eventually([&] { return counters.values() != before; }));
}

TEST_P(V1, an_empty_cgroup_freezes_at_once)
{
    expect_frozen(freeze());
    EXPECT_EQ(thaw().outcome, Outcome::kReached);
}

TEST_P(V1, stopped_and_traced_stay_so)
{
    const pid_t stopped = scratch_->spawn_sleeper();
    const pid_t traced = scratch_->spawn_sleeper();
    ::kill(stopped, SIGSTOP);
    ASSERT_EQ(::waitpid(stopped, nullptr, WUNTRACED), stopped);
    ASSERT_EQ(::ptrace(PTRACE_SEIZE, traced, nullptr, nullptr), 0);
    ASSERT_EQ(::ptrace(PTRACE_INTERRUPT, traced, nullptr, nullptr), 0);
    ASSERT_EQ(::waitpid(traced, nullptr, __WALL), traced);
    const auto report = freeze(test::listing());
    expect_frozen(report);
    if (uses_bpf()) {
        for (const TaskEntry &entry : *report.entries)
            EXPECT_EQ(entry.note, static_cast<pid_t>(entry.tid) == stopped
                                      ? TaskEntry::Note::kStopped
                                      : TaskEntry::Note::kTraced);
    }
    EXPECT_EQ(thaw().outcome, Outcome::kReached);
    EXPECT_EQ(letter(stopped), 'T');
    EXPECT_EQ(letter(traced), 't');
    EXPECT_EQ(::ptrace(PTRACE_DETACH, traced, nullptr, nullptr), 0);
}

TEST_P(V1, a_vforking_parent_is_frozen_with_its_child)
{
    test::Counters seen(1);
    scratch_->spawn([&] {
        const pid_t child = ::vfork();
        if (child == 0) {
            seen[0] = 1;
            for (;;)
                ::pause();
        }
    });
    ASSERT_TRUE(test::eventually([&] { return seen[0] == 1; }));
    expect_frozen(freeze(test::listing()));
    EXPECT_EQ(scratch_->tasks().size(), 2U);
}

TEST_P(V1, forking_tasks_freeze_every_time)
{
    for (int i = 0; i < 4; ++i) {
        scratch_->spawn([] {
            for (;;) {
                const pid_t child = ::fork();
                if (child == 0)
                    ::_exit(0);
                ::waitpid(child, nullptr, 0);
            }
        });
    }
    for (size_t round = 0; round < test::scaled(20, 3); ++round) {
        expect_frozen(freeze(test::listing()));
        EXPECT_EQ(thaw().outcome, Outcome::kReached);
    }
}

TEST_P(V1, a_sleep_that_ends_while_frozen_ends_at_the_thaw)
{
    // Longer until it is still asleep when it is frozen, however slow the machine is.
    for (useconds_t sleep_us = 50'000;; sleep_us *= 4) {
        const pid_t pid = scratch_->spawn([sleep_us] { ::usleep(sleep_us); });
        expect_frozen(freeze());
        // One that is on its way out has left the cgroup, and may still be no zombie.
        const auto tasks = scratch_->tasks();
        const bool asleep = std::find(tasks.begin(), tasks.end(), pid) != tasks.end();
        if (asleep) {
            ::usleep(sleep_us); // the test's subject: the sleep's end passes
            EXPECT_EQ(::waitpid(pid, nullptr, WNOHANG), 0);
        }
        EXPECT_EQ(thaw().outcome, Outcome::kReached);
        EXPECT_EQ(::waitpid(pid, nullptr, 0), pid);
        if (asleep)
            return;
    }
}

TEST_P(V1, nested_parents)
{
    scratch_->mkdir("a/b");
    scratch_->spawn_sleeper("a/b");
    expect_frozen(freeze());
    EXPECT_EQ(scratch_->state("a/b"), "FROZEN");
    const auto held = thaw("a/b");
    EXPECT_EQ(held.outcome, Outcome::kFailed);
    EXPECT_EQ(held.state, freezer::State::kFrozenByParent);
    EXPECT_EQ(held.held_by_ancestor, scratch_->path());
    EXPECT_EQ(freeze(test::freeze_options(), "a").outcome, Outcome::kReached);
    EXPECT_EQ(thaw().outcome, Outcome::kReached);
    EXPECT_EQ(scratch_->state("a/b"), "FROZEN");
    EXPECT_EQ(scratch_->state(), "THAWED");
}

TEST_P(V1, a_straggler_leaves_it_freezing_until_it_is_released_or_cancelled)
{
    if (!straggler.possible())
        GTEST_SKIP() << straggler.why();
    const pid_t pid = straggler.spawn(scratch_->v2());
    scratch_->adopt(pid);
    scratch_->spawn_sleeper();
    FreezeOptions options;
    options.timeout_ns = 200'000'000;
    const auto back = freeze(options);
    EXPECT_EQ(back.outcome, Outcome::kDeadline);
    EXPECT_TRUE(back.rolled_back);
    EXPECT_EQ(scratch_->state(), "THAWED");
    options.on_timeout = FreezeOptions::OnTimeout::kKeep;
    const auto kept = freeze(options);
    EXPECT_EQ(kept.outcome, Outcome::kDeadline);
    EXPECT_EQ(kept.state, freezer::State::kFreezing);
    if (uses_bpf()) {
        ASSERT_EQ(kept.stragglers.size(), 1U);
        EXPECT_EQ(kept.stragglers.front().tid, static_cast<unsigned>(pid));
    }
    EXPECT_EQ(scratch_->state(), "FREEZING");
    std::thread release([&] { straggler.release(); });
    options.timeout_ns = test::kPatience;
    expect_frozen(freeze(options)); // the retry
    release.join();
}

TEST_P(V1, one_that_falls_asleep_after_the_request_is_asked_once_more)
{
    if (!straggler.possible())
        GTEST_SKIP() << straggler.why();
    // It will wait for its vfork child, where only a write of FROZEN freezes it. The child was made
    // before its parent came to this cgroup, and is in none.
    const pid_t pid = straggler.spawn(scratch_->v2(), "", test::Straggler::Call::kVfork);
    scratch_->adopt(pid);
    std::thread release([&] {
        EXPECT_TRUE(
            test::eventually([&] { return scratch_->read("freezer.self_freezing") == "1\n"; }));
        straggler.release();
    });
    expect_frozen(freeze(test::listing()));
    release.join();
}

TEST_P(V1Bpf, the_file_is_not_read_while_waiting)
{
    if (!straggler.possible())
        GTEST_SKIP() << straggler.why();
    scratch_->adopt(straggler.spawn(scratch_->v2()));
    const auto reads_in = [&](std::uint64_t timeout_ns) {
        auto targets = target(scratch_->dir());
        auto watched = std::make_unique<Watched>(std::move(targets.front().cgroup));
        Watched *const counts = watched.get();
        targets.front().cgroup = std::move(watched);
        FreezeOptions options;
        options.timeout_ns = timeout_ns;
        EXPECT_EQ((*freezer().freeze(targets, options)).front().outcome, Outcome::kDeadline);
        return counts->reads;
    };
    // Before, at the deadline, for what holds it up, and for the report.
    const int soon = reads_in(100'000'000);
    EXPECT_LE(soon, 5);
    EXPECT_LE(reads_in(3'000'000'000), soon);
}

TEST_P(V1Bpf, a_task_that_the_kernel_let_go_is_frozen_again)
{
    if (!straggler.possible())
        GTEST_SKIP() << straggler.why();
    // The kernel's file is made to say FROZEN while the straggler is not.
    scratch_->adopt(straggler.spawn(scratch_->v2()));
    auto targets = target(scratch_->dir());
    auto watched = std::make_unique<Watched>(std::move(targets.front().cgroup));
    watched->pretend_frozen = true;
    Watched *const counts = watched.get();
    targets.front().cgroup = std::move(watched);
    FreezeOptions options;
    options.timeout_ns = 500'000'000;
    const auto report = std::move((*freezer().freeze(targets, options)).front());
    EXPECT_EQ(report.outcome, Outcome::kDeadline);
    EXPECT_GE(counts->freezes, 2);
    ASSERT_FALSE(report.warnings.empty());
    EXPECT_NE(report.warnings.front().find("254a142007"), std::string::npos);
}

TEST_P(V1, a_killed_cgroup_is_empty_whether_frozen_or_not)
{
    for (const bool frozen : {false, true}) {
        scratch_->mkdir("a");
        for (int i = 0; i < 20; ++i)
            scratch_->spawn_sleeper(i % 2 ? "a" : "");
        if (frozen) {
            EXPECT_EQ(freeze(test::freeze_options(), "a").outcome, Outcome::kReached);
            expect_frozen(freeze());
        }
        const auto report = kill();
        EXPECT_EQ(report.outcome, Outcome::kReached) << (report.error ? report.error->message : "");
        EXPECT_TRUE(scratch_->tasks().empty());
        EXPECT_TRUE(scratch_->tasks("a").empty());
        EXPECT_EQ(scratch_->state(), frozen ? "FROZEN" : "THAWED"); // as it was found
        EXPECT_EQ(scratch_->state("a"), frozen ? "FROZEN" : "THAWED");
    }
}

TEST_P(V1, a_fork_bomb_is_killed)
{
    scratch_->v2().write("pids.max", "300"); // where there is such a controller
    scratch_->spawn([] {
        // Bounded by hand: no generation is deeper than this.
        for (int depth = 0; depth < 6; ++depth)
            (void)::fork();
        for (;;) {
            const pid_t child = ::fork();
            if (child == 0)
                ::_exit(0);
            ::waitpid(child, nullptr, 0);
        }
    });
    ASSERT_TRUE(test::eventually([&] { return scratch_->tasks().size() > 32; }));
    EXPECT_EQ(kill().outcome, Outcome::kReached);
    EXPECT_TRUE(scratch_->tasks().empty());
}

TEST_P(V1, a_task_that_is_moved_out_is_waited_for_no_longer)
{
    if (!straggler.possible())
        GTEST_SKIP() << straggler.why();
    const test::ScratchV1 elsewhere;
    const pid_t pid = straggler.spawn(scratch_->v2());
    scratch_->adopt(pid);
    std::thread mover([&] {
        // When the request is there.
        test::eventually([&] { return scratch_->read("freezer.self_freezing") == "1\n"; });
        elsewhere.adopt(pid);
    });
    FreezeOptions options;
    options.timeout_ns = test::kPatience;
    expect_frozen(freeze(options));
    mover.join();
    straggler.release();
}

TEST_P(V1, a_task_that_is_moved_in_is_frozen)
{
    expect_frozen(freeze());
    const pid_t pid = scratch_->v2().spawn_sleeper();
    scratch_->adopt(pid);
    const auto report = wait(Goal::kFrozen);
    EXPECT_EQ(report.outcome, Outcome::kReached);
    EXPECT_EQ(scratch_->state(), "FROZEN");
}

TEST_P(V1, waits_for_frozen_thawed_and_empty)
{
    scratch_->spawn_sleeper();
    std::thread freezes([&] { scratch_->write("freezer.state", "FROZEN"); });
    EXPECT_EQ(wait(Goal::kFrozen).outcome, Outcome::kReached);
    freezes.join();
    std::thread thaws([&] { scratch_->write("freezer.state", "THAWED"); });
    EXPECT_EQ(wait(Goal::kThawed).outcome, Outcome::kReached);
    thaws.join();
    const pid_t pid = scratch_->tasks().front();
    std::thread kills([&] { ::kill(pid, SIGKILL); });
    EXPECT_EQ(wait(Goal::kEmpty).outcome, Outcome::kReached);
    kills.join();
}

TEST_P(V1Bpf, a_member_that_v1_holds_is_named_by_the_v2_verbs)
{
    const pid_t pid = scratch_->spawn_sleeper();
    expect_frozen(freeze());
    std::vector<std::string> said;
    FreezeOptions options;
    options.timeout_ns = 300'000'000;
    options.notice = [&](const std::string &, const std::string &message) {
        said.push_back(message);
    };
    auto targets = target(scratch_->v2().dir());
    auto report = std::move((*freezer().freeze(targets, options)).front());
    EXPECT_EQ(report.outcome, Outcome::kDeadline);
    EXPECT_EQ(report.held_by_v1, std::vector<std::string>{scratch_->path()});
    ASSERT_EQ(said.size(), 1U);
    EXPECT_NE(said.front().find("still held by v1 " + scratch_->path()), std::string::npos);
    ASSERT_EQ(report.stragglers.size(), 1U);
    EXPECT_EQ(report.stragglers.front().tid, static_cast<unsigned>(pid));
    EXPECT_EQ(report.stragglers.front().note, TaskEntry::Note::kHeldByV1);

    const auto status = freezer().status(*targets.front().cgroup, false);
    ASSERT_TRUE(status);
    EXPECT_EQ(status->front().held_by_v1, std::vector<std::string>{scratch_->path()});
    report = std::move((*freezer().thaw(targets, test::freeze_options())).front());
    EXPECT_EQ(report.held_by_v1, std::vector<std::string>{scratch_->path()});
    freezer::KillOptions kill_options;
    kill_options.timeout_ns = 300'000'000;
    report = std::move((*freezer().kill(targets, kill_options)).front());
    EXPECT_EQ(report.outcome, Outcome::kDeadline);
    EXPECT_EQ(report.held_by_v1, std::vector<std::string>{scratch_->path()});
    EXPECT_EQ(thaw().outcome, Outcome::kReached);
    EXPECT_EQ(::waitpid(pid, nullptr, 0), pid); // of the SIGKILL that was pending
}

// It is counted as stopped.
TEST_P(V1, a_stopped_member_that_v1_holds_does_not_keep_v2_from_freezing)
{
    const pid_t pid = scratch_->spawn_sleeper();
    ::kill(pid, SIGSTOP);
    ASSERT_EQ(::waitpid(pid, nullptr, WUNTRACED), pid);
    expect_frozen(freeze());
    const std::string v2 = scratch_->v2().path();
    EXPECT_EQ(test::BothWaysTest::freeze(v2).outcome, Outcome::kReached);
    EXPECT_EQ(test::BothWaysTest::thaw(v2).outcome, Outcome::kReached);
    EXPECT_EQ(scratch_->state(), "FROZEN");
}

TEST_P(V1, the_root_is_refused)
{
    auto root = freezer().resolver().by_path(test::v1_mount());
    ASSERT_TRUE(root);
    const freezer::Resolver &resolver = freezer().resolver();
    const auto harmless = resolver.check_harmless(**root, resolver.own_cgroups(**root));
    ASSERT_FALSE(harmless);
    EXPECT_EQ(harmless.error().kind, freezer::ErrorKind::kRefused);
}

} // namespace
