// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// Bad input gets a clear error and changes nothing.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

#include "tests/support/command.h"
#include "tests/support/scratch.h"
#include "tests/support/user.h"
#include "user/mounts.h"

namespace
{

using test::Command;
using test::Ran;
using test::run;
using test::Scratch;

class BadInput : public ::testing::Test
{
  protected:
    // Beside a good target, which must not be touched; the words must be on stderr.
    void expect_refused(const std::string &target, int status,
                        const std::vector<std::string> &words)
    {
        for (const char *const verb : {"freeze", "kill"}) {
            const Ran ran = run(std::vector<std::string>{verb, good_.path(), target});
            EXPECT_EQ(ran.status, status) << verb << " " << target << "\n" << ran.err;
            EXPECT_EQ(ran.out, "");
            for (const std::string &word : words)
                EXPECT_NE(ran.err.find(word), std::string::npos)
                    << verb << " " << target << ": no '" << word << "' in: " << ran.err;
        }
        EXPECT_EQ(good_.read("cgroup.freeze"), "0\n");
        EXPECT_EQ(good_.event("populated"), 1);
    }
    void SetUp() override { good_.spawn_sleeper(); }

    Scratch good_;
};

TEST_F(BadInput, no_such_cgroup)
{
    expect_refused("/no-such-cgroup-here", 4, {"/no-such-cgroup-here: ", "does not exist"});
}

TEST_F(BadInput, no_such_verb)
{
    const Ran ran = run(std::vector<std::string>{"freez", good_.path()});
    EXPECT_EQ(ran.status, 2);
    EXPECT_EQ(ran.out, "");
    EXPECT_EQ(ran.err, "freez: there is no such verb\nTry 'freezerctl --help'.\n");
    EXPECT_EQ(good_.read("cgroup.freeze"), "0\n");
}

TEST_F(BadInput, no_verb)
{
    for (const std::vector<std::string> &words : {std::vector<std::string>{}, {""}}) {
        const Ran ran = run(words);
        EXPECT_EQ(ran.status, 2);
        EXPECT_EQ(ran.out, "");
        EXPECT_EQ(ran.err, "a VERB is required\nTry 'freezerctl --help'.\n");
    }
}

TEST_F(BadInput, not_a_directory)
{
    expect_refused(good_.path("cgroup.procs"), 4, {"is not a directory"});
}

TEST_F(BadInput, outside_the_mount)
{
    expect_refused("/tmp", 4, {"/tmp: ", "not a cgroup"});
}

TEST_F(BadInput, with_dots)
{
    expect_refused(good_.path("../x"), 2, {"'..' is not allowed"});
}

TEST_F(BadInput, empty)
{
    expect_refused("", 2, {"empty path"});
}

// A symbolic link cannot be made in a cgroup file system, but an absolute path may lead through
// one.
TEST_F(BadInput, through_a_symbolic_link_out)
{
    std::string dir = "/tmp/freezerctl-test-XXXXXX";
    ASSERT_NE(::mkdtemp(dir.data()), nullptr);
    const std::string link = dir + "/link";
    ASSERT_EQ(::symlink("/tmp", link.c_str()), 0);
    expect_refused(link, 4, {"not a cgroup"});
    ::unlink(link.c_str());
    ::rmdir(dir.c_str());
}

TEST_F(BadInput, the_root)
{
    expect_refused("/", 1, {"root cgroup"});
    expect_refused(test::cgroup2_mount(), 1, {"root cgroup"});
}

TEST_F(BadInput, a_v1_hierarchy_that_is_no_freezer)
{
    const auto mounts = freezer::read_cgroup_mounts();
    ASSERT_TRUE(mounts);
    const auto *const other = freezer::find_mount(*mounts, freezer::Hierarchy::kV1Other);
    if (!other)
        return; // the machine has none, so there is nothing to refuse
    expect_refused(other->mount_point, 4, {"v1"});
}

TEST_F(BadInput, the_callers_own_cgroup)
{
    Scratch own;
    own.mkdir("a/b");
    for (const std::string below : {"", "a", "a/b"}) {
        Command command({"freeze", own.path(below)},
                        [&] { test::write_file(own.dir("a/b") + "/cgroup.procs", "0"); });
        const Ran ran = command.finish();
        EXPECT_EQ(ran.status, 1) << below << ran.err;
        EXPECT_NE(ran.err.find("holds freezerctl itself"), std::string::npos) << ran.err;
        EXPECT_EQ(own.read("cgroup.freeze", below), "0\n");
    }
}

TEST_F(BadInput, no_permission)
{
    Command command({"freeze", good_.path()}, [] {
        if (!test::become(test::kNobody))
            ::_exit(126);
    });
    const Ran ran = command.finish();
    ASSERT_NE(ran.status, 126);
    ASSERT_NE(ran.status, 127) << test::binary() << " is not for nobody";
    EXPECT_EQ(ran.status, 1) << ran.err;
    EXPECT_NE(ran.err.find("ermission"), std::string::npos) << ran.err;
    EXPECT_EQ(good_.read("cgroup.freeze"), "0\n");
}

TEST_F(BadInput, no_cgroup2_mount)
{
    Command command({"freeze", good_.path()}, [] {
        if (!test::enter_private_mounts())
            ::_exit(126);
        const auto mounts = freezer::read_cgroup_mounts();
        if (!mounts)
            ::_exit(126);
        for (const auto &mount : *mounts) {
            if (mount.hierarchy != freezer::Hierarchy::kV1Other &&
                ::umount2(mount.mount_point.c_str(), MNT_DETACH) != 0)
                ::_exit(126);
        }
    });
    const Ran ran = command.finish();
    EXPECT_EQ(ran.status, 1) << ran.err;
    EXPECT_NE(ran.err.find("mount -t cgroup2"), std::string::npos) << ran.err;
}

TEST_F(BadInput, processes)
{
    for (const char *const pid : {"0", "-1", "x", "99999999999"}) {
        const Ran ran = run(std::vector<std::string>{"freeze", "--pid", pid});
        EXPECT_EQ(ran.status, 2) << pid << ran.err;
    }
    const Ran gone = run("freeze --pid 4194304"); // one more than there can be
    EXPECT_EQ(gone.status, 4) << gone.err;
    EXPECT_NE(gone.err.find("--pid 4194304: "), std::string::npos) << gone.err;
}

TEST_F(BadInput, times)
{
    for (const char *const time : {"soon", "10x", "-1s", "", "nan", "1e99h", "10 s", "0x10"}) {
        const Ran ran = run(std::vector<std::string>{"freeze", "--timeout", time, good_.path()});
        EXPECT_EQ(ran.status, 2) << time << ran.err;
        EXPECT_EQ(good_.read("cgroup.freeze"), "0\n") << time;
    }
}

TEST_F(BadInput, words)
{
    EXPECT_EQ(run("").status, 2);
    EXPECT_EQ(run("melt " + good_.path()).status, 2);
    EXPECT_EQ(run("freeze").status, 2);
    EXPECT_EQ(run("freeze --on-timeout pray " + good_.path()).status, 2);
    EXPECT_EQ(run("freeze --no-such-option " + good_.path()).status, 2);
    EXPECT_EQ(run("freeze --no-bpf --require-bpf " + good_.path()).status, 2);
    EXPECT_EQ(run("wait " + good_.path()).status, 2);
    EXPECT_EQ(run("wait --for icy " + good_.path()).status, 2);
    EXPECT_EQ(run("status --is icy " + good_.path()).status, 2);
    EXPECT_EQ(run("status --is frozen").status, 2);
    EXPECT_EQ(good_.read("cgroup.freeze"), "0\n");
}

TEST_F(BadInput, json_says_what_was_refused)
{
    const Ran ran = run("freeze --json /no-such-cgroup-here");
    EXPECT_EQ(ran.status, 4);
    EXPECT_NE(ran.out.find("\"kind\":\"no-such-cgroup\""), std::string::npos) << ran.out;
    EXPECT_NE(ran.out.find("\"requested\":false"), std::string::npos) << ran.out;
}

} // namespace
