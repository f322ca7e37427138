// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// mount and umount: the interface of 2008, as its scripts and programs use it. The functional cases
// are those of the patchset's own tests (LTP, testcases/kernel/controllers/freezer), written anew.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/command.h"
#include "tests/support/mounted.h"
#include "tests/support/scratch.h"
#include "tests/support/scratch_v1.h"
#include "tests/support/user.h"

namespace
{

using test::as_user;
using test::Counters;
using test::eventually;
using test::kNobody;
using test::Mounted;
using test::read_file;
using test::run;
using test::Scratch;
using test::shell;
using test::write_error;

// A mount of a scratch cgroup, which has the cgroup "0".
class MountCommand : public ::testing::Test
{
  protected:
    void SetUp() override
    {
        if (test::cgroup2_mount().empty())
            GTEST_SKIP() << "cgroup2 is not mounted";
        scratch_.emplace();
        scratch_->mkdir("0");
    }
    void TearDown() override
    {
        mounted_.reset();
        scratch_.reset();
    }
    // False: skipped. Once for each test.
    void mount(const std::vector<std::string> &options = {},
               const std::function<void()> &before = {}, const std::string &point = "")
    {
        mounted_.emplace(scratch_->path(), options, before, point);
        if (mounted_->why().starts_with("no "))
            GTEST_SKIP() << mounted_->why();
        ASSERT_EQ(mounted_->why(), "");
    }
    [[nodiscard]] Scratch &scratch() { return *scratch_; }
    [[nodiscard]] Mounted &mounted() { return *mounted_; }
    [[nodiscard]] std::string path(const std::string &below) const { return mounted_->path(below); }
    [[nodiscard]] bool reaches(const std::string &state, const std::string &cgroup = "0")
    {
        return eventually([&] { return mounted_->state(cgroup) == state; });
    }
    void freeze(const std::string &cgroup = "0")
    {
        ASSERT_EQ(write_error(path(cgroup + "/freezer.state"), "FROZEN"), 0);
        ASSERT_TRUE(reaches("FROZEN", cgroup));
    }
    int thaw(const std::string &cgroup = "0")
    {
        return write_error(path(cgroup + "/freezer.state"), "RUNNING");
    }

