// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// The command on v1: the transcript of 2008, and the same JSON as on v2.
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <set>
#include <sstream>

#include <nlohmann/json.hpp>

#include "tests/support/command.h"
#include "tests/support/scratch_v1.h"

namespace
{

using Json = nlohmann::json;

using test::Ran;
using test::run;

class CommandV1 : public ::testing::Test
{
  protected:
    void SetUp() override
    {
        if (test::v1_mount().empty())
            GTEST_SKIP() << "the kernel has no v1 freezer that could be mounted";
    }
};

// "[PATCH 0/4] Container Freezer: Reuse Suspend Freezer" of July 2008, its example: a task in a
// cgroup, "echo FROZEN > freezer.state" and back, "echo 9 > signal.kill".
TEST_F(CommandV1, the_example_of_2008)
{
    test::ScratchV1 scratch;
    scratch.spawn_sleeper();
    const std::string dir = scratch.dir();
    EXPECT_EQ(run("state " + dir).out, "THAWED\n");
    EXPECT_EQ(run("state " + dir + " FROZEN").status, 0);
    EXPECT_EQ(run("state " + dir).out, "FROZEN\n");
    EXPECT_EQ(run("state " + dir).out, "FROZEN\n");
    EXPECT_EQ(run("state " + dir + " RUNNING").status, 0);
    EXPECT_EQ(run("state " + dir).out, "THAWED\n");
    EXPECT_EQ(run("kill " + dir + " --signal 9 --wait").status, 0);
    EXPECT_EQ(run("wait --for empty " + dir).status, 0);
    EXPECT_EQ(scratch.read("tasks"), "");
}

TEST_F(CommandV1, freezing_until_a_later_call_finishes_or_cancels_it)
{
    test::Straggler straggler;
    if (!straggler.possible())
        GTEST_SKIP() << straggler.why();
    test::ScratchV1 scratch;
    scratch.adopt(straggler.spawn(scratch.v2()));
    const std::string dir = scratch.dir();
    EXPECT_EQ(run("state " + dir + " FROZEN --no-wait").status, 0);
    EXPECT_EQ(run("state " + dir).out, "FREEZING\n");
    EXPECT_EQ(run("state " + dir + " FROZEN --timeout 100ms").status, 124);
    EXPECT_EQ(run("state " + dir).out, "FREEZING\n");
    EXPECT_EQ(run("state " + dir + " THAWED").status, 0);
    EXPECT_EQ(run("state " + dir).out, "THAWED\n");
    EXPECT_EQ(run("state " + dir + " FROZEN --no-wait").status, 0);
    straggler.release();
    EXPECT_EQ(run("state " + dir + " FROZEN").status, 0);
    EXPECT_EQ(run("state " + dir).out, "FROZEN\n");
}

TEST_F(CommandV1, bad_input)
{
    test::ScratchV1 scratch;
    const std::string dir = scratch.dir();
    for (const char *const word : {"FREEZING", "frozen", "running", "1", "FROZENN"}) {
        const Ran ran = run("state " + dir + " " + word);
        EXPECT_EQ(ran.status, 2) << word;
        EXPECT_NE(ran.err.find("FROZEN, THAWED or RUNNING"), std::string::npos) << ran.err;
    }
    for (const char *const signal : {"0", "65", "SIGFOO"})
        EXPECT_EQ(run("kill " + dir + " --signal " + signal).status, 2) << signal;
    EXPECT_EQ(run("freeze " + test::v1_mount()).status, 1);
    EXPECT_EQ(run("freeze --hierarchy v1 /").status, 1);
    EXPECT_EQ(run("freeze --hierarchy v2 " + dir).status, 4);
    EXPECT_EQ(run("freeze --hierarchy v3 " + dir).status, 2);
    EXPECT_EQ(run("freeze --hierarchy v1 --pid " + std::to_string(::getpid())).status, 1);
    EXPECT_EQ(scratch.state(), "THAWED");
}

TEST_F(CommandV1, a_hierarchy_without_the_freezer_is_named)
{
    // One without any controller, which is gone with its mount.
    char directory[] = "/tmp/freezerctl-named-XXXXXX";
    ASSERT_NE(::mkdtemp(directory), nullptr);
    const std::string dir = directory;
    test::Command command({"freeze", dir}, [&] {
        if (!test::enter_private_mounts() ||
            ::mount("none", dir.c_str(), "cgroup", 0, "none,name=freezerctl-test") != 0)
            ::_exit(126);
    });
    const Ran ran = command.finish();
    ::rmdir(directory);
    EXPECT_EQ(ran.status, 4) << ran.err;
    EXPECT_NE(ran.err.find("the v1 hierarchy at " + dir + " has no freezer"), std::string::npos)
        << ran.err;
}

TEST_F(CommandV1, pid_and_relative_paths)
{
    test::ScratchV1 scratch;
    const pid_t pid = scratch.spawn_sleeper();
    const std::string by_pid = " --pid " + std::to_string(pid);
    const auto hierarchy = [](const Ran &ran) { return Json::parse(ran.out)["hierarchy"]; };
    EXPECT_EQ(hierarchy(run("freeze --json" + by_pid)), "v2"); // it is in both
    EXPECT_EQ(run("thaw" + by_pid).status, 0);
    EXPECT_EQ(hierarchy(run("freeze --json --hierarchy v1" + by_pid)), "v1");
    EXPECT_EQ(run("thaw --hierarchy v1" + by_pid).status, 0);
    EXPECT_EQ(hierarchy(run("freeze --json --hierarchy v1 " + scratch.path())), "v1");
    EXPECT_EQ(run("thaw --hierarchy v1 " + scratch.path()).status, 0);
}

// In a cgroup namespace whose root is the process's v2 cgroup, which cannot be frozen there.
TEST_F(CommandV1, pid_takes_the_hierarchy_that_can_do_it)
{
    test::ScratchV1 scratch;
    const pid_t pid = scratch.spawn_sleeper();
    const auto in_namespace = [&](const std::string &verb) {
        test::Command command({verb, "--json", "--pid", std::to_string(pid)}, [&] {
            const std::string &mount = test::cgroup2_mount();
            if (!test::write_file(scratch.v2().dir() + "/cgroup.procs", "0") ||
                ::unshare(CLONE_NEWCGROUP) != 0 || !test::enter_private_mounts() ||
                ::umount2(mount.c_str(), MNT_DETACH) != 0 ||
                ::mount("none", mount.c_str(), "cgroup2", 0, nullptr) != 0)
                ::_exit(126);
        });
        return command.finish();
    };
    const Ran ran = in_namespace("freeze");
    EXPECT_EQ(ran.status, 0) << ran.err;
    EXPECT_NE(ran.err.find("its v1 cgroup"), std::string::npos) << ran.err;
    EXPECT_EQ(Json::parse(ran.out)["hierarchy"], "v1");
    EXPECT_EQ(scratch.state(), "FROZEN");
    EXPECT_EQ(in_namespace("thaw").status, 0);
    EXPECT_EQ(scratch.state(), "THAWED");
}

bool is_call(const std::string &line, std::initializer_list<const char *> names)
{
    return std::any_of(names.begin(), names.end(), [&](const char *name) {
        return line.find(" " + std::string(name) + "(") != std::string::npos;
    });
}

constexpr auto kWaits = {"epoll_wait", "epoll_pwait", "epoll_pwait2"};

// What strace(1) saw of a freeze that waits for so long and gives up, from the request on.
struct TracedFreeze {
    std::vector<std::string> calls;
    std::vector<std::string> waiting; // those that began well before the deadline
};

TracedFreeze traced_freeze(const test::ScratchV1 &scratch, int timeout_ms)
{
    const std::string file = "/tmp/freezerctl-strace-" + std::to_string(::getpid());
    const std::string command = "strace -f -ttt -o " + file + " " + test::binary() +
                                " freeze --timeout " + std::to_string(timeout_ms) + "ms " +
                                scratch.dir() + " >/dev/null 2>&1";
    const int status = std::system(command.c_str());
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 124) << command << ": " << status;
    std::istringstream lines(test::read_file(file));
    ::unlink(file.c_str());

