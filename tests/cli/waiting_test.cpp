// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// What ends a wait that does not simply succeed: the deadline, a signal, somebody else.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdlib>

#include <nlohmann/json.hpp>

#include "tests/support/command.h"
#include "tests/support/scratch.h"

namespace
{

using nlohmann::json;
using test::Command;
using test::Ran;
using test::run;
using test::Scratch;

// A cgroup that does not freeze, for its one task is blocked in the kernel; with BPF and without
// it.
class Waiting : public ::testing::TestWithParam<const char *>
{
  protected:
    void SetUp() override
    {
        if (bpf() && !test::kernel_has_btf())
            GTEST_SKIP() << "the kernel has no BTF";
        if (!straggler_.possible())
            GTEST_SKIP() << straggler_.why();
        pid_ = straggler_.spawn(scratch_);
    }
    [[nodiscard]] std::vector<std::string> words(std::vector<std::string> arguments) const
    {
        // From the request on: a late tracker may come after what the test is about.
        arguments.emplace_back(bpf() ? "--require-bpf" : "--no-bpf");
        arguments.push_back(scratch_.path());
        return arguments;
    }
    [[nodiscard]] bool bpf() const { return *GetParam() == '\0'; }
    void expect_named(const Ran &ran) const
    {
        EXPECT_NE(ran.err.find(std::to_string(pid_)), std::string::npos) << ran.err;
        EXPECT_NE(ran.err.find("1 of 1 task"), std::string::npos) << ran.err;
    }

