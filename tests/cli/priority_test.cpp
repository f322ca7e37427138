// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// A command goes ahead of what it stops until it has asked for that, and nothing else does with it.
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <sstream>
#include <string>
#include <vector>

#include "tests/support/command.h"
#include "tests/support/scratch.h"

namespace
{

using test::Command;
using test::Ran;
using test::run;
using test::Scratch;

// The flag tells that it was raised.
constexpr int kRestored = SCHED_OTHER | SCHED_RESET_ON_FORK;

bool is_allowed()
{
    const pid_t child = ::fork();
    if (child == 0) {
        const sched_param lowest{::sched_get_priority_min(SCHED_RR)};
        ::_exit(::sched_setscheduler(0, SCHED_RR, &lowest) == 0 ? 0 : 1);
    }
    int status = 0;
    return ::waitpid(child, &status, 0) == child && status == 0;
}

class Priority : public ::testing::Test
{
  protected:
    void SetUp() override
    {
        if (!is_allowed())
            GTEST_SKIP() << "no real-time priority is to be had";
        if (!straggler_.possible())
            GTEST_SKIP() << straggler_.why();
        straggler_.spawn(scratch_);
    }

    test::Straggler straggler_;
    Scratch scratch_;
};

TEST_F(Priority, it_is_raised_until_the_request_is_made)
{
    for (const std::vector<std::string> &words :
         {std::vector<std::string>{"freeze", scratch_.path(), "--timeout", "1h"},
          {"state", scratch_.path(), "FROZEN", "--timeout", "1h"}}) {
        Command command(words);
        ASSERT_TRUE(command.wait_until_it_waits());
        EXPECT_EQ(::sched_getscheduler(command.pid()), kRestored);
        command.signal(SIGINT);
        EXPECT_EQ(command.finish().status, 130);
    }
}

// What strace(1) sees: whether the priority is given up before the first request is written.
bool is_given_up_before(const std::string &arguments, const std::string &file)
{
    const std::string trace = "/tmp/freezerctl-priority-" + std::to_string(::getpid());
    const std::string command = "strace -e trace=sched_setscheduler,openat,pwrite64 -o " + trace +
                                " " + test::binary() + " " + arguments + " >/dev/null 2>&1";
    EXPECT_EQ(std::system(command.c_str()), 0) << command;
    const std::string calls = test::read_file(trace);
    ::unlink(trace.c_str());
    const size_t raised = calls.find("sched_setscheduler(");
    const size_t restored = calls.find("sched_setscheduler(", raised + 1);
    size_t written = calls.find("\"" + file + "\"");
    written = calls.find("pwrite64(", written);
    EXPECT_TRUE(raised < written && restored != std::string::npos && written != std::string::npos)
        << calls;
    return restored < written;
}

TEST_F(Priority, it_is_given_up_before_what_it_would_slow_down)
{
    if (std::system("strace -o /dev/null true") != 0)
        GTEST_SKIP() << "strace(1) does not work here";
    Scratch scratch;
    std::string few;
    std::string many;
    for (int i = 0; i < 17; ++i) {
        scratch.mkdir(std::to_string(i));
        (i < 16 ? few : many) += " " + scratch.path(std::to_string(i));
    }
    many += few;
    EXPECT_FALSE(is_given_up_before("freeze" + few, "cgroup.freeze"));
    EXPECT_TRUE(is_given_up_before("freeze" + many, "cgroup.freeze"));
    scratch.spawn_sleeper();
    EXPECT_TRUE(is_given_up_before("kill " + scratch.path(), "cgroup.kill"));
}

TEST_F(Priority, that_of_the_caller_stays)
{
    Command command({"state", scratch_.path(), "FROZEN", "--timeout", "1h"},
                    [] { ::setpriority(PRIO_PROCESS, 0, 5); });
    ASSERT_TRUE(command.wait_until_it_waits());
    EXPECT_EQ(::sched_getscheduler(command.pid()), SCHED_OTHER);
    EXPECT_EQ(::getpriority(PRIO_PROCESS, static_cast<id_t>(command.pid())), 5);
    straggler_.release();
    EXPECT_EQ(command.finish().status, 0);
}

TEST_F(Priority, who_only_waits_has_none)
{
    Command command({"wait", "--for", "frozen", scratch_.path(), "--timeout", "1h"});
    ASSERT_TRUE(command.wait_until_it_waits());
    EXPECT_EQ(::sched_getscheduler(command.pid()), SCHED_OTHER);
    command.signal(SIGINT);
    EXPECT_EQ(command.finish().status, 130);
}

// Field 41 of /proc/PID/stat (proc(5)).
int policy_in(const std::string &stat)
{
    std::istringstream fields(stat.substr(stat.rfind(')') + 1));
    std::string field;
    for (int number = 3; number <= 41; ++number)
        fields >> field;
    return std::stoi(field);
}

TEST_F(Priority, neither_has_the_command_that_is_run_nor_who_runs_it)
{
    Scratch good;
    good.spawn_sleeper();
    const Ran ran = run(std::vector<std::string>{"freeze", good.path(), "--", "/bin/sh", "-c",
                                                 "cat /proc/$$/stat; cat /proc/$PPID/stat"});
    ASSERT_EQ(ran.status, 0) << ran.err;
    const size_t end = ran.out.find('\n');
    EXPECT_EQ(policy_in(ran.out.substr(0, end)), SCHED_OTHER) << ran.out;
    EXPECT_EQ(policy_in(ran.out.substr(end + 1)), SCHED_OTHER) << ran.out;
}

} // namespace