    TracedFreeze traced;
    double until = 0;
    for (std::string line; std::getline(lines, line);) {
        int pid = 0;
        double at = 0;
        std::istringstream(line) >> pid >> at;
        if (until != 0) {
            traced.calls.push_back(line);
            if (at < until)
                traced.waiting.push_back(line);
        } else if (line.find("\"FROZEN\"") != std::string::npos) {
            until = at + (timeout_ms - 100) / 1e3;
        }
    }
    return traced;
}

size_t count_calls(const std::vector<std::string> &calls, std::initializer_list<const char *> names,
                   const std::string &argument = "")
{
    return static_cast<size_t>(std::count_if(calls.begin(), calls.end(), [&](const auto &line) {
        return is_call(line, names) && line.find(argument) != std::string::npos;
    }));
}

// Waits that ended by themselves; what is not to wait has the timeout 0.
size_t count_timed_out(const std::vector<std::string> &calls)
{
    return static_cast<size_t>(std::count_if(calls.begin(), calls.end(), [](const auto &line) {
        return is_call(line, kWaits) && line.ends_with(" = 0") &&
               line.find(", 0) ") == std::string::npos &&
               line.find(", 0, NULL") == std::string::npos;
    }));
}

TEST_F(CommandV1, a_wait_has_no_timer_but_the_deadline)
{
    if (std::system("strace -o /dev/null true") != 0)
        GTEST_SKIP() << "strace(1) does not work here";
    test::Straggler straggler;
    if (!straggler.possible())
        GTEST_SKIP() << straggler.why();
    test::ScratchV1 scratch;
    scratch.adopt(straggler.spawn(scratch.v2()));
    const auto shorter = traced_freeze(scratch, 300);
    const auto longer = traced_freeze(scratch, 1000);
    for (const auto &[calls, waiting] : {shorter, longer}) {
        EXPECT_FALSE(waiting.empty());
        EXPECT_EQ(count_calls(waiting, {"nanosleep", "clock_nanosleep", "poll", "ppoll", "select",
                                        "pselect6", "alarm", "setitimer", "timer_settime",
                                        "timerfd_settime"}),
                  0U);
        // The one after which inotify joins in, and the one that the deadline ends.
        EXPECT_LE(count_timed_out(waiting), 2U);
    }
    const auto reads = [](const TracedFreeze &traced) {
        return count_calls(traced.calls, {"openat", "openat2"}, "\"freezer.state\", O_RDONLY");
    };
    EXPECT_LE(reads(longer), reads(shorter));
}