  private:
    std::optional<Scratch> scratch_;
    std::optional<Mounted> mounted_;
};

#define MOUNT_OR_SKIP(...)                                                                         \
    do {                                                                                           \
        mount(__VA_ARGS__);                                                                        \
        if (IsSkipped() || HasFatalFailure())                                                      \
            return;                                                                                \
    } while (0)

bool is_gone(pid_t pid)
{
    siginfo_t info{};
    return ::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
           info.si_pid == pid;
}

// Of docs/mount.md and of the patchset's own description.
TEST_F(MountCommand, the_transcript_of_2008)
{
    const bool made = ::mkdir("/containers", 0755) == 0;
    const auto remove = std::shared_ptr<void>(nullptr, [made](void *) {
        if (made)
            ::rmdir("/containers");
    });
    MOUNT_OR_SKIP({}, {}, "/containers");
    ASSERT_TRUE(scratch().rmdir("0"));
    scratch().mkdir("start");
    const pid_t pid = scratch().spawn_sleeper("start");
    const std::string some_pid = "some_pid=" + std::to_string(pid) + "\n";

    const auto first = shell("set -e\n" + some_pid + R"(mkdir /containers/0
echo $some_pid > /containers/0/tasks
echo FROZEN > /containers/0/freezer.state
cat /containers/0/freezer.state
)");
    EXPECT_EQ(first.status, 0) << first.out;
    EXPECT_TRUE(first.out == "FREEZING\n" || first.out == "FROZEN\n") << first.out;
    ASSERT_TRUE(eventually([&] { return scratch().event("frozen", "0") == 1; }));
    const auto second = shell("set -e\n" + some_pid + R"(cat /containers/0/freezer.state
echo RUNNING > /containers/0/freezer.state
cat /containers/0/freezer.state
cat /containers/0/tasks
echo 9 > /containers/0/signal.kill
)");
    EXPECT_EQ(second.status, 0) << second.out;
    EXPECT_EQ(second.out, "FROZEN\nRUNNING\n" + std::to_string(pid) + "\n");
    EXPECT_TRUE(eventually([&] { return scratch().event("populated", "0") == 0; }));
    EXPECT_TRUE(eventually([&] { return ::rmdir("/containers/0") == 0; }));
}

// As busybox's cat reads.
TEST_F(MountCommand, sendfile_passes_the_state_on)
{
    MOUNT_OR_SKIP({});
    const int fd = ::open(path("0/freezer.state").c_str(), O_RDONLY | O_CLOEXEC);
    int ends[2];
    ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    EXPECT_EQ(::sendfile(ends[1], fd, nullptr, 1 << 16), 8) << std::strerror(errno);
    char word[16]{};
    EXPECT_EQ(::read(ends[0], word, sizeof(word)), 8);
    EXPECT_STREQ(word, "RUNNING\n");
    EXPECT_EQ(::sendfile(ends[1], fd, nullptr, 1 << 16), 0);
    for (const int each : {fd, ends[0], ends[1]})
        ::close(each);
}

TEST_F(MountCommand, the_words_of_v1)
{
    MOUNT_OR_SKIP({"--words", "v1"});
    EXPECT_EQ(mounted().state("0"), "THAWED");
    EXPECT_EQ(write_error(path("0/freezer.state"), "THAWED\n"), 0);
    EXPECT_EQ(write_error(path("0/freezer.state"), " RUNNING "), 0);
}

TEST_F(MountCommand, has_the_files_of_2008_and_no_others)
{
    MOUNT_OR_SKIP();
    std::set<std::string> names;
    for (const auto &entry : std::filesystem::directory_iterator(path("0")))
        names.insert(entry.path().filename());
    EXPECT_EQ(names, (std::set<std::string>{"cgroup.procs", "freezer.parent_freezing",
                                            "freezer.self_freezing", "freezer.state",
                                            "notify_on_release", "signal.kill", "tasks"}));
    EXPECT_TRUE(std::filesystem::is_directory(path("0")));
    for (const char *const name : {"0/cgroup.freeze", "0/none", "1", "0/tasks.x"})
        EXPECT_EQ(test::read_error(path(name)), ENOENT) << name;
    EXPECT_EQ(test::read_error(path("0/signal.kill")), EACCES);
    EXPECT_EQ(write_error(path("0/freezer.self_freezing"), "1"), EACCES);
    // Nothing but cgroups can be made.
    EXPECT_EQ(::open(path("0/file").c_str(), O_CREAT | O_WRONLY, 0644), -1);
    EXPECT_EQ(errno, EACCES);
    EXPECT_EQ(::symlink("/", path("0/link").c_str()), -1);
    EXPECT_EQ(errno, EPERM);
    EXPECT_EQ(::unlink(path("0/tasks").c_str()), -1);
    EXPECT_EQ(errno, EPERM);
    EXPECT_EQ(::mkdir(path("0/tasks").c_str(), 0755), -1);
    EXPECT_EQ(errno, EEXIST);
    // What is made elsewhere shows, and nested.
    scratch().mkdir("0/a/b");
    EXPECT_EQ(mounted().state("0/a/b"), "RUNNING");
    EXPECT_TRUE(std::filesystem::exists(path("0/a/b/tasks")));
    ASSERT_TRUE(scratch().rmdir("0/a/b"));
    EXPECT_FALSE(std::filesystem::exists(path("0/a/b")));
}

TEST_F(MountCommand, refuses_illegal_words_in_each_state)
{
    test::Straggler straggler;
    if (!straggler.possible())
        GTEST_SKIP() << straggler.why();
    MOUNT_OR_SKIP();
    const std::string file = path("0/freezer.state");
    const auto check = [&](const std::string &state) {
        for (const char *const word : {"FREEZING", "frozen", "FROZEN RUNNING", "1", "", "\n"})
            EXPECT_EQ(write_error(file, word), *word ? EINVAL : 0) << word;
        EXPECT_EQ(write_error(file, std::string(100, 'F')), E2BIG);
        EXPECT_EQ(write_error(file, "FROZEN" + std::string(60, '\n')), E2BIG);
        EXPECT_EQ(mounted().state("0"), state);
    };
    check("RUNNING");
    straggler.spawn(scratch(), "0");
    ASSERT_EQ(write_error(file, "FROZEN\n"), 0);
    check("FREEZING");
    straggler.release();
    ASSERT_TRUE(reaches("FROZEN"));
    check("FROZEN");
}

TEST_F(MountCommand, a_dead_cgroup)
{
    MOUNT_OR_SKIP();
    const int state = ::open(path("0/freezer.state").c_str(), O_RDWR);
    const int signal = ::open(path("0/signal.kill").c_str(), O_WRONLY);
    const int tasks = ::open(path("0/tasks").c_str(), O_RDWR);
    ASSERT_GE(std::min({state, signal, tasks}), 0);
    ASSERT_TRUE(scratch().rmdir("0"));
    scratch().mkdir("0"); // another one of the same name
    char byte;
    for (const int fd : {state, tasks}) {
        EXPECT_EQ(::read(fd, &byte, 1), -1);
        EXPECT_EQ(errno, ENODEV);
    }
    for (const auto &[fd, text] : {std::pair{state, "FROZEN"}, {signal, "9"}, {tasks, "0"}}) {
        EXPECT_EQ(::write(fd, text, std::char_traits<char>::length(text)), -1);
        EXPECT_EQ(errno, ENODEV) << text;
        ::close(fd);
    }
    EXPECT_EQ(mounted().state("0"), "RUNNING");
}

TEST_F(MountCommand, freezes_and_thaws)
{
    MOUNT_OR_SKIP();
    Counters counters(2);
    scratch().spawn_spinner(counters, 0, "0");
    scratch().spawn_napper(counters, 1, 1, "0");
    for (int round = 0; round < 3; ++round) {
        freeze();
        EXPECT_EQ(scratch().event("frozen", "0"), 1);
        const auto before = counters.values();
        EXPECT_EQ(write_error(path("0/freezer.state"), "FROZEN"), 0); // again
        EXPECT_EQ(counters.values(), before);
        EXPECT_EQ(thaw(), 0);
        EXPECT_EQ(mounted().state("0"), "RUNNING");
        EXPECT_TRUE(eventually([&] {
            const auto now = counters.values();
            return now[0] > before[0] && now[1] > before[1];
        }));
    }
    // An empty one is frozen at once.
    ASSERT_EQ(::mkdir(path("1").c_str(), 0755), 0);
    ASSERT_EQ(write_error(path("1/freezer.state"), "FROZEN"), 0);
    EXPECT_EQ(mounted().state("1"), "FROZEN");
}

TEST_F(MountCommand, a_sleep_that_ends_in_the_freezer)
{
    MOUNT_OR_SKIP();
    Counters woken(1);
    const auto nap = [&woken] {
        ::poll(nullptr, 0, 300);
        woken[0] = 1;
        test::sleep_for_ever();
    };
    scratch().spawn(nap, "0");
    freeze();
    scratch().mkdir("clock");
    const pid_t clock = scratch().spawn([] { ::poll(nullptr, 0, 400); }, "clock");
    EXPECT_TRUE(eventually([&] { return is_gone(clock); }));
    EXPECT_EQ(woken[0].load(), 0U);
    EXPECT_EQ(thaw(), 0);
    EXPECT_TRUE(eventually([&] { return woken[0].load() == 1; }));
}

TEST_F(MountCommand, cancels_while_freezing)
{
    test::Straggler straggler;
    if (!straggler.possible())
        GTEST_SKIP() << straggler.why();
    MOUNT_OR_SKIP();
    straggler.spawn(scratch(), "0");
    Counters counters(1);
    scratch().spawn_napper(counters, 0, 1, "0");
    ASSERT_EQ(write_error(path("0/freezer.state"), "FROZEN"), 0);
    EXPECT_EQ(mounted().state("0"), "FREEZING");
    EXPECT_EQ(write_error(path("0/freezer.state"), "FROZEN"), 0); // retry
    EXPECT_EQ(mounted().state("0"), "FREEZING");
    EXPECT_EQ(thaw(), 0);
    EXPECT_EQ(mounted().state("0"), "RUNNING");
    const auto before = counters.values();
    EXPECT_TRUE(eventually([&] { return counters.values() != before; }));
}

TEST_F(MountCommand, a_task_that_freezes_itself)
{
    MOUNT_OR_SKIP();
    Counters told(1);
    const std::string file = path("0/freezer.state");
    const pid_t pid = scratch().spawn(
        [&] {
            const int error = write_error(file, "FROZEN");
            told[0] = error == 0 ? 1 : 2;
        },
        "0");
    ASSERT_TRUE(reaches("FROZEN"));
    EXPECT_EQ(scratch().threads("0"), std::vector<pid_t>{pid});
    EXPECT_EQ(told[0].load(), 0U); // not a step further
    EXPECT_EQ(thaw(), 0);
    EXPECT_TRUE(eventually([&] { return is_gone(pid); }));
    EXPECT_EQ(told[0].load(), 1U); // its write succeeded
}

TEST_F(MountCommand, stopped_tasks_are_frozen_enough)
{
    MOUNT_OR_SKIP();
    const pid_t pid = scratch().spawn_sleeper("0");
    const auto stop = [&] {
        ::kill(pid, SIGSTOP);
        siginfo_t info{};
        ::waitid(P_PID, static_cast<id_t>(pid), &info, WSTOPPED);
        return info.si_pid == pid;
    };
    const auto letter = [&] {
        const std::string stat = read_file("/proc/" + std::to_string(pid) + "/stat");
        return stat.substr(stat.rfind(") ") + 2, 1);
    };
    ASSERT_TRUE(stop()); // before
    freeze();
    EXPECT_EQ(thaw(), 0);
    EXPECT_TRUE(eventually([&] { return letter() == "T"; }));
    ::kill(pid, SIGCONT);
    freeze(); // during
    ::kill(pid, SIGSTOP);
    EXPECT_TRUE(reaches("FROZEN"));
    EXPECT_EQ(thaw(), 0);
    EXPECT_TRUE(eventually([&] { return letter() == "T"; })); // after
    ::kill(pid, SIGCONT);
    EXPECT_TRUE(eventually([&] { return letter() == "S"; }));
}

TEST_F(MountCommand, a_fork_storm)
{
    MOUNT_OR_SKIP();
    Counters counters(1);
    for (int i = 0; i < 4; ++i)
        scratch().spawn(
            [&] {
                for (;;) {
                    const pid_t pid = ::fork();
                    if (pid == 0)
                        ::_exit(0);
                    ::waitpid(pid, nullptr, 0);
                    ++counters[0];
                }
            },
            "0");
    for (int round = 0; round < 5; ++round) {
        const auto before = counters.values();
        EXPECT_TRUE(eventually([&] { return counters.values() != before; }));
        freeze();
        EXPECT_EQ(thaw(), 0);
    }
    ASSERT_EQ(write_error(path("0/signal.kill"), "9"), 0);
    EXPECT_TRUE(eventually([&] { return scratch().event("populated", "0") == 0; }));
}

TEST_F(MountCommand, a_vfork)
{
    MOUNT_OR_SKIP();
    std::array<int, 2> pipe{};
    ASSERT_EQ(::pipe2(pipe.data(), O_CLOEXEC), 0);
    scratch().spawn(
        [&] {
            // Not vfork(2): the compiler knows too much of the function. Nor clone(2), whose
            // arguments have another order on s390x.
            clone_args args{};
            args.flags = CLONE_VFORK;
            args.exit_signal = SIGCHLD;
            if (::syscall(SYS_clone3, &args, sizeof(args)) == 0) {
                (void)!::write(pipe[1], "", 1);
                test::sleep_for_ever();
            }
        },
        "0");
    char byte;
    ASSERT_EQ(::read(pipe[0], &byte, 1), 1);
    freeze();
    EXPECT_EQ(thaw(), 0);
    EXPECT_EQ(mounted().state("0"), "RUNNING");
    ::close(pipe[0]);
    ::close(pipe[1]);
}

TEST_F(MountCommand, a_signal_to_a_frozen_task_waits_for_the_thaw)
{
    MOUNT_OR_SKIP();
    Counters counters(1);
    const pid_t pid = scratch().spawn(
        [&] {
            static Counters *shared;
            shared = &counters;
            ::signal(SIGUSR1, [](int) { ++(*shared)[0]; });
            test::sleep_for_ever();
        },
        "0");
    // The handler is set.
    ASSERT_TRUE(eventually([&] {
        return read_file("/proc/" + std::to_string(pid) + "/status")
                   .find("SigCgt:\t0000000000000200") != std::string::npos;
    }));
    freeze();
    EXPECT_EQ(write_error(path("0/signal.kill"), "10\n"), 0);
    EXPECT_EQ(counters[0].load(), 0U);
    EXPECT_EQ(mounted().state("0"), "FROZEN");
    EXPECT_EQ(thaw(), 0);
    EXPECT_TRUE(eventually([&] { return counters[0].load() == 1; }));
    for (const char *const bad : {"0", "65", "-1", "KILL", "9 9", "", "0x9"})
        EXPECT_EQ(write_error(path("0/signal.kill"), bad), *bad ? EINVAL : 0) << bad;
    EXPECT_FALSE(is_gone(pid));
    EXPECT_EQ(write_error(path("0/signal.kill"), "15"), 0);
    EXPECT_TRUE(eventually([&] { return is_gone(pid); }));
}

TEST_F(MountCommand, a_deferred_signal_waits_for_the_thaw)
{
    MOUNT_OR_SKIP({"--deferred-signals"});
    const pid_t pid = scratch().spawn_sleeper("0");
    freeze();
    ASSERT_EQ(write_error(path("0/signal.kill"), "15"), 0);
    EXPECT_EQ(scratch().threads("0").size(), 1U);
    EXPECT_EQ(mounted().state("0"), "FROZEN");
    EXPECT_FALSE(is_gone(pid));
    EXPECT_EQ(thaw(), 0);
    EXPECT_TRUE(eventually([&] { return is_gone(pid); }));
    // And when somebody else thaws it.
    const pid_t other = scratch().spawn_sleeper("0");
    freeze();
    ASSERT_EQ(write_error(path("0/signal.kill"), "15"), 0);
    EXPECT_FALSE(is_gone(other));
    ASSERT_TRUE(scratch().write("cgroup.freeze", "0", "0"));
    EXPECT_TRUE(eventually([&] { return is_gone(other); }));
}

TEST_F(MountCommand, what_is_frozen_cannot_be_moved)
{
    MOUNT_OR_SKIP();
    scratch().mkdir("1");
    const pid_t inside = scratch().spawn_sleeper("0");
    const pid_t outside = scratch().spawn_sleeper("1");
    freeze();
    for (const char *const file : {"tasks", "cgroup.procs"}) {
        EXPECT_EQ(write_error(path("1/") + file, std::to_string(inside)), EBUSY);
        EXPECT_EQ(write_error(path("0/") + file, std::to_string(outside)), EBUSY);
    }
    EXPECT_EQ(scratch().threads("0"), std::vector<pid_t>{inside});
    EXPECT_EQ(thaw(), 0);
    EXPECT_EQ(write_error(path("1/tasks"), std::to_string(inside)), 0);
    EXPECT_EQ(scratch().threads("1").size(), 2U);
    for (const char *const bad : {"x", "-5", "1 2", "99999999999"})
        EXPECT_EQ(write_error(path("1/tasks"), bad), EINVAL) << bad;
    EXPECT_EQ(write_error(path("1/tasks"), "999999999"), ESRCH);
}

TEST_F(MountCommand, zero_is_the_writer)
{
    MOUNT_OR_SKIP();
    scratch().mkdir("1");
    const pid_t pid = scratch().spawn(
        [&] {
            if (write_error(path("1/tasks"), "0\n") == 0)
                test::sleep_for_ever();
        },
        "0");
    EXPECT_TRUE(eventually([&] { return scratch().threads("1") == std::vector<pid_t>{pid}; }));
    // In a pid namespace of its own it is called 1, there and in what it reads.
    Counters seen(1);
    const pid_t spawner = scratch().spawn(
        [&] {
            if (::unshare(CLONE_NEWPID) != 0)
                return;
            if (::fork() == 0) {
                if (write_error(path("0/tasks"), "1") == 0 && read_file(path("0/tasks")) == "1\n" &&
                    write_error(path("0/tasks"), std::to_string(pid)) == ESRCH)
                    seen[0] = 1;
                ::_exit(0);
            }
            ::wait(nullptr);
        },
        "1");
    EXPECT_TRUE(eventually([&] { return is_gone(spawner); }));
    EXPECT_EQ(seen[0].load(), 1U);
}

TEST_F(MountCommand, renaming_is_refused_and_removing_what_is_busy)
{
    MOUNT_OR_SKIP();
    EXPECT_EQ(::rename(path("0").c_str(), path("1").c_str()), -1);
    EXPECT_EQ(errno, EPERM);
    EXPECT_EQ(::rename(path("0/freezer.state").c_str(), path("0/state").c_str()), -1);
    EXPECT_EQ(errno, EPERM);
    const pid_t pid = scratch().spawn_sleeper("0");
    EXPECT_EQ(::rmdir(path("0").c_str()), -1);
    EXPECT_EQ(errno, EBUSY);
    freeze();
    EXPECT_EQ(::rmdir(path("0").c_str()), -1);
    EXPECT_EQ(errno, EBUSY);
    EXPECT_EQ(thaw(), 0);
    ::kill(pid, SIGKILL);
    ASSERT_TRUE(eventually([&] { return scratch().event("populated", "0") == 0; }));
    ASSERT_EQ(::mkdir(path("0/below").c_str(), 0755), 0);
    EXPECT_EQ(::rmdir(path("0").c_str()), -1);
    EXPECT_EQ(errno, EBUSY);
    EXPECT_EQ(::rmdir(path("0/below").c_str()), 0);
    EXPECT_EQ(::rmdir(path("0").c_str()), 0);
    EXPECT_FALSE(std::filesystem::exists(scratch().dir("0")));
}

TEST_F(MountCommand, the_other_files)
{
    MOUNT_OR_SKIP();
    scratch().mkdir("0/below");
    EXPECT_EQ(read_file(path("0/freezer.self_freezing")), "0\n");
    EXPECT_EQ(read_file(path("0/below/freezer.parent_freezing")), "0\n");
    freeze();
    EXPECT_EQ(read_file(path("0/freezer.self_freezing")), "1\n");
    EXPECT_EQ(read_file(path("0/freezer.parent_freezing")), "0\n");
    EXPECT_EQ(read_file(path("0/below/freezer.self_freezing")), "0\n");
    EXPECT_EQ(read_file(path("0/below/freezer.parent_freezing")), "1\n");
    EXPECT_EQ(mounted().state("0/below"), "FROZEN");
    EXPECT_EQ(read_file(path("0/notify_on_release")), "0\n");
    EXPECT_EQ(write_error(path("0/notify_on_release"), "0\n"), 0);
    EXPECT_EQ(write_error(path("0/notify_on_release"), "1\n"), EINVAL);
}

TEST_F(MountCommand, concurrent_writers_leave_one_of_the_two_states)
{
    MOUNT_OR_SKIP();
    Counters counters(2);
    scratch().spawn_napper(counters, 0, 1, "0");
    scratch().spawn_spinner(counters, 1, "0");
    constexpr int kWriters = 8;
    std::vector<std::thread> writers;
    writers.reserve(kWriters);
    std::atomic<int> failed = 0;
    for (int i = 0; i < kWriters; ++i)
        writers.emplace_back([&, i] {
            for (int round = 0; round < 50; ++round)
                failed +=
                    write_error(path("0/freezer.state"), (i + round) % 2 ? "FROZEN" : "RUNNING");
        });
    for (std::thread &writer : writers)
        writer.join();
    EXPECT_EQ(failed, 0);
    EXPECT_TRUE(eventually([&] {
        const std::string state = mounted().state("0");
        return state == "FROZEN" || state == "RUNNING";
    }));
    EXPECT_EQ(thaw(), 0);
    const auto before = counters.values();
    EXPECT_TRUE(eventually([&] {
        const auto now = counters.values();
        return now[0] > before[0] && now[1] > before[1];
    }));
}

TEST_F(MountCommand, poll_wakes_when_the_state_changes)
{
    test::Straggler straggler;
    if (!straggler.possible())
        GTEST_SKIP() << straggler.why();
    MOUNT_OR_SKIP();
    straggler.spawn(scratch(), "0");
    const int fd = ::open(path("0/freezer.state").c_str(), O_RDONLY | O_CLOEXEC);
    ASSERT_GE(fd, 0);
    const auto read_state = [&] {
        std::array<char, 32> buffer{};
        const ssize_t n = ::pread(fd, buffer.data(), buffer.size(), 0);
        return std::string(buffer.data(), n > 0 ? static_cast<size_t>(n) : 0);
    };
    const auto poll = [&](int milliseconds) {
        pollfd set{fd, POLLPRI, 0};
        return ::poll(&set, 1, milliseconds) == 1 && (set.revents & POLLPRI);
    };
    constexpr int kPatience = 60'000;
    EXPECT_TRUE(poll(0)); // nothing was read yet
    EXPECT_EQ(read_state(), "RUNNING\n");
    EXPECT_FALSE(poll(0));
    ASSERT_EQ(write_error(path("0/freezer.state"), "FROZEN"), 0); // through the mount
    EXPECT_TRUE(poll(kPatience));
    EXPECT_EQ(read_state(), "FREEZING\n");
    EXPECT_FALSE(poll(0));
    straggler.release();
    EXPECT_TRUE(poll(kPatience));
    EXPECT_EQ(read_state(), "FROZEN\n");
    EXPECT_FALSE(poll(0));
    // A thaw of which only the kernel tells.
    std::thread other([&] {
        ASSERT_TRUE(mounted().server().wait_until_it_waits());
        EXPECT_TRUE(scratch().write("cgroup.freeze", "0", "0"));
    });
    EXPECT_TRUE(poll(kPatience));
    other.join();
    EXPECT_EQ(read_state(), "RUNNING\n");
    // And a freeze by one above.
    ASSERT_TRUE(scratch().write("cgroup.freeze", "1"));
    for (std::string state = "RUNNING\n"; state != "FROZEN\n"; state = read_state())
        ASSERT_TRUE(poll(kPatience)) << state;
    ASSERT_TRUE(scratch().write("cgroup.freeze", "0"));
    EXPECT_TRUE(poll(kPatience));
    // Its end.
    while (read_state() != "RUNNING\n")
        ASSERT_TRUE(poll(kPatience));
    ASSERT_EQ(write_error(path("0/signal.kill"), "9"), 0);
    ASSERT_TRUE(eventually([&] { return scratch().event("populated", "0") == 0; }));
    ASSERT_TRUE(eventually([&] { return scratch().rmdir("0"); }));
    EXPECT_TRUE(poll(kPatience));
    EXPECT_EQ(read_state(), "");
    EXPECT_EQ(errno, ENODEV);
    ::close(fd);
}

TEST_F(MountCommand, epoll_tells_of_each_of_many_cgroups)
{
    MOUNT_OR_SKIP();
    const int epoll = ::epoll_create1(EPOLL_CLOEXEC);
    std::vector<int> fds;
    for (int i = 1; i <= 20; ++i) {
        const std::string name = std::to_string(i);
        scratch().mkdir(name);
        scratch().spawn_sleeper(name);
        fds.push_back(::open(path(name + "/freezer.state").c_str(), O_RDWR | O_CLOEXEC));
        char word[32];
        ASSERT_GT(::pread(fds.back(), word, sizeof(word), 0), 0);
        epoll_event event{EPOLLPRI, {}};
        event.data.fd = fds.back();
        ASSERT_EQ(::epoll_ctl(epoll, EPOLL_CTL_ADD, fds.back(), &event), 0);
    }
    for (const int fd : fds)
        ASSERT_EQ(::pwrite(fd, "FROZEN", 6, 0), 6);
    std::set<int> frozen;
    while (frozen.size() < fds.size()) {
        epoll_event event{};
        ASSERT_EQ(::epoll_wait(epoll, &event, 1, 60'000), 1);
        char word[32] = {};
        ASSERT_GT(::pread(event.data.fd, word, sizeof(word), 0), 0);
        if (std::string(word) == "FROZEN\n")
            frozen.insert(event.data.fd);
    }
    for (const int fd : fds)
        ::close(fd);
    ::close(epoll);
}

// Two users: root, to whom all belongs, and one whom a part was given to.
TEST_F(MountCommand, the_callers_rights_decide)
{
    MOUNT_OR_SKIP({"--allow-other"});
    scratch().mkdir("theirs");
    test::delegate(scratch(), "theirs");
    test::give(scratch().dir("theirs") + "/cgroup.freeze");
    scratch().spawn_sleeper("theirs");
    const pid_t roots = scratch().spawn_sleeper("0");

    const auto as_nobody = [&](const std::string &file, const std::string &text) {
        return as_user(kNobody, [&] { return write_error(path(file), text); });
    };
    EXPECT_EQ(as_nobody("0/freezer.state", "FROZEN"), EACCES);
    EXPECT_EQ(as_nobody("0/signal.kill", "9"), EACCES);
    EXPECT_EQ(as_nobody("0/tasks", "0"), EACCES);
    EXPECT_EQ(as_user(kNobody, [&] { return test::read_error(path("0/freezer.state")); }), 0);
    EXPECT_EQ(as_user(kNobody, [&] { return ::mkdir(path("0/x").c_str(), 0755) == 0 ? 0 : errno; }),
              EACCES);
    EXPECT_EQ(as_user(kNobody, [&] { return ::rmdir(path("0").c_str()) == 0 ? 0 : errno; }),
              EACCES);
    EXPECT_EQ(mounted().state("0"), "RUNNING");

    EXPECT_EQ(as_nobody("theirs/freezer.state", "FROZEN"), 0);
    EXPECT_TRUE(reaches("FROZEN", "theirs"));
    EXPECT_EQ(as_nobody("theirs/freezer.state", "RUNNING"), 0);
    struct stat st {
    };
    // Since 5.14; before, the file behind signal.kill is cgroup.freeze, which it has.
    const std::string kill = scratch().dir("theirs/cgroup.kill");
    if (::stat(kill.c_str(), &st) == 0) {
        // It was not given to it.
        EXPECT_EQ(as_nobody("theirs/signal.kill", "15"), EACCES);
        ASSERT_EQ(::chown(path("theirs/signal.kill").c_str(), kNobody, kNobody), 0);
        ASSERT_EQ(::stat(kill.c_str(), &st), 0);
        EXPECT_EQ(st.st_uid, kNobody); // chown(2) through the mount is that of the file behind it
    }
    // To take a process from elsewhere needs rights on what is above both (cgroup-v2.rst,
    // "Delegation Containment"), which the kernel looks up in who opened the file.
    EXPECT_EQ(as_nobody("theirs/tasks", std::to_string(roots)), EACCES);
    // What it makes is its own.
    EXPECT_EQ(as_user(kNobody,
                      [&] { return ::mkdir(path("theirs/own").c_str(), 0755) == 0 ? 0 : errno; }),
              0);
    ASSERT_EQ(::stat(path("theirs/own/freezer.state").c_str(), &st), 0);
    EXPECT_EQ(st.st_uid, kNobody);
    EXPECT_EQ(as_nobody("theirs/own/freezer.state", "FROZEN"), 0);
    EXPECT_EQ(as_nobody("theirs/own/signal.kill", "9"), 0);
    // A descriptor that root opened stays root's.
    const int fd = ::open(path("0/freezer.state").c_str(), O_WRONLY | O_CLOEXEC);
    EXPECT_EQ(as_user(kNobody, [&] { return ::write(fd, "FROZEN", 6) == 6 ? 0 : errno; }), 0);
    ::close(fd);
    EXPECT_TRUE(reaches("FROZEN"));
    EXPECT_EQ(as_nobody("theirs/signal.kill", "9"), 0);
    EXPECT_TRUE(eventually([&] { return scratch().event("populated", "theirs") == 0; }));
}

TEST_F(MountCommand, other_users_stay_out_unless_asked)
{
    MOUNT_OR_SKIP();
    EXPECT_EQ(as_user(kNobody, [&] { return test::read_error(path("0/freezer.state")); }), EACCES);
}

TEST_F(MountCommand, never_freezes_its_own_server)
{
    scratch().mkdir("server/inner");
    const std::string procs = scratch().dir("server/inner") + "/cgroup.procs";
    MOUNT_OR_SKIP({}, [procs] { (void)test::write_file(procs, "0"); });
    ASSERT_EQ(scratch().threads("server/inner").empty(), false);
    for (const char *const cgroup : {"server/inner", "server"}) {
        EXPECT_EQ(write_error(path(cgroup) + "/freezer.state", "FROZEN"), EBUSY);
        EXPECT_EQ(write_error(path(cgroup) + "/signal.kill", "9"), EBUSY);
        EXPECT_EQ(mounted().state(cgroup), "RUNNING");
    }
    EXPECT_EQ(write_error(path("freezer.state"), "FROZEN"), EBUSY);
    EXPECT_TRUE(mounted().server().says("refused to freeze " + scratch().path() + "/server/inner"));
    // Nor lets it be moved where it would freeze.
    freeze();
    EXPECT_EQ(write_error(path("0/tasks"), std::to_string(mounted().server().pid())), EBUSY);
    EXPECT_EQ(thaw(), 0);
}

TEST_F(MountCommand, ends_cleanly_and_leaves_the_cgroups_as_they_are)
{
    MOUNT_OR_SKIP();
    scratch().spawn_sleeper("0");
    freeze();
    const int held = ::open(path("0/freezer.state").c_str(), O_RDWR | O_CLOEXEC);
    mounted().server().signal(SIGTERM);
    EXPECT_EQ(mounted().server().finish().status, 0);
    EXPECT_EQ(scratch().event("frozen", "0"), 1);
    EXPECT_FALSE(std::filesystem::exists(path("0")));
    EXPECT_EQ(::pwrite(held, "RUNNING", 7, 0), -1);
    EXPECT_EQ(errno, ENOTCONN);
    ::close(held);
}

TEST_F(MountCommand, a_killed_server_can_be_replaced)
{
    MOUNT_OR_SKIP();
    const pid_t pid = scratch().spawn_sleeper("0");
    freeze();
    EXPECT_EQ(thaw(), 0);
    mounted().server().signal(SIGKILL);
    mounted().server().finish();
    EXPECT_EQ(test::read_error(path("0/freezer.state")), ENOTCONN);
    EXPECT_EQ(scratch().read("cgroup.freeze", "0"), "0\n");
    EXPECT_FALSE(is_gone(pid));
    // The same command again.
    const auto again = run({"mount", path(""), "--root", scratch().path()});
    ASSERT_EQ(again.status, 0) << again.err;
    EXPECT_EQ(mounted().state("0"), "RUNNING");
    EXPECT_EQ(run({"umount", path("")}).status, 0);
    EXPECT_FALSE(std::filesystem::exists(path("0")));
}

TEST_F(MountCommand, as_a_daemon)
{
    MOUNT_OR_SKIP();
    std::string point = "/tmp/freezerctl-test-mount-XXXXXX";
    ASSERT_NE(::mkdtemp(point.data()), nullptr);
    const auto remove = std::shared_ptr<void>(nullptr, [&](void *) {
        ::umount2(point.c_str(), MNT_DETACH);
        ::rmdir(point.c_str());
    });
    const auto mount = run({"mount", point, "--root", scratch().path()});
    ASSERT_EQ(mount.status, 0) << mount.err;
    EXPECT_EQ(mount.out + mount.err, "");
    EXPECT_EQ(read_file(point + "/0/freezer.state"), "RUNNING\n"); // at once
    EXPECT_NE(read_file("/proc/self/mountinfo").find(point + " rw,nosuid,nodev,noexec"),
              std::string::npos);
    EXPECT_NE(read_file("/proc/self/mountinfo").find(" - fuse.freezerctl freezerctl "),
              std::string::npos);

    const auto twice = run({"mount", point, "--root", scratch().path()});
    EXPECT_EQ(twice.status, 1);
    EXPECT_NE(twice.err.find("mounted already: run 'freezerctl umount"), std::string::npos)
        << twice.err;
    const int busy = ::open((point + "/0").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const auto in_use = run({"umount", point});
    EXPECT_EQ(in_use.status, 1);
    EXPECT_NE(in_use.err.find("in use"), std::string::npos) << in_use.err;
    ::close(busy);
    EXPECT_EQ(run({"umount", point}).status, 0);
    EXPECT_FALSE(std::filesystem::exists(point + "/0"));
}

TEST_F(MountCommand, says_what_is_wrong)
{
    MOUNT_OR_SKIP();
    const auto expect = [](const std::vector<std::string> &words, int status,
                           const std::string &text) {
        const auto ran = run(words);
        EXPECT_EQ(ran.status, status) << words.back();
        EXPECT_NE(ran.err.find(text), std::string::npos) << ran.err;
        EXPECT_EQ(ran.out, "");
    };
    expect({"mount", "/no/such/place", "--root", scratch().path()}, 1, "No such file");
    expect({"mount", "/proc/self/status", "--root", scratch().path()}, 1, "no directory");
    expect({"mount", "/tmp", "--root", "/no/such/cgroup"}, 4, "no such cgroup");
    expect({"mount"}, 2, "DIRECTORY");
    expect({"mount", "/tmp", "--words", "2009"}, 2, "2008|v1");
    expect({"umount", "/tmp/"}, 1, "/tmp/: ");
    expect({"umount", "/proc"}, 1, "which 'freezerctl mount' did not make");
}

TEST_F(MountCommand, many_clients_at_once)
{
    MOUNT_OR_SKIP();
    constexpr int kClients = 64;
    std::vector<pid_t> clients;
    for (int i = 0; i < kClients; ++i) {
        const std::string name = "client" + std::to_string(i);
        ASSERT_EQ(::mkdir(path(name).c_str(), 0755), 0);
        scratch().spawn_sleeper(name);
        const pid_t pid = ::fork();
        if (pid == 0) {
            const std::string file = path(name + "/freezer.state");
            const int fd = ::open(file.c_str(), O_RDWR | O_CLOEXEC);
            for (int round = 0; round < 10; ++round) {
                if (::pwrite(fd, "FROZEN", 6, 0) != 6)
                    ::_exit(1);
                for (std::string state; state != "FROZEN\n";) {
                    char word[32] = {};
                    if (::pread(fd, word, sizeof(word) - 1, 0) <= 0)
                        ::_exit(2);
                    state = word;
                    pollfd set{fd, POLLPRI, 0};
                    if (state != "FROZEN\n" && ::poll(&set, 1, 60'000) != 1)
                        ::_exit(3);
                }
                if (::pwrite(fd, "RUNNING", 7, 0) != 7)
                    ::_exit(4);
            }
            ::_exit(0);
        }
        clients.push_back(pid);
    }
    for (const pid_t pid : clients) {
        int status = -1;
        ASSERT_EQ(::waitpid(pid, &status, 0), pid);
        EXPECT_EQ(status, 0);
    }
}

TEST_F(MountCommand, any_operation_in_any_order)
{
    MOUNT_OR_SKIP();
    const unsigned seed = 2008;
    std::mt19937 random(seed);
    const auto pick = [&](size_t n) { return random() % n; };
    const std::vector<std::string> names{"0", "a", "b", "0/a", "a/b", "a/b/c", "a/../0", ""};
    const std::vector<std::string> files{"tasks",
                                         "cgroup.procs",
                                         "freezer.state",
                                         "freezer.self_freezing",
                                         "signal.kill",
                                         "none",
                                         "notify_on_release",
                                         "freezer.parent_freezing",
                                         "cgroup.freeze",
                                         ""};
    // No number among them that could be a process of somebody else.
    const std::vector<std::string> texts{"FROZEN",
                                         "RUNNING",
                                         "FREEZING",
                                         "",
                                         "0x",
                                         "-1",
                                         "9999999",
                                         std::string(5000, 'x'),
                                         std::string("\0\xff\n", 3)};
    std::vector<int> open;
    for (size_t i = 0; i < test::scaled(4000); ++i) {
        const std::string directory = path(names[pick(names.size())]);
        const std::string file = directory + "/" + files[pick(files.size())];
        const std::string &text = texts[pick(texts.size())];
        char buffer[256];
        struct stat st {
        };
        switch (pick(12)) {
        case 0:
            ::mkdir(directory.c_str(), static_cast<mode_t>(pick(01000)));
            break;
        case 1:
            ::rmdir(directory.c_str());
            break;
        case 2:
            ::rename(directory.c_str(), path(names[pick(names.size())]).c_str());
            break;
        case 3: {
            const int fd = ::open(file.c_str(),
                                  static_cast<int>(pick(4)) | (pick(2) ? O_TRUNC : 0) | O_CLOEXEC);
            if (fd >= 0)
                open.push_back(fd);
            break;
        }
        case 4:
            if (!open.empty())
                (void)!::pwrite(open[pick(open.size())], text.data(), text.size(),
                                static_cast<off_t>(pick(10)));
            break;
        case 5:
            if (!open.empty())
                (void)!::pread(open[pick(open.size())], buffer, sizeof(buffer),
                               static_cast<off_t>(pick(300)));
            break;
        case 6:
            if (!open.empty()) {
                pollfd set{open[pick(open.size())], POLLPRI, 0};
                ::poll(&set, 1, 0);
            }
            break;
        case 7:
            if (!open.empty()) {
                const size_t at = pick(open.size());
                ::close(open[at]);
                open.erase(open.begin() + static_cast<std::ptrdiff_t>(at));
            }
            break;
        case 8:
            ::stat(file.c_str(), &st);
            break;
        case 9:
            ::truncate(file.c_str(), static_cast<off_t>(pick(100)));
            break;
        case 10:
            ::chmod(file.c_str(), static_cast<mode_t>(pick(01000)) | 0600);
            break;
        default: {
            std::error_code error;
            for (auto it = std::filesystem::directory_iterator(directory, error);
                 !error && it != std::filesystem::directory_iterator(); it.increment(error)) {
            }
        }
        }
    }
    for (const int fd : open)
        ::close(fd);
    ASSERT_EQ(::mkdir(path("after").c_str(), 0755), 0);
    EXPECT_EQ(mounted().state("after"), "RUNNING");
    EXPECT_EQ(write_error(path("after/freezer.state"), "FROZEN"), 0);
    EXPECT_EQ(mounted().state("after"), "FROZEN");
}

// The whole on the v1 freezer.
TEST(MountCommandV1, is_the_same)
{
    if (test::v1_mount().empty())
        GTEST_SKIP() << "the kernel has no v1 freezer";
    test::ScratchV1 scratch;
    scratch.mkdir("0");
    Mounted mounted(scratch.path(), {"--hierarchy", "v1"});
    if (mounted.why().starts_with("no "))
        GTEST_SKIP() << mounted.why();
    ASSERT_EQ(mounted.why(), "");
    const pid_t pid = scratch.spawn_sleeper("0");
    const std::string file = mounted.path("0/freezer.state");
    const int fd = ::open(file.c_str(), O_RDWR | O_CLOEXEC);
    char word[32] = {};
    ASSERT_GT(::pread(fd, word, sizeof(word), 0), 0);
    EXPECT_STREQ(word, "RUNNING\n");
    ASSERT_EQ(::pwrite(fd, "FROZEN\n", 7, 0), 7);
    while (std::string(word) != "FROZEN\n") {
        pollfd set{fd, POLLPRI, 0};
        ASSERT_EQ(::poll(&set, 1, 60'000), 1);
        std::fill(std::begin(word), std::end(word), '\0');
        ASSERT_GT(::pread(fd, word, sizeof(word) - 1, 0), 0);
    }
    EXPECT_EQ(scratch.state("0"), "FROZEN");
    EXPECT_EQ(read_file(mounted.path("0/tasks")), std::to_string(pid) + "\n");
    // Every signal waits there.
    EXPECT_EQ(write_error(mounted.path("0/signal.kill"), "9"), 0);
    EXPECT_EQ(scratch.tasks("0").size(), 1U);
    EXPECT_EQ(write_error(file, "RUNNING"), 0);
    EXPECT_TRUE(eventually([&] { return scratch.tasks("0").empty(); }));
    EXPECT_EQ(write_error(mounted.path("0/notify_on_release"), "1"), 0);
    EXPECT_EQ(read_file(mounted.path("0/notify_on_release")), "1\n");
    ::close(fd);
}

} // namespace
