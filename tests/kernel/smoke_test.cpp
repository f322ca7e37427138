// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <set>

#include "tests/support/scratch.h"
#include "user/freezer.h"

namespace
{

using freezer::FreezeOptions;
using freezer::Freezer;
using freezer::Outcome;
using freezer::Target;

class Smoke : public ::testing::Test
{
  protected:
    void SetUp() override
    {
        freezer::Config config;
        config.tracker.task_events = true;
        auto opened = Freezer::open(config);
        ASSERT_TRUE(opened) << opened.error().message;
        freezer_.emplace(std::move(*opened));
        const auto loaded = freezer_->load_tracker(1);
        ASSERT_TRUE(loaded) << loaded.error().message;
    }
    freezer::TargetReport freeze(const test::Scratch &scratch, const FreezeOptions &options)
    {
        auto targets = target(scratch);
        return std::move((*freezer_->freeze(targets, options)).front());
    }
    freezer::TargetReport thaw(const test::Scratch &scratch)
    {
        auto targets = target(scratch);
        return std::move((*freezer_->thaw(targets, {})).front());
    }
    freezer::TargetReport kill(const test::Scratch &scratch, const freezer::KillOptions &options)
    {
        auto targets = target(scratch);
        return std::move((*freezer_->kill(targets, options)).front());
    }
    std::vector<Target> target(const test::Scratch &scratch)
    {
        auto cgroup = freezer_->resolver().by_path(scratch.path());
        EXPECT_TRUE(cgroup) << cgroup.error().message;
        std::vector<Target> targets;
        targets.push_back(Target{scratch.path(), std::move(*cgroup)});
        return targets;
    }
    // The account names exactly the tasks that the kernel's file does, each once, all frozen.
    static void expect_true_account(const freezer::TargetReport &report,
                                    const test::Scratch &scratch)
    {
        ASSERT_EQ(report.outcome, Outcome::kReached);
        ASSERT_TRUE(report.entries);
        std::multiset<pid_t> counted;
        for (const auto &entry : *report.entries) {
            EXPECT_TRUE(entry.frozen) << entry.tid;
            counted.insert(static_cast<pid_t>(entry.tid));
        }
        const auto threads = scratch.threads();
        EXPECT_EQ(counted, std::multiset<pid_t>(threads.begin(), threads.end()));
        EXPECT_EQ(scratch.event("frozen"), 1);
        EXPECT_TRUE(report.complete);
        EXPECT_EQ(report.dropped_events, 0U);
    }

    std::optional<Freezer> freezer_;
};

TEST_F(Smoke, a_hundred_processes)
{
    test::Scratch scratch;
    for (int i = 0; i < 100; ++i)
        scratch.spawn_sleeper();
    FreezeOptions options;
    options.tasks = true;
    const auto report = freeze(scratch, options);
    expect_true_account(report, scratch);
    EXPECT_EQ(report.tasks, 100U);
    EXPECT_EQ(thaw(scratch).outcome, Outcome::kReached);
    EXPECT_EQ(scratch.event("frozen"), 0);
}

TEST_F(Smoke, spinners_stand_still)
{
    test::Scratch scratch;
    test::Counters counters(2);
    scratch.spawn_spinner(counters, 0);
    scratch.spawn_spinner(counters, 1);
    FreezeOptions options;
    options.tasks = true;
    for (int round = 0; round < 50; ++round) {
        const auto report = freeze(scratch, options);
        expect_true_account(report, scratch);
        const auto before = counters.values();
        EXPECT_EQ(scratch.threads().size(), 2U);
        EXPECT_EQ(counters.values(), before);
        EXPECT_EQ(thaw(scratch).outcome, Outcome::kReached);
        EXPECT_TRUE(test::eventually([&] {
            const auto now = counters.values();
            return now[0] > before[0] && now[1] > before[1];
        }));
    }
}

TEST_F(Smoke, a_straggler_is_named_and_the_request_taken_back)
{
    test::Straggler straggler;
    if (!straggler.possible())
        GTEST_SKIP() << straggler.why();
    test::Scratch scratch;
    const pid_t pid = straggler.spawn(scratch);
    FreezeOptions options;
    options.timeout_ns = 200'000'000;
    const auto report = freeze(scratch, options);
    EXPECT_EQ(report.outcome, Outcome::kDeadline);
    ASSERT_EQ(report.stragglers.size(), 1U);
    EXPECT_EQ(report.stragglers.front().tid, static_cast<unsigned>(pid));
    EXPECT_TRUE(report.rolled_back);
    EXPECT_EQ(scratch.read("cgroup.freeze"), "0\n");
}

TEST_F(Smoke, ten_thousand_verdicts)
{
    test::Scratch scratch;
    for (int i = 0; i < 3; ++i)
        scratch.spawn_sleeper();
    for (int round = 0; round < 10'000; ++round) {
        ASSERT_EQ(freeze(scratch, {}).outcome, Outcome::kReached) << round;
        ASSERT_EQ(scratch.event("frozen"), 1) << round;
        ASSERT_EQ(thaw(scratch).outcome, Outcome::kReached) << round;
        ASSERT_EQ(scratch.event("frozen"), 0) << round;
    }
}

TEST_F(Smoke, kill_and_remove_a_tree)
{
    test::Scratch scratch;
    scratch.mkdir("a/b");
    for (int i = 0; i < 10; ++i)
        scratch.spawn_sleeper("a/b");
    freezer::KillOptions options;
    options.remove = true;
    const auto report = kill(scratch, options);
    EXPECT_EQ(report.outcome, Outcome::kReached);
    EXPECT_TRUE(report.removed);
    EXPECT_NE(::access(scratch.dir().c_str(), F_OK), 0);
}

TEST_F(Smoke, a_ring_buffer_too_small_loses_events_and_no_verdict)
{
    freezer::Config config;
    config.tracker.task_events = true;
    config.tracker.ring_bytes = 4096;
    auto opened = Freezer::open(config);
    ASSERT_TRUE(opened);
    freezer_.emplace(std::move(*opened));
    test::Scratch scratch;
    for (int i = 0; i < 300; ++i)
        scratch.spawn_sleeper();
    FreezeOptions options;
    options.tasks = true;
    const auto report = freeze(scratch, options);
    EXPECT_EQ(report.outcome, Outcome::kReached);
    EXPECT_EQ(scratch.event("frozen"), 1);
    EXPECT_GT(report.dropped_events, 0U);
    EXPECT_EQ(report.entries->size(), 300U);
}

} // namespace