// A cgroup of either hierarchy, for scenarios that are to end alike.
struct Side {
    std::optional<test::ScratchV1> v1;
    std::optional<test::Scratch> v2;
    explicit Side(bool on_v1)
    {
        if (on_v1)
            v1.emplace();
        else
            v2.emplace();
    }
    pid_t spawn(const std::function<void()> &body, const std::string &below = "")
    {
        return v1 ? v1->spawn(body, below) : v2->spawn(body, below);
    }
    void straggle(test::Straggler &straggler)
    {
        const pid_t pid = straggler.spawn(v1 ? v1->v2() : *v2);
        if (v1)
            v1->adopt(pid);
    }
    void mkdir(const std::string &below) const { v1 ? v1->mkdir(below) : v2->mkdir(below); }
    [[nodiscard]] std::string dir() const { return v1 ? v1->dir() : v2->dir(); }
};

// What may differ: names, ids, times, what looks at a spinning task happen to find, what woke the
// command, and what only v2 remembers.
void blank(Json &json)
{
    if (json.is_array()) {
        for (Json &element : json)
            blank(element);
        return;
    }
    if (!json.is_object())
        return;
    static const std::set<std::string> kDiffers{
        "hierarchy",   "target",   "path",           "id",     "cgroup_id", "tid",
        "tgid",        "pid",      "verdict_source", "wchan",  "since_ns",  "total_frozen_ns",
        "freezing_ns", "agreeing", "stack",          "symbol", "spinning",  "off_cpu_ns",
        "confidence",  "what",     "looks",          "cgroup", "sentence"};
    for (auto &[key, value] : json.items()) {
        const bool is_letter = key == "state" && value.is_string() && value.size() == 1 &&
                               value.get<std::string>().size() == 1;
        if (kDiffers.contains(key) || is_letter)
            value = nullptr;
        else if (key.ends_with("_ns") && value.is_number())
            value = 0;
        else if (key == "held_by_ancestor" && value.is_string())
            value = "an ancestor";
        else
            blank(value);
    }
}

