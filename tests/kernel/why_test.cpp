// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// Real stragglers, each explained by its cause, its stack and who can help.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>

#include "tests/support/fuse_server.h"
#include "tests/support/scratch.h"
#include "user/freezer.h"
#include "user/mounts.h"

namespace
{

using freezer::Cause;
using freezer::Confidence;
using freezer::Freezer;
using freezer::HeldTask;
using freezer::Holder;
using freezer::WhyReport;
using Purpose = freezer::WhyReport::Purpose;

const Holder *holder_of(const HeldTask &task, Holder::Role role)
{
    const auto it = std::find_if(task.holders.begin(), task.holders.end(),
                                 [&](const Holder &holder) { return holder.role == role; });
    return it != task.holders.end() ? &*it : nullptr;
}

bool stack_has(const HeldTask &task, const std::string &symbol)
{
    return std::find(task.stack.begin(), task.stack.end(), symbol) != task.stack.end();
}

std::string text_of(const WhyReport &report)
{
    std::string text = sentence_of(report) + "\n";
    for (const HeldTask &task : report.tasks) {
        text += "  " + std::to_string(task.tid) + " " + to_string(task.cause) + " " +
                task.state_letter + ":";
        for (const std::string &symbol : task.stack)
            text += " " + symbol;
        text += "\n";
    }
    for (const std::string &missing : report.missing)
        text += "  " + missing + "\n";
    return text;
}

bool is_stopped_or_dead(pid_t pid, int what)
{
    siginfo_t info{};
    return ::waitid(P_PID, static_cast<id_t>(pid), &info, what | WNOWAIT) == 0;
}

class WhyBase
{
  protected:
    void open(bool use_bpf)
    {
        freezer::Config config;
        config.use_bpf = use_bpf;
        auto opened = Freezer::open(config);
        ASSERT_TRUE(opened) << opened.error().message;
        freezer_.emplace(std::move(*opened));
    }
    WhyReport why(const test::Scratch &scratch, Purpose purpose = Purpose::kState)
    {
        auto cgroup = freezer_->resolver().by_path(scratch.path());
        EXPECT_TRUE(cgroup) << cgroup.error().message;
        if (!cgroup)
            return {};
        auto report = freezer_->why(**cgroup, purpose);
        EXPECT_TRUE(report) << report.error().message;
        return report ? std::move(*report) : WhyReport();
    }
    // The one task, or a failure and an empty one.
    HeldTask why_task(pid_t pid)
    {
        auto report = freezer_->why_task(static_cast<std::uint32_t>(pid));
        EXPECT_TRUE(report) << report.error().message;
        if (!report || report->tasks.size() != 1)
            return {};
        EXPECT_EQ(report->tasks[0].tid, static_cast<unsigned>(pid));
        return std::move(report->tasks[0]);
    }

