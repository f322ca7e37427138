// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// As an ordinary user below a delegated cgroup, and in a cgroup namespace of one's own.
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <filesystem>

#include <nlohmann/json.hpp>

#include "tests/support/command.h"
#include "tests/support/scratch.h"
#include "tests/support/user.h"

namespace
{

using nlohmann::json;
using test::Command;
using test::eventually;
using test::Ran;
using test::Scratch;

// A cgroup that systemd would have delegated: the user's, with the files that a delegation gives.
class Rootless : public ::testing::Test
{
  protected:
    Rootless()
    {
        scratch_.mkdir("user/session");
        for (const char *const below : {"user", "user/session"})
            test::delegate(scratch_, below);
    }
    // A child that the user made, with a process of the user's in it.
    pid_t fill(const std::string &name)
    {
        scratch_.mkdir("user/" + name);
        for (const auto &entry : std::filesystem::directory_iterator(scratch_.dir("user/" + name)))
            test::give(entry.path());
        test::give(scratch_.dir("user/" + name));
        return scratch_.spawn(
            [] {
                become_user();
                test::sleep_for_ever();
            },
            "user/" + name);
    }
    [[nodiscard]] std::function<void()> as_user(bool with_bpf = false) const
    {
        return [this, with_bpf] {
            if (!scratch_.write("cgroup.procs", "0", "user/session"))
                ::_exit(120);
            with_bpf ? become_user_with_bpf() : become_user();
        };
    }
    [[nodiscard]] Ran run_as_user(const std::vector<std::string> &arguments) const
    {
        return Command(arguments, as_user()).finish();
    }
    [[nodiscard]] std::string path(const std::string &name) const
    {
        return scratch_.path("user/" + name);
    }

    Scratch scratch_;

  private:
    // As a service has them by AmbientCapabilities=.
    static void become_user_with_bpf()
    {
        const rlimit unlimited{RLIM_INFINITY, RLIM_INFINITY};
        ::setrlimit(RLIMIT_MEMLOCK, &unlimited); // counted before 5.11
        ::prctl(PR_SET_KEEPCAPS, 1);
        become_user();
        __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
        std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> data{};
        for (const int capability : {CAP_BPF, CAP_PERFMON})
            data[CAP_TO_INDEX(capability)].permitted |= CAP_TO_MASK(capability);
        for (auto &word : data)
            word.effective = word.inheritable = word.permitted;
        if (::syscall(SYS_capset, &header, data.data()) != 0)
            ::_exit(122);
        for (const int capability : {CAP_BPF, CAP_PERFMON}) {
            if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0) != 0)
                ::_exit(123);
        }
    }
    static void become_user()
    {
        if (!test::become(test::kNobody))
            ::_exit(121);
    }
};

TEST_F(Rootless, every_verb)
{
    const pid_t pid = fill("job");
    const Ran frozen = run_as_user({"freeze", "--tasks", path("job")});
    EXPECT_EQ(frozen.status, 0) << frozen.err;
    EXPECT_NE(frozen.out.find(std::to_string(pid)), std::string::npos) << frozen.out;
    EXPECT_EQ(scratch_.event("frozen", "user/job"), 1);
    EXPECT_EQ(run_as_user({"status", "--is", "frozen", path("job")}).status, 0);
    EXPECT_EQ(run_as_user({"wait", "--for", "frozen", path("job")}).status, 0);
    EXPECT_EQ(run_as_user({"why", path("job")}).status, 0);
    EXPECT_EQ(run_as_user({"state", path("job")}).out, "FROZEN\n");
    EXPECT_EQ(run_as_user({"thaw", "--pid", std::to_string(pid)}).status, 0);
    EXPECT_EQ(scratch_.event("frozen", "user/job"), 0);
    EXPECT_EQ(run_as_user({"kill", "--signal", "CONT", path("job")}).status, 0);
    const Ran killed = run_as_user({"kill", "--remove", path("job")});
    EXPECT_EQ(killed.status, 0) << killed.err;
    EXPECT_NE(::access(scratch_.dir("user/job").c_str(), F_OK), 0);
    EXPECT_EQ(run_as_user({"list"}).status, 0);
}

TEST_F(Rootless, with_bpf_by_two_capabilities)
{
    if (!test::kernel_has_btf())
        GTEST_SKIP() << "the kernel has no BTF";
    const pid_t pid = fill("job");
    const Ran frozen =
        Command({"freeze", "--require-bpf", "--tasks", "--json", path("job")}, as_user(true))
            .finish();
    ASSERT_EQ(frozen.status, 0) << frozen.err;
    const json report = json::parse(frozen.out);
    EXPECT_EQ(report["tracking"], "bpf");
    EXPECT_EQ(report["task_list"][0]["tid"], pid);
    EXPECT_EQ(Command({"kill", "--require-bpf", path("job")}, as_user(true)).finish().status, 0);
}

