// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// Real stragglers, each explained by its cause and by who can help.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>

#include "tests/support/scratch.h"
#include "user/freezer.h"

namespace
{

using freezer::Cause;
using freezer::Freezer;
using freezer::HeldTask;
using freezer::Holder;
using freezer::WhyReport;

class Why : public ::testing::TestWithParam<bool>
{
  protected:
    void SetUp() override
    {
        freezer::Config config;
        config.use_bpf = GetParam();
        auto opened = Freezer::open(config);
        ASSERT_TRUE(opened) << opened.error().message;
        freezer_.emplace(std::move(*opened));
    }
    WhyReport why(const test::Scratch &scratch,
                  WhyReport::Purpose purpose = WhyReport::Purpose::kState)
    {
        auto cgroup = freezer_->resolver().by_path(scratch.path());
        EXPECT_TRUE(cgroup);
        if (!cgroup)
            return {};
        auto report = freezer_->why(**cgroup, purpose);
        EXPECT_TRUE(report) << report.error().message;
        return report ? std::move(*report) : WhyReport();
    }

    std::optional<Freezer> freezer_;
};
INSTANTIATE_TEST_SUITE_P(Ways, Why, ::testing::Values(true, false),
                         [](const auto &info) { return info.param ? "with_bpf" : "without_bpf"; });

TEST_P(Why, a_page_fault_that_user_space_does_not_serve)
{
    test::Straggler straggler;
    if (!straggler.possible())
        GTEST_SKIP() << straggler.why();
    test::Scratch scratch;
    scratch.spawn_sleeper();
    const pid_t pid = straggler.spawn(scratch);
    ASSERT_TRUE(scratch.write("cgroup.freeze", "1"));

    const WhyReport report = why(scratch);
    std::printf("%s\n", sentence_of(report).c_str());
    for (auto &t : report.tasks) {
        std::printf(" %u %s %u/%u spin %d\n", t.tid, to_string(t.cause), t.agreeing, t.looks,
                    t.spinning);
        for (auto &s : t.stack)
            std::printf("   %s\n", s.c_str());
        for (auto &h : t.holders)
            std::printf("   held %s %u %s\n", to_string(h.role), h.pid, h.comm.c_str());
    }
    std::printf("%f ms\n", report.elapsed_ns / 1e6);
    ASSERT_EQ(report.tasks.size(), 1U);
    EXPECT_EQ(report.tasks[0].tid, static_cast<unsigned>(pid));
    EXPECT_EQ(report.tasks[0].cause, Cause::kUserfaultfd);
    ASSERT_EQ(report.tasks[0].holders.size(), 1U);
    EXPECT_EQ(report.tasks[0].holders[0].pid, static_cast<unsigned>(::getpid()));
}

} // namespace