    std::optional<Freezer> freezer_;
};

class Why : public ::testing::TestWithParam<bool>, protected WhyBase
{
  protected:
    void SetUp() override { open(GetParam()); }
};
INSTANTIATE_TEST_SUITE_P(Ways, Why, ::testing::Values(true, false),
                         [](const auto &info) { return info.param ? "with_bpf" : "without_bpf"; });

TEST_P(Why, a_page_fault_that_user_space_does_not_serve)
{
    test::Straggler straggler;
    if (!straggler.possible())
        GTEST_SKIP() << straggler.why();
    test::Scratch scratch;
    scratch.mkdir("db");
    scratch.spawn_sleeper();
    const pid_t pid = straggler.spawn(scratch, "db");

    // Before any freeze it is foretold.
    const WhyReport thawed = why(scratch);
    ASSERT_EQ(thawed.tasks.size(), 1U) << text_of(thawed);
    EXPECT_EQ(thawed.tasks[0].cause, Cause::kUserfaultfd);
    EXPECT_EQ(thawed.state, freezer::State::kThawed);

    ASSERT_TRUE(scratch.write("cgroup.freeze", "1"));
    // The sleeper is on its way to the freezer for a moment, and the looks are samples of a task
    // that retries: on a busy machine all may find it between two tries.
    WhyReport report;
    EXPECT_TRUE(test::eventually([&] {
        report = why(scratch);
        return report.tasks.size() == 1 && report.tasks[0].cause != Cause::kOnCpu;
    })) << text_of(report);
    ASSERT_EQ(report.tasks.size(), 1U);
    const HeldTask &task = report.tasks[0];
    EXPECT_EQ(task.tid, static_cast<unsigned>(pid));
    EXPECT_EQ(task.cause, Cause::kUserfaultfd) << text_of(report);
    EXPECT_EQ(task.cgroup, scratch.path("db"));
    ASSERT_FALSE(task.stack.empty());
    EXPECT_TRUE(stack_has(task, "handle_userfault")) << text_of(report);
    EXPECT_GE(report.looks, 5U);
    EXPECT_GE(task.agreeing, 1U);
    EXPECT_EQ(report.members, 2U);
    ASSERT_FALSE(task.holders.empty());
    EXPECT_EQ(task.holders[0].role, Holder::Role::kUserfaultfdOwner);
    EXPECT_EQ(task.holders[0].pid, static_cast<unsigned>(::getpid()));
    const std::string sentence = sentence_of(report);
    EXPECT_NE(sentence.find("1 of 2 tasks has not reached the freezer: " + std::to_string(pid)),
              std::string::npos)
        << sentence;
    EXPECT_NE(sentence.find("userfaultfd"), std::string::npos) << sentence;
    straggler.release();
}

TEST_P(Why, a_fuse_server_that_does_not_answer)
{
    for (const bool cached : {false, true}) {
        SCOPED_TRACE(cached ? "cached" : "direct");
        test::Scratch scratch;
        test::FuseServer server(cached);
        if (!server.possible())
            GTEST_SKIP() << server.why();
        const pid_t pid = server.spawn_reader(scratch);
        ASSERT_TRUE(scratch.write("cgroup.freeze", "1"));
        const WhyReport report = why(scratch);
        ASSERT_EQ(report.tasks.size(), 1U) << text_of(report);
        const HeldTask &task = report.tasks[0];
        EXPECT_EQ(task.tid, static_cast<unsigned>(pid));
        EXPECT_EQ(task.cause, Cause::kFuse) << text_of(report);
        EXPECT_FALSE(task.stack.empty());
        const Holder *const process = holder_of(task, Holder::Role::kFuseServer);
        ASSERT_NE(process, nullptr) << text_of(report);
        EXPECT_EQ(process->pid, static_cast<unsigned>(server.pid()));
        EXPECT_EQ(process->comm, "fuse-test-srv");
        const Holder *const mount = holder_of(task, Holder::Role::kMount);
        ASSERT_NE(mount, nullptr) << text_of(report);
        EXPECT_EQ(mount->path, server.mount_point());
    }
}

TEST_P(Why, a_kill_that_waits_for_a_fuse_server)
{
    test::Scratch scratch;
    test::FuseServer server;
    if (!server.possible())
        GTEST_SKIP() << server.why();
    scratch.spawn_sleeper();
    const pid_t pid = server.spawn_reader(scratch);
    auto cgroup = freezer_->resolver().by_path(scratch.path());
    ASSERT_TRUE(cgroup);
    std::vector<freezer::Target> targets;
    targets.push_back({scratch.path(), std::move(*cgroup)});
    freezer::KillOptions options;
    options.timeout_ns = 300'000'000;
    const auto killed = freezer_->kill(targets, options);
    ASSERT_TRUE(killed);
    EXPECT_EQ(killed->front().outcome, freezer::Outcome::kDeadline);

    const WhyReport report = why(scratch, Purpose::kKill);
    ASSERT_FALSE(report.tasks.empty());
    const HeldTask &task = report.tasks[0];
    EXPECT_EQ(task.tid, static_cast<unsigned>(pid)) << text_of(report);
    EXPECT_EQ(task.cause, Cause::kFuse) << text_of(report);
    EXPECT_TRUE(task.killed);
    EXPECT_NE(sentence_of(report).find("1 task is left"), std::string::npos) << sentence_of(report);
    EXPECT_EQ(scratch.event("populated"), 1);
    server.stop();
    EXPECT_TRUE(test::eventually([&] { return scratch.event("populated") == 0; }));
}

// None of these holds a freeze up, and none is named beside the one that does.
TEST_P(Why, those_that_are_frozen_enough_are_not_listed)
{
    test::Straggler straggler;
    if (!straggler.possible())
        GTEST_SKIP() << straggler.why();
    test::Scratch scratch;
    scratch.mkdir("others");
    test::Counters counters(1);
    const pid_t traced = scratch.spawn_sleeper("others");
    ASSERT_EQ(::ptrace(PTRACE_SEIZE, traced, nullptr, nullptr), 0);
    ASSERT_EQ(::ptrace(PTRACE_INTERRUPT, traced, nullptr, nullptr), 0);
    ASSERT_TRUE(is_stopped_or_dead(traced, WSTOPPED));
    const pid_t stopped = scratch.spawn_sleeper("others");
    ASSERT_EQ(::kill(stopped, SIGSTOP), 0);
    ASSERT_TRUE(is_stopped_or_dead(stopped, WSTOPPED));
    const pid_t vforked = scratch.spawn(
        [] {
            if (::vfork() == 0)
                test::sleep_for_ever();
        },
        "others");
    scratch.spawn(
        [] {
            std::array<int, 2> pipe{};
            char byte = 0;
            if (::pipe(pipe.data()) == 0)
                (void)!::read(pipe[0], &byte, 1);
        },
        "others");
    scratch.spawn_spinner(counters, 0, "others");
    ASSERT_TRUE(test::eventually([&] { return scratch.threads("others").size() == 6; }));
    const pid_t pid = straggler.spawn(scratch);
    ASSERT_TRUE(scratch.write("cgroup.freeze", "1"));
    ASSERT_TRUE(test::eventually([&] { return scratch.event("frozen", "others") == 1; }));

    const WhyReport report = why(scratch);
    ASSERT_EQ(report.tasks.size(), 1U) << text_of(report);
    EXPECT_EQ(report.tasks[0].tid, static_cast<unsigned>(pid));
    EXPECT_EQ(report.members, 7U);
    EXPECT_EQ(report.frozen, 6U);

    // Asked for one by one they are told apart, and by whom they are held.
    const HeldTask t = why_task(traced);
    EXPECT_EQ(t.cause, Cause::kTraced);
    const Holder *const tracer = holder_of(t, Holder::Role::kTracer);
    ASSERT_NE(tracer, nullptr);
    EXPECT_EQ(tracer->pid, static_cast<unsigned>(::getpid()));
    EXPECT_EQ(why_task(stopped).cause, Cause::kStopped);
    const HeldTask v = why_task(vforked);
    EXPECT_EQ(v.cause, Cause::kVfork);
    if (GetParam() && test::kernel_has_btf()) {
        const Holder *const child = holder_of(v, Holder::Role::kVforkChild);
        ASSERT_NE(child, nullptr);
        EXPECT_EQ(child->state_letter, 'S');
    }
    ::ptrace(PTRACE_DETACH, traced, nullptr, nullptr);
}

TEST_P(Why, a_frozen_cgroup_has_no_stragglers)
{
    test::Scratch scratch;
    const pid_t pid = scratch.spawn_sleeper();
    EXPECT_EQ(why_task(pid).cause, Cause::kSleeping);
    ASSERT_TRUE(scratch.write("cgroup.freeze", "1"));
    ASSERT_TRUE(test::eventually([&] { return scratch.event("frozen") == 1; }));
    const WhyReport report = why(scratch);
    EXPECT_TRUE(report.tasks.empty()) << text_of(report);
    EXPECT_EQ(report.state, freezer::State::kFrozen);
    EXPECT_EQ(why_task(pid).cause, Cause::kFrozen);
}

TEST_P(Why, a_zombie_whose_parent_does_not_reap_it)
{
    test::Scratch scratch;
    const pid_t pid = scratch.spawn([] {});
    ASSERT_TRUE(is_stopped_or_dead(pid, WEXITED));
    const WhyReport report = why(scratch, Purpose::kKill);
    ASSERT_EQ(report.tasks.size(), 1U) << text_of(report);
    EXPECT_EQ(report.tasks[0].tid, static_cast<unsigned>(pid));
    EXPECT_EQ(report.tasks[0].cause, Cause::kZombie);
    EXPECT_EQ(report.tasks[0].confidence, Confidence::kSure);
    const Holder *const parent = holder_of(report.tasks[0], Holder::Role::kParent);
    ASSERT_NE(parent, nullptr);
    EXPECT_EQ(parent->pid, static_cast<unsigned>(::getpid()));
    EXPECT_EQ(parent->state_letter, 'R');
    EXPECT_NE(sentence_of(report).find("1 zombie is not reaped: " + std::to_string(pid)),
              std::string::npos)
        << sentence_of(report);
    EXPECT_EQ(why_task(pid).cause, Cause::kZombie);
}

// A v1 freezer cgroup of its own, thawed and removed at the end.
class V1Freezer
{
  public:
    V1Freezer()
    {
        auto mounts = freezer::read_cgroup_mounts();
        const auto *const mount =
            mounts ? freezer::find_mount(*mounts, freezer::Hierarchy::kV1Freezer) : nullptr;
        if (!mount)
            return;
        name_ = "/freezerctl-test-v1-" + std::to_string(::getpid());
        dir_ = mount->mount_point + name_;
        if (::mkdir(dir_.c_str(), 0755) != 0)
            dir_.clear();
    }
    V1Freezer(const V1Freezer &) = delete;
    V1Freezer &operator=(const V1Freezer &) = delete;
    ~V1Freezer()
    {
        if (dir_.empty())
            return;
        write("freezer.state", "THAWED");
        const std::string root = dir_.substr(0, dir_.rfind('/'));
        const std::string tasks = test::read_file(dir_ + "/cgroup.procs");
        for (size_t at = 0; at < tasks.size(); at = tasks.find('\n', at) + 1)
            test::write_file(root + "/cgroup.procs", tasks.substr(at, tasks.find('\n', at) - at));
        test::eventually([&] { return ::rmdir(dir_.c_str()) == 0 || errno == ENOENT; });
    }
    [[nodiscard]] bool possible() const { return !dir_.empty(); }
    [[nodiscard]] const std::string &path() const { return name_; }
    bool write(const std::string &file, const std::string &text) const
    {
        return test::write_file(dir_ + "/" + file, text);
    }
    [[nodiscard]] std::string state() const { return test::read_file(dir_ + "/freezer.state"); }

