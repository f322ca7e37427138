// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// The tracker that outlives its process, against the kernel's own account.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "bpf/abi.h"
#include "tests/support/operations.h"
#include "tests/support/private_bpffs.h"
#include "tests/support/scratch.h"
#include "user/attached.h"
#include "user/tracker.h"

namespace
{

using freezer::Freezer;
using freezer::Outcome;
using freezer::TargetReport;
using freezer::TrackingSource;
using test::Scratch;

class Attached : public test::OperationsTest
{
  protected:
    void SetUp() override
    {
        OperationsTest::SetUp();
        if (IsSkipped() || HasFatalFailure())
            return;
        bpffs_.emplace();
        if (!bpffs_->why().empty())
            GTEST_SKIP() << bpffs_->why();
        const auto attached = freezer::attach_tracker(freezer::kAttachedRingBytes);
        ASSERT_TRUE(attached) << attached.error().message;
        EXPECT_FALSE(attached->already);
    }
    void TearDown() override
    {
        bpffs_.reset();
        OperationsTest::TearDown();
    }

    // A process's library that uses the attached tracker. `tasks`: can list the tasks.
    static Freezer user(bool tasks = true)
    {
        freezer::Config config;
        config.tracker.task_events = tasks;
        auto opened = Freezer::open(config);
        if (!opened)
            throw std::runtime_error(opened.error().message);
        return std::move(*opened);
    }
    TargetReport freeze_by(Freezer &library, const std::string &path)
    {
        auto opened = targets({path});
        auto reports = library.freeze(opened, test::listing());
        if (!reports)
            throw std::runtime_error(reports.error().message);
        return std::move(reports->front());
    }
    TargetReport thaw_by(Freezer &library, const std::string &path)
    {
        auto opened = targets({path});
        auto reports = library.thaw(opened, test::freeze_options());
        if (!reports)
            throw std::runtime_error(reports.error().message);
        return std::move(reports->front());
    }