    test::Straggler straggler_;
    Scratch scratch_;
    pid_t pid_ = -1;
};

INSTANTIATE_TEST_SUITE_P(, Waiting, ::testing::Values("", "--no-bpf"),
                         [](const auto &which) { return *which.param ? "no_bpf" : "bpf"; });

TEST_P(Waiting, the_deadline_takes_the_request_back)
{
    const Ran ran = run(words({"freeze", "--timeout", "100ms"}));
    EXPECT_EQ(ran.status, 124);
    EXPECT_EQ(ran.out, "");
    expect_named(ran);
    EXPECT_NE(ran.err.find("thawed again"), std::string::npos) << ran.err;
    EXPECT_EQ(scratch_.read("cgroup.freeze"), "0\n");
}

// On a terminal one line is written over again and again.
TEST_P(Waiting, whoever_watches_is_kept_up_to_date)
{
    const int terminal = ::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    ASSERT_GE(terminal, 0);
    if (::grantpt(terminal) != 0 || ::unlockpt(terminal) != 0)
        GTEST_SKIP() << "no terminals here";
    const std::string name = ::ptsname(terminal);
    Command command(words({"freeze", "--timeout", "1h"}), [&] {
        const int end = ::open(name.c_str(), O_RDWR | O_NOCTTY);
        if (end < 0 || ::dup2(end, STDERR_FILENO) < 0)
            ::_exit(120);
        ::setenv("TERM", "vt100", 1);
    });
    std::string shown;
    std::array<char, 4096> buffer{};
    while (shown.find("\r\x1b[K") == std::string::npos) {
        pollfd readable{terminal, POLLIN, 0};
        ASSERT_EQ(::poll(&readable, 1, 60'000), 1) << shown;
        const ssize_t n = ::read(terminal, buffer.data(), buffer.size());
        ASSERT_GT(n, 0) << shown;
        shown.append(buffer.data(), static_cast<size_t>(n));
    }
    EXPECT_NE(shown.find(": waiting: "), std::string::npos) << shown;
    EXPECT_NE(shown.find("0 of 1 tasks frozen; "), std::string::npos) << shown;
    command.signal(SIGTERM);
    EXPECT_EQ(command.finish().status, 143);
    ::close(terminal);
}

TEST_P(Waiting, the_deadline_in_json)
{
    const Ran ran = run(words({"freeze", "--json", "--timeout", "100ms"}));
    EXPECT_EQ(ran.status, 124);
    const json report = json::parse(ran.out);
    EXPECT_EQ(report["outcome"], "deadline");
    EXPECT_EQ(report["rolled_back"], true);
    EXPECT_EQ(report["not_frozen"], 1);
    ASSERT_EQ(report["stragglers"].size(), 1U);
    EXPECT_EQ(report["stragglers"][0]["tid"], pid_);
}

TEST_P(Waiting, the_request_is_kept)
{
    const Ran ran = run(words({"freeze", "--timeout", "100ms", "--on-timeout", "keep"}));
    EXPECT_EQ(ran.status, 124);
    EXPECT_NE(ran.err.find("left FREEZING"), std::string::npos) << ran.err;
    EXPECT_EQ(scratch_.read("cgroup.freeze"), "1\n");
    EXPECT_EQ(run("status --is freezing " + scratch_.path()).status, 0);
    straggler_.release();
    EXPECT_EQ(run(words({"wait", "--for", "frozen"})).status, 0);
}

TEST_P(Waiting, the_cgroup_is_killed)
{
    const Ran ran = run(words({"freeze", "--timeout", "100ms", "--on-timeout", "kill"}));
    EXPECT_EQ(ran.status, 124);
    EXPECT_NE(ran.err.find("killed"), std::string::npos) << ran.err;
    EXPECT_EQ(scratch_.event("populated"), 0);
}

TEST_P(Waiting, signals_end_it_as_the_deadline_does)
{
    for (const auto &[number, status] : {std::pair(SIGINT, 130), std::pair(SIGTERM, 143)}) {
        Command command(words({"freeze", "--timeout", "1h"}));
        ASSERT_TRUE(command.wait_until_it_waits());
        command.signal(number);
        const Ran ran = command.finish();
        EXPECT_EQ(ran.status, status);
        EXPECT_NE(ran.err.find("interrupted"), std::string::npos) << ran.err;
        expect_named(ran);
        EXPECT_EQ(scratch_.read("cgroup.freeze"), "0\n");
    }
}

TEST_P(Waiting, it_freezes_when_the_straggler_comes)
{
    Command command(words({"freeze", "--timeout", "1h"}));
    ASSERT_TRUE(command.wait_until_it_waits());
    straggler_.release();
    const Ran ran = command.finish();
    EXPECT_EQ(ran.status, 0) << ran.err;
    EXPECT_EQ(scratch_.event("frozen"), 1);
}

TEST_P(Waiting, there_are_not_two_descriptors_for_each_cgroup)
{
    constexpr int kOthers = 100;
    constexpr rlimit kFiles{kOthers + 150, kOthers + 150};
    auto arguments = words({"freeze", "--timeout", "1h"});
    Scratch others;
    for (int i = 0; i < kOthers; ++i) {
        others.mkdir(std::to_string(i));
        arguments.push_back(others.path(std::to_string(i)));
    }
    Command command(arguments, [&] { ::setrlimit(RLIMIT_NOFILE, &kFiles); });
    ASSERT_TRUE(command.wait_until_it_waits());
    straggler_.release();
    const Ran ran = command.finish();
    EXPECT_EQ(ran.status, 0) << ran.err;
    EXPECT_EQ(scratch_.event("frozen"), 1);
}

TEST_P(Waiting, somebody_thaws_it)
{
    Command command(words({"freeze", "--timeout", "1h"}));
    ASSERT_TRUE(command.wait_until_it_waits());
    ASSERT_TRUE(scratch_.write("cgroup.freeze", "0"));
    const Ran ran = command.finish();
    EXPECT_EQ(ran.status, 1);
    EXPECT_NE(ran.err.find("thawed"), std::string::npos) << ran.err;
    if (bpf()) {
        EXPECT_NE(ran.err.find(" by " + std::to_string(::getpid()) + " "), std::string::npos)
            << ran.err;
    }
}

TEST_P(Waiting, somebody_kills_it)
{
    Command command(words({"freeze", "--timeout", "1h"}));
    ASSERT_TRUE(command.wait_until_it_waits());
    ::kill(pid_, SIGKILL);
    const Ran ran = command.finish();
    // An empty cgroup is frozen; but with BPF it is known that its tasks were killed.
    EXPECT_EQ(ran.status, bpf() ? 1 : 0) << ran.err;
    if (bpf()) {
        EXPECT_NE(ran.err.find(" by " + std::to_string(::getpid()) + " "), std::string::npos)
            << ran.err;
    }
}

TEST_P(Waiting, a_second_freeze_is_not_taken_back_by_the_first)
{
    Command command(words({"freeze", "--timeout", "1h"}));
    ASSERT_TRUE(command.wait_until_it_waits());
    // Past the time after which writes that change nothing are seen, too.
    ASSERT_EQ(run("wait --for frozen --timeout 100ms " + scratch_.path()).status, 124);
    ASSERT_TRUE(scratch_.write("cgroup.freeze", "1"));
    command.signal(SIGINT);
    EXPECT_EQ(command.finish().status, 130);
    EXPECT_EQ(scratch_.read("cgroup.freeze"), "1\n");
}

TEST_P(Waiting, all_or_none)
{
    Scratch other;
    other.spawn_sleeper();
    auto arguments = words({"freeze", "--timeout", "100ms", "--all-or-none"});
    arguments.push_back(other.path());
    const Ran ran = run(arguments);
    EXPECT_EQ(ran.status, 124);
    EXPECT_EQ(scratch_.read("cgroup.freeze"), "0\n");
    EXPECT_EQ(other.read("cgroup.freeze"), "0\n");
    EXPECT_NE(ran.err.find(other.path() + ": thawed again"), std::string::npos) << ran.err;
}

TEST_P(Waiting, a_task_that_leaves_is_not_waited_for)
{
    Command command(words({"wait", "--timeout", "1h", "--for", "empty"}));
    ASSERT_TRUE(command.wait_until_it_waits());
    Scratch other;
    ASSERT_TRUE(other.write("cgroup.procs", std::to_string(pid_)));
    EXPECT_EQ(command.finish().status, 0);
}

// Of an empty cgroup that is removed the kernel notifies neither poll nor inotify.
TEST(WaitingRemoved, while_waiting_for_a_state)
{
    for (const std::string flag : {"--json", "--no-bpf"}) {
        Scratch scratch;
        scratch.mkdir("a");
        Command command({"wait", "--for", "frozen", flag, scratch.path("a")});
        ASSERT_TRUE(command.wait_until_it_waits());
        ASSERT_TRUE(scratch.rmdir("a"));
        const Ran ran = command.finish();
        EXPECT_EQ(ran.status, 4) << flag;
        EXPECT_NE(ran.err.find("removed"), std::string::npos) << ran.err;
    }
}

TEST(WaitingRemoved, is_as_good_as_empty)
{
    for (const std::string flag : {"--json", "--no-bpf"}) {
        Scratch scratch;
        scratch.mkdir("a");
        const pid_t pid = scratch.spawn_sleeper("a");
        Command command({"wait", "--for", "empty", flag, scratch.path("a")});
        ASSERT_TRUE(command.wait_until_it_waits());
        ::kill(pid, SIGKILL);
        ::waitpid(pid, nullptr, 0);
        ASSERT_TRUE(scratch.rmdir("a"));
        EXPECT_EQ(command.finish().status, 0) << flag;
    }
}

} // namespace