  private:
    std::string name_;
    std::string dir_;
};

TEST_P(Why, a_task_that_a_v1_freezer_holds)
{
    test::Scratch scratch;
    V1Freezer v1;
    if (!v1.possible())
        GTEST_SKIP() << "no v1 freezer hierarchy is mounted";
    const pid_t pid = scratch.spawn_sleeper();
    ASSERT_TRUE(v1.write("cgroup.procs", std::to_string(pid)));
    ASSERT_TRUE(v1.write("freezer.state", "FROZEN"));
    ASSERT_TRUE(test::eventually([&] { return v1.state() == "FROZEN\n"; }));
    ASSERT_TRUE(scratch.write("cgroup.freeze", "1"));
    const WhyReport report = why(scratch);
    ASSERT_EQ(report.tasks.size(), 1U) << text_of(report);
    EXPECT_EQ(report.tasks[0].tid, static_cast<unsigned>(pid));
    EXPECT_EQ(report.tasks[0].cause, Cause::kHeldByV1) << text_of(report);
    const Holder *const holder = holder_of(report.tasks[0], Holder::Role::kV1Freezer);
    ASSERT_NE(holder, nullptr);
    EXPECT_EQ(holder->path, v1.path());
    EXPECT_EQ(holder->type, "FROZEN");
    EXPECT_NE(sentence_of(report).find(v1.path()), std::string::npos) << sentence_of(report);
}

TEST_P(Why, a_process_that_does_not_exist)
{
    test::Scratch scratch;
    const pid_t pid = scratch.spawn([] {});
    ASSERT_EQ(::waitpid(pid, nullptr, 0), pid);
    const auto report = freezer_->why_task(static_cast<std::uint32_t>(pid));
    ASSERT_FALSE(report);
    EXPECT_EQ(report.error().kind, freezer::ErrorKind::kInvalid);
    EXPECT_EQ(report.error().sys_errno, ESRCH);
}

TEST_P(Why, a_kernel_thread)
{
    if (test::read_file("/proc/2/comm") != "kthreadd\n")
        GTEST_SKIP() << "kernel threads are not in sight";
    const HeldTask task = why_task(2);
    EXPECT_EQ(task.cause, Cause::kKernelThread);
    EXPECT_EQ(task.confidence, Confidence::kSure);
}

TEST(WhyUnprivileged, the_class_is_given_and_what_is_missing_named)
{
    test::Scratch scratch;
    const pid_t pid = scratch.spawn_sleeper();
    ASSERT_EQ(::kill(pid, SIGSTOP), 0);
    ASSERT_TRUE(is_stopped_or_dead(pid, WSTOPPED));
    std::array<int, 2> pipe{};
    ASSERT_EQ(::pipe2(pipe.data(), O_CLOEXEC), 0);
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
        // As nobody: neither BPF nor another user's stack.
        std::string text = "cannot change the user";
        if (::syscall(SYS_setresgid, 65534, 65534, 65534) == 0 &&
            ::syscall(SYS_setresuid, 65534, 65534, 65534) == 0) {
            freezer::Explainer explainer(true);
            const auto report = explainer.explain_task(static_cast<std::uint32_t>(pid));
            text = report ? text_of(*report) + (report->bpf_error ? report->bpf_error->message : "")
                          : report.error().message;
        }
        (void)!::write(pipe[1], text.data(), text.size());
        ::_exit(0);
    }
    ::close(pipe[1]);
    std::string text;
    std::array<char, 4096> buffer{};
    for (ssize_t n = 0; (n = ::read(pipe[0], buffer.data(), buffer.size())) > 0;)
        text.append(buffer.data(), static_cast<size_t>(n));
    ::close(pipe[0]);
    ::waitpid(child, nullptr, 0);
    EXPECT_NE(text.find(" stopped T"), std::string::npos) << text;
    EXPECT_NE(text.find("kernel stacks: no permission"), std::string::npos) << text;
    EXPECT_NE(text.find(test::kernel_has_btf() ? "no permission to load" : "no BTF"),
              std::string::npos)
        << text;
}

} // namespace
