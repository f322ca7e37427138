// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// freezerctl why as a user reads it: the first line names the task and the cause.
#include <gtest/gtest.h>
#include <pty.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>

#include <nlohmann/json.hpp>

#include "tests/support/command.h"
#include "tests/support/fuse_server.h"
#include "tests/support/scratch.h"

namespace
{

using nlohmann::json;
using test::Ran;
using test::run;

std::string first_line(const std::string &text)
{
    return text.substr(0, text.find('\n'));
}

// All white space as one blank: what a wrapped text says.
std::string unwrapped(const std::string &text)
{
    std::string out;
    for (const char c : text) {
        const bool blank = c == ' ' || c == '\n' || c == '\r';
        if (!blank)
            out += c;
        else if (!out.empty() && out.back() != ' ')
            out += ' ';
    }
    return out;
}

// What the command prints on a terminal of that many columns.
// Ctrl-C is pressed when `until` is there.
std::string run_on_terminal(const std::vector<std::string> &words, unsigned short columns,
                            const std::string &until = "")
{
    std::vector<std::string> copy{test::binary()};
    copy.insert(copy.end(), words.begin(), words.end());
    std::vector<char *> arguments;
    arguments.reserve(copy.size() + 1);
    for (std::string &word : copy)
        arguments.push_back(word.data());
    arguments.push_back(nullptr);
    winsize size{};
    size.ws_row = 24;
    size.ws_col = columns;
    int terminal = -1;
    const pid_t pid = ::forkpty(&terminal, nullptr, nullptr, &size);
    if (pid < 0)
        return "forkpty failed";
    if (pid == 0) {
        ::execv(arguments[0], arguments.data());
        ::_exit(127);
    }
    std::string out;
    std::array<char, 4096> buffer{};
    bool pressed = until.empty();
    for (ssize_t n = 0; (n = ::read(terminal, buffer.data(), buffer.size())) > 0;) {
        out.append(buffer.data(), static_cast<size_t>(n));
        if (!pressed && out.find(until) != std::string::npos)
            pressed = ::write(terminal, "\x03", 1) == 1;
    }
    ::close(terminal);
    ::waitpid(pid, nullptr, 0);
    return out;
}

TEST(CommandWhy, a_freeze_that_a_page_fault_holds_up)
{
    test::Straggler straggler;
    if (!straggler.possible())
        GTEST_SKIP() << straggler.why();
    test::Scratch scratch;
    const std::string pid = std::to_string(straggler.spawn(scratch));
    const std::string cause = " waits for a page fault that user space serves (userfaultfd)";

    // The freeze itself says it when time is up.
    const Ran frozen = run("freeze --timeout 300ms " + scratch.path());
    EXPECT_EQ(frozen.status, 124) << frozen.err;
    EXPECT_NE(first_line(frozen.err).find("1 of 1 task has not reached the freezer: " + pid),
              std::string::npos)
        << frozen.err;
    EXPECT_NE(first_line(frozen.err).find(cause), std::string::npos) << frozen.err;

    ASSERT_TRUE(scratch.write("cgroup.freeze", "1"));
    for (const char *const how : {"", " --no-bpf"}) {
        const Ran ran = run("why " + scratch.path() + how);
        EXPECT_EQ(ran.status, 0) << ran.err;
        const std::string line = first_line(ran.out);
        EXPECT_EQ(line.find(scratch.path() + " is FREEZING"), 0U) << ran.out;
        EXPECT_NE(line.find("1 of 1 task has not reached the freezer: " + pid + " "),
                  std::string::npos)
            << ran.out;
        EXPECT_NE(line.find(cause), std::string::npos) << ran.out;
        EXPECT_NE(ran.out.find("\n    held by: pid " + std::to_string(::getpid()) + " "),
                  std::string::npos)
            << ran.out;
        EXPECT_NE(ran.out.find("handle_userfault"), std::string::npos) << ran.out;
        EXPECT_NE(ran.out.find("class: userfaultfd, likely"), std::string::npos) << ran.out;
    }

    const json object = json::parse(run("why --json " + scratch.path()).out);
    EXPECT_EQ(object["verb"], "why");
    EXPECT_EQ(object["state"], "FREEZING");
    ASSERT_EQ(object["held"].size(), 1U) << object;
    const json &task = object["held"][0];
    EXPECT_EQ(std::to_string(task["tid"].get<int>()), pid);
    EXPECT_EQ(task["class"], "userfaultfd");
    EXPECT_EQ(task["confidence"], "likely");
    EXPECT_TRUE(task["stack"].is_array());
    EXPECT_GE(task["looks"], 5);
    ASSERT_FALSE(task["held_by"].empty());
    EXPECT_EQ(task["held_by"][0]["pid"], ::getpid());

    // A narrow terminal breaks the lines and loses nothing of them.
    const std::string narrow = run_on_terminal({"why", scratch.path()}, 40);
    EXPECT_NE(unwrapped(narrow).find(pid + " "), std::string::npos) << narrow;
    EXPECT_NE(unwrapped(narrow).find("(userfaultfd)"), std::string::npos) << narrow;
    size_t begin = 0;
    for (size_t end = 0; (end = narrow.find("\r\n", begin)) != std::string::npos; begin = end + 2) {
        const std::string line = narrow.substr(begin, end - begin);
        const std::string words = line.substr(std::min(line.find_first_not_of(' '), line.size()));
        EXPECT_TRUE(line.size() <= 40 || words.find(' ') == std::string::npos) << line;
    }
}

// Somebody who watches need not wait for the deadline.
TEST(CommandWhy, a_terminal_is_told_after_a_second)
{
    test::Straggler straggler;
    if (!straggler.possible())
        GTEST_SKIP() << straggler.why();
    test::Scratch scratch;
    const std::string pid = std::to_string(straggler.spawn(scratch));
    for (const char *const terminal : {"xterm", "dumb"}) {
        ::setenv("TERM", terminal, 1);
        const std::string told = unwrapped(run_on_terminal(
            {"freeze", "--timeout", "infinity", scratch.path()}, 200, ": waiting: "));
        const size_t notice = told.find(scratch.path() + ": waiting: ");
        ASSERT_NE(notice, std::string::npos) << told;
        EXPECT_NE(told.find("1 of 1 task has not reached the freezer: " + pid, notice),
                  std::string::npos)
            << told;
        EXPECT_NE(told.find(": not frozen after ", notice), std::string::npos) << told;
    }
    // Its other reader is a script, which gets the reason with the result.
    const Ran ran = run("freeze --timeout 1500ms " + scratch.path());
    EXPECT_EQ(ran.status, 124) << ran.err;
    EXPECT_EQ(ran.err.find(": waiting: "), std::string::npos) << ran.err;
}

TEST(CommandWhy, a_kill_that_a_fuse_server_holds_up)
{
    test::Scratch scratch;
    test::FuseServer server;
    if (!server.possible())
        GTEST_SKIP() << server.why();
    const std::string pid = std::to_string(server.spawn_reader(scratch));
    const Ran ran = run("kill --json --timeout 300ms " + scratch.path());
    EXPECT_EQ(ran.status, 124) << ran.err;
    EXPECT_NE(first_line(ran.err).find(": " + pid + " "), std::string::npos) << ran.err;
    EXPECT_NE(first_line(ran.err).find("FUSE"), std::string::npos) << ran.err;
    EXPECT_NE(ran.err.find("it was killed and dies when that ends"), std::string::npos) << ran.err;
    const json object = json::parse(ran.out);
    ASSERT_TRUE(object["why"].is_object()) << object;
    ASSERT_EQ(object["why"]["held"].size(), 1U) << object;
    const json &task = object["why"]["held"][0];
    EXPECT_EQ(task["class"], "fuse");
    EXPECT_EQ(task["killed"], true);
    ASSERT_FALSE(task["held_by"].empty());
    EXPECT_EQ(task["held_by"][0]["role"], "fuse-server");
    EXPECT_EQ(task["held_by"][0]["pid"], server.pid());
    EXPECT_EQ(task["held_by"][0]["path"], server.mount_point());
    server.stop();
    EXPECT_TRUE(test::eventually([&] { return scratch.event("populated") == 0; }));
}

TEST(CommandWhy, one_process)
{
    test::Scratch scratch;
    const pid_t pid = scratch.spawn([] {
        ::prctl(PR_SET_NAME, "a\x1b[2J\nb");
        ::raise(SIGSTOP);
    });
    siginfo_t info{};
    ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(pid), &info, WSTOPPED | WNOWAIT), 0);
    const Ran ran = run("why --pid " + std::to_string(pid));
    EXPECT_EQ(ran.status, 0) << ran.err;
    EXPECT_EQ(first_line(ran.out), std::to_string(pid) + " a\\x1b[2J\\x0ab is stopped by a signal");
    EXPECT_EQ(ran.out.find('\x1b'), std::string::npos);
    const json object = json::parse(run("why --json --pid " + std::to_string(pid)).out);
    ASSERT_EQ(object["held"].size(), 1U);
    EXPECT_EQ(object["held"][0]["class"], "stopped");
    EXPECT_EQ(object["held"][0]["confidence"], "sure");
}

TEST(CommandWhy, nothing_is_held_up)
{
    test::Scratch scratch;
    scratch.spawn_sleeper();
    const Ran ran = run("why " + scratch.path());
    EXPECT_EQ(ran.status, 0) << ran.err;
    EXPECT_EQ(ran.out, scratch.path() + " is THAWED: none of its 1 task would hold up a freeze\n");
    EXPECT_EQ(ran.err, "");
}

TEST(CommandWhy, bad_input)
{
    test::Scratch scratch;
    const pid_t pid = scratch.spawn([] {});
    ASSERT_EQ(::waitpid(pid, nullptr, 0), pid);
    const Ran ran = run("why --pid " + std::to_string(pid));
    EXPECT_EQ(ran.status, 2);
    EXPECT_NE(ran.err.find("there is no process or thread of that number"), std::string::npos);
    EXPECT_EQ(run("why").status, 2);
    EXPECT_EQ(run("why --pid 0").status, 2);
    EXPECT_EQ(run("why /no-such-cgroup-here").status, 4);
    EXPECT_EQ(run("why --for lunch " + scratch.path()).status, 2);
}

} // namespace