TEST_F(Rootless, without_the_right_it_says_so)
{
    Scratch other;
    other.spawn_sleeper();
    const Ran ran = run_as_user({"freeze", other.path()});
    EXPECT_EQ(ran.status, 1);
    EXPECT_NE(ran.err.find("Permission denied"), std::string::npos) << ran.err;
    const Ran outside = run_as_user({"run", "--parent", other.path(), "--", "/bin/true"});
    EXPECT_EQ(outside.status, 125);
    EXPECT_NE(outside.err.find("systemd-run --user --scope"), std::string::npos) << outside.err;
}

TEST_F(Rootless, around_a_command)
{
    fill("job");
    const Ran ran = run_as_user({"freeze", path("job"), "--", "/bin/sh", "-c",
                                 "cat " + scratch_.dir("user/job") + "/cgroup.events"});
    EXPECT_EQ(ran.status, 0) << ran.err;
    EXPECT_NE(ran.out.find("frozen 1"), std::string::npos) << ran.out;
    EXPECT_EQ(scratch_.event("frozen", "user/job"), 0);

    Command killed({"freeze", path("job"), "--", "/bin/sh", "-c", "echo ready; exec sleep 1000"},
                   as_user());
    ASSERT_TRUE(killed.says("ready"));
    killed.signal(SIGKILL);
    EXPECT_EQ(killed.finish().status, 128 + SIGKILL);
    EXPECT_TRUE(eventually([&] { return scratch_.read("cgroup.freeze", "user/job") == "0\n"; }));
}

TEST_F(Rootless, nothing_is_left_of_a_command)
{
    // In the cgroup that the command is in itself.
    const Ran ran = run_as_user({"run", "--name", "box", "--", "/bin/sh", "-c",
                                 "cat /proc/self/cgroup; setsid sleep 4711 & exit 4"});
    EXPECT_EQ(ran.status, 4) << ran.err;
    EXPECT_NE(ran.out.find("0::" + path("session/box") + "\n"), std::string::npos) << ran.out;
    EXPECT_NE(ran.err.find("sleep 4711"), std::string::npos) << ran.err;
    EXPECT_NE(::access(scratch_.dir("user/session/box").c_str(), F_OK), 0);
    const Ran beside =
        run_as_user({"run", "--parent", path(""), "--name", "box", "--", "/bin/true"});
    EXPECT_EQ(beside.status, 0) << beside.err;
}

// As a container has it: what is above is neither seen nor meant.
class Namespaced : public ::testing::Test
{
  protected:
    [[nodiscard]] std::function<void()> inside() const
    {
        return [this] {
            if (!scratch_.write("cgroup.procs", "0") || ::unshare(CLONE_NEWCGROUP) != 0 ||
                !test::enter_private_mounts() ||
                ::umount2(test::cgroup2_mount().c_str(), MNT_DETACH) != 0 ||
                ::mount("none", test::cgroup2_mount().c_str(), "cgroup2", 0, nullptr) != 0)
                ::_exit(120);
        };
    }
    [[nodiscard]] Ran run_inside(const std::vector<std::string> &arguments) const
    {
        return Command(arguments, inside()).finish();
    }

    Scratch scratch_;
};

TEST_F(Namespaced, paths_are_those_that_it_sees)
{
    scratch_.mkdir("job.service");
    const pid_t pid = scratch_.spawn_sleeper("job.service");
    for (const std::vector<std::string> &target : std::vector<std::vector<std::string>>{
             {"/job.service"}, {"job"}, {"--pid", std::to_string(pid)}}) {
        std::vector<std::string> words{"freeze", "--json"};
        words.insert(words.end(), target.begin(), target.end());
        const Ran frozen = run_inside(words);
        ASSERT_EQ(frozen.status, 0) << frozen.err;
        EXPECT_EQ(json::parse(frozen.out)["path"], "/job.service");
        EXPECT_EQ(scratch_.event("frozen", "job.service"), 1);
        words[0] = "thaw";
        EXPECT_EQ(run_inside(words).status, 0);
    }
    // Its own root holds it.
    EXPECT_EQ(run_inside({"freeze", "/"}).status, 1);

    const Ran ran = run_inside({"run", "--name", "box", "--", "/bin/cat", "/proc/self/cgroup"});
    EXPECT_EQ(ran.status, 0) << ran.err;
    EXPECT_NE(ran.out.find("0::/box\n"), std::string::npos) << ran.out;
    EXPECT_NE(::access(scratch_.dir("box").c_str(), F_OK), 0);
    EXPECT_EQ(run_inside({"kill", "--remove", "/job.service"}).status, 0);
}

} // namespace
