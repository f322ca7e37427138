// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// Where what the command prints cannot be written, or has nowhere to go.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "tests/support/command.h"
#include "tests/support/scratch.h"

namespace
{

using test::Ran;
using test::Scratch;
using Arguments = std::vector<std::string>;

// With a stdout that is full.
Ran run_full(const Arguments &arguments)
{
    return test::Command(arguments, [] { ::dup2(::open("/dev/full", O_WRONLY), STDOUT_FILENO); })
        .finish();
}

TEST(Output, that_is_lost_is_a_failure)
{
    Scratch scratch;
    for (const Arguments &arguments :
         {Arguments{"freeze", scratch.path()}, Arguments{"thaw", "--json", scratch.path()},
          Arguments{"status", "--json", scratch.path()}, Arguments{"state", scratch.path()},
          Arguments{"status"}, Arguments{"list"}, Arguments{"completion", "bash"},
          Arguments{"--version"}, Arguments{"freeze", "--help"}}) {
        const Ran ran = run_full(arguments);
        EXPECT_EQ(ran.status, 1) << arguments.front();
        EXPECT_EQ(ran.err, "freezerctl: write to stdout: No space left on device\n")
            << arguments.front();
    }
    EXPECT_EQ(scratch.read("cgroup.freeze"), "0\n"); // the thaw was one all the same
}

TEST(Output, that_is_lost_does_not_hide_what_went_wrong)
{
    const Ran ran = run_full({"freeze", "--json", "/no/such/cgroup"});
    EXPECT_EQ(ran.status, 4);
    EXPECT_NE(ran.err.find("/no/such/cgroup: "), std::string::npos) << ran.err;
    EXPECT_NE(ran.err.find("No space left"), std::string::npos) << ran.err;
}

TEST(Output, of_a_report_that_is_lost_is_a_failure)
{
    Scratch scratch;
    const Ran frozen = test::run({"freeze", "--report", "/dev/full", scratch.path()});
    EXPECT_EQ(frozen.status, 1);
    EXPECT_EQ(frozen.err, "freezerctl: write to /dev/full: No space left on device\n");
    ASSERT_EQ(test::run({"thaw", scratch.path()}).status, 0);

    const Ran around =
        test::run({"freeze", "--report", "/dev/full", scratch.path(), "--", "echo", "ran"});
    EXPECT_EQ(around.status, 125); // what comes before the command has failed
    EXPECT_EQ(around.out, "");
}

TEST(Output, goes_nowhere_where_stdout_is_closed)
{
    Scratch scratch;
    scratch.spawn_sleeper();
    for (const char *const verb : {"freeze", "thaw"}) {
        test::Command command({verb, scratch.path()}, [] {
            for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
                ::close(fd);
        });
        EXPECT_EQ(command.finish().status, 0) << verb;
        EXPECT_EQ(scratch.event("frozen"), std::string(verb) == "freeze");
    }
}

TEST(Output, without_a_reader_ends_as_others_do)
{
    for (const auto action : {SIG_DFL, SIG_IGN}) {
        test::Command command({"completion", "bash"}, [action] {
            int ends[2];
            if (::pipe(ends) != 0)
                ::_exit(126);
            ::dup2(ends[1], STDOUT_FILENO);
            ::close(ends[0]);
            ::close(ends[1]);
            ::signal(SIGPIPE, action);
        });
        const Ran ran = command.finish();
        EXPECT_EQ(ran.status, 128 + SIGPIPE);
        EXPECT_EQ(ran.err, "");
    }
}

// Of two streams that are one: as on a terminal.
TEST(Output, stands_in_its_order)
{
    Scratch there;
    Scratch not_there;
    not_there.spawn_sleeper();
    ASSERT_TRUE(there.write("cgroup.freeze", "1"));
    const Ran waited = test::Command({"wait", "--for", "frozen", "--timeout", "1ms", there.path(),
                                      not_there.path()},
                                     [] { ::dup2(STDOUT_FILENO, STDERR_FILENO); })
                           .finish();
    EXPECT_EQ(waited.status, 124) << waited.out;
    const size_t reached = waited.out.find(there.path() + ": ");
    const size_t late = waited.out.find(not_there.path() + ": ");
    ASSERT_TRUE(reached != std::string::npos && late != std::string::npos) << waited.out;
    EXPECT_LT(reached, late) << waited.out;
}

} // namespace