std::vector<Json> answers(bool on_v1, const std::function<void(Side &)> &prepare,
                          const std::vector<std::string> &commands)
{
    Side side(on_v1);
    prepare(side);
    std::vector<Json> out;
    for (std::string command : commands) {
        command.replace(command.find('@'), 1, side.dir());
        // On v2 a request does not wait for the tracker unless it is told to.
        const bool waits = !command.starts_with("status") && !command.starts_with("state") &&
                           test::kernel_has_btf();
        const Ran ran = run(command + (waits ? " --require-bpf --json" : " --json"));
        out.push_back(ran.status);
        std::string line;
        for (const char c : ran.out) {
            if (c != '\n') {
                line += c;
                continue;
            }
            Json json = Json::parse(line);
            blank(json);
            // Which of the tasks was the last is a race.
            if (json.contains("slowest") && !json["slowest"].is_null())
                json["slowest"] = "a task";
            if (json.contains("error") && !json["error"].is_null())
                json["error"].erase("message");
            out.push_back(std::move(json));
            line.clear();
        }
    }
    return out;
}

TEST_F(CommandV1, ten_scenarios_with_the_same_json)
{
    struct Scenario {
        const char *name;
        std::function<void(Side &)> prepare;
        std::vector<std::string> commands;
    };
    const auto sleeper = [](Side &side) { side.spawn(test::sleep_for_ever); };
    test::Straggler straggler[2];
    if (!straggler[0].possible())
        GTEST_SKIP() << straggler[0].why();
    int next = 0;
    const std::vector<Scenario> scenarios{
        {"sleeper", sleeper, {"freeze @", "status @", "thaw @", "status @"}},
        {"twice", sleeper, {"freeze @", "freeze @", "thaw @", "thaw @"}},
        {"empty", [](Side &) {}, {"freeze @", "status @", "thaw @", "kill @"}},
        {"nanosleep with tasks",
         [](Side &side) { side.spawn([] { ::sleep(1000); }); },
         {"freeze --tasks @", "thaw @"}},
        {"stopped",
         [](Side &side) {
             const pid_t pid = side.spawn(test::sleep_for_ever);
             ::kill(pid, SIGSTOP);
             ::waitpid(pid, nullptr, WUNTRACED);
         },
         {"freeze --tasks @", "thaw @", "kill @"}},
        {"kill", sleeper, {"kill @", "wait --for empty @", "status @"}},
        {"kill frozen", sleeper, {"freeze @", "kill @", "status @", "kill --remove @", "status @"}},
        {"nested",
         [](Side &side) {
             side.mkdir("a");
             side.spawn(test::sleep_for_ever, "a");
         },
         {"freeze @", "status @", "thaw @/a", "freeze @/a", "thaw @", "status @"}},
        {"straggler",
         [&](Side &side) { side.straggle(straggler[next++]); },
         {"freeze --timeout 200ms --on-timeout keep @", "thaw @"}},
        {"signal", sleeper, {"kill @ --signal TERM --wait", "status @", "state @"}},
    };
    ASSERT_EQ(scenarios.size(), 10U);
    // On an emulated machine, where each command takes seconds to load, some of them.
    const size_t step = scenarios.size() / test::scaled(scenarios.size(), 2);
    for (size_t i = 0; i < scenarios.size(); i += step) {
        const Scenario &scenario = scenarios[i];
        const auto v2 = answers(false, scenario.prepare, scenario.commands);
        const auto v1 = answers(true, scenario.prepare, scenario.commands);
        EXPECT_EQ(Json(v1), Json(v2))
            << scenario.name << ": " << Json::diff(Json(v2), Json(v1)).dump(1);
    }
}

} // namespace