  private:
    std::optional<test::PrivateBpffs> bpffs_;
};

TEST_F(Attached, its_account_is_the_kernels)
{
    Scratch scratch;
    scratch.mkdir("a/b");
    for (int i = 0; i < 5; ++i) {
        scratch.spawn_sleeper();
        scratch.spawn_sleeper("a/b");
    }
    const pid_t stopped = scratch.spawn_sleeper("a");
    ASSERT_EQ(::kill(stopped, SIGSTOP), 0);
    int status = 0;
    ASSERT_EQ(::waitpid(stopped, &status, WUNTRACED), stopped);
    Freezer library = user();
    for (size_t round = 0; round < test::scaled(20, 2); ++round) {
        const TargetReport report = freeze_by(library, scratch.path());
        ASSERT_EQ(report.outcome, Outcome::kReached);
        EXPECT_EQ(library.tracking().source, TrackingSource::kAttached);
        expect_true_account(report, scratch);
        EXPECT_TRUE(report.slowest);
        EXPECT_EQ(thaw_by(library, scratch.path()).outcome, Outcome::kReached);
    }
}

TEST_F(Attached, serves_several_at_a_time_and_tells_them_apart)
{
    // One more than it has place for: that one tracks for itself.
    std::vector<Freezer> libraries;
    std::vector<std::unique_ptr<Scratch>> scratches;
    for (int i = 0; i <= FZ_CLIENTS_MAX; ++i) {
        libraries.push_back(user());
        scratches.push_back(std::make_unique<Scratch>());
        for (int tasks = 0; tasks <= i; ++tasks)
            scratches.back()->spawn_sleeper();
    }
    for (size_t i = 0; i < libraries.size(); ++i) {
        const TargetReport report = freeze_by(libraries[i], scratches[i]->path());
        ASSERT_EQ(report.outcome, Outcome::kReached);
        EXPECT_EQ(libraries[i].tracking().source,
                  i < FZ_CLIENTS_MAX ? TrackingSource::kAttached : TrackingSource::kOwn);
        expect_true_account(report, *scratches[i]);
    }
    std::vector<std::thread> threads;
    for (size_t i = 0; i < libraries.size(); ++i) {
        threads.emplace_back([&, i] {
            for (size_t round = 0; round < test::scaled(20, 2); ++round) {
                EXPECT_EQ(thaw_by(libraries[i], scratches[i]->path()).outcome, Outcome::kReached);
                const TargetReport report = freeze_by(libraries[i], scratches[i]->path());
                EXPECT_EQ(report.outcome, Outcome::kReached);
                EXPECT_EQ(report.entries->size(), i + 1);
            }
        });
    }
    for (std::thread &thread : threads)
        thread.join();
}

TEST_F(Attached, nested_targets_of_two_users_have_an_account_each)
{
    Scratch scratch;
    scratch.mkdir("a");
    scratch.spawn_sleeper("a");
    scratch.spawn_sleeper("a");
    Freezer outer = user();
    Freezer inner = user();
    std::thread above([&] {
        const TargetReport report = freeze_by(outer, scratch.path());
        EXPECT_EQ(report.outcome, Outcome::kReached);
        EXPECT_EQ(report.entries->size(), 2U);
    });
    const TargetReport report = freeze_by(inner, scratch.path("a"));
    EXPECT_EQ(report.outcome, Outcome::kReached);
    EXPECT_EQ(report.entries->size(), 2U);
    above.join();
}

TEST_F(Attached, a_cgroup_that_another_watches_is_tracked_alone)
{
    if (!test::Straggler().possible())
        GTEST_SKIP() << "no userfaultfd";
    test::Straggler straggler;
    Scratch scratch;
    straggler.spawn(scratch);
    Freezer first = user();
    Freezer second = user();
    std::thread waiter([&] {
        auto opened = targets({scratch.path()});
        const auto reports = first.wait(opened, freezer::Goal::kFrozen, test::freeze_options());
        ASSERT_TRUE(reports);
        EXPECT_EQ(reports->front().outcome, Outcome::kReached);
    });
    std::thread release([&] {
        EXPECT_TRUE(test::eventually([&] { return scratch.read("cgroup.freeze") == "1\n"; }));
        straggler.release();
    });
    const TargetReport report = freeze_by(second, scratch.path());
    EXPECT_EQ(report.outcome, Outcome::kReached);
    expect_true_account(report, scratch);
    waiter.join();
    release.join();
    // Who came first had it.
    EXPECT_TRUE(first.tracking().source == TrackingSource::kAttached ||
                second.tracking().source == TrackingSource::kAttached);
}

TEST_F(Attached, what_a_killed_user_left_is_taken_back)
{
    Scratch scratch;
    scratch.spawn_sleeper();
    for (int round = 0; round < 3; ++round) {
        const pid_t pid = ::fork();
        if (pid == 0) {
            auto pinned = freezer::open_attached_tracker();
            if (!pinned)
                ::_exit(1);
            auto tracker = freezer::Tracker::open_pinned(std::move(*pinned), {});
            auto watched = targets({scratch.path()});
            if (!tracker || !tracker->watch(0, *watched.front().cgroup))
                ::_exit(1);
            (void)::raise(SIGKILL);
        }
        int status = 0;
        ASSERT_EQ(::waitpid(pid, &status, 0), pid);
        ASSERT_TRUE(WIFSIGNALED(status)) << WEXITSTATUS(status);
        Freezer library = user();
        const TargetReport report = freeze_by(library, scratch.path());
        EXPECT_EQ(report.outcome, Outcome::kReached);
        EXPECT_EQ(library.tracking().source, TrackingSource::kAttached);
        expect_true_account(report, scratch);
        EXPECT_EQ(thaw_by(library, scratch.path()).outcome, Outcome::kReached);
    }
}

TEST_F(Attached, who_uses_it_keeps_it_when_it_is_detached)
{
    Scratch scratch;
    scratch.spawn_sleeper();
    Freezer library = user();
    EXPECT_EQ(freeze_by(library, scratch.path()).outcome, Outcome::kReached);
    const auto detached = freezer::detach_trackers();
    ASSERT_TRUE(detached) << detached.error().message;
    EXPECT_EQ(*detached, 1U);
    EXPECT_EQ(thaw_by(library, scratch.path()).outcome, Outcome::kReached);
    const TargetReport report = freeze_by(library, scratch.path());
    EXPECT_EQ(library.tracking().source, TrackingSource::kAttached);
    expect_true_account(report, scratch);
    Freezer later = user();
    EXPECT_EQ(thaw_by(later, scratch.path()).outcome, Outcome::kReached);
    EXPECT_EQ(later.tracking().source, TrackingSource::kOwn);
}

} // namespace
