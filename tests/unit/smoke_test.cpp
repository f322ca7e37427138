// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include <gtest/gtest.h>

#include "tools/freezerctl/text.h"
#include "user/account.h"
#include "user/duration.h"
#include "user/mounts.h"
#include "user/resolve.h"

namespace
{

fz_event event_of(fz_event_kind kind, std::uint64_t at_ns, std::uint32_t tid = 0)
{
    fz_event event{};
    event.kind = kind;
    event.time_ns = at_ns;
    event.task.tid = tid;
    return event;
}

TEST(Smoke, timeouts)
{
    EXPECT_EQ(**freezer::parse_timeout("1.5s"), 1'500'000'000U);
    EXPECT_EQ(**freezer::parse_timeout("250ms"), 250'000'000U);
    EXPECT_FALSE((*freezer::parse_timeout("infinity")).has_value());
    for (const char *bad : {"", "-1s", "10x", "s", "1e400s", "nan"})
        EXPECT_FALSE(freezer::parse_timeout(bad)) << bad;
}

TEST(Smoke, mounts_of_a_hybrid_host)
{
    const auto mounts = freezer::parse_mountinfo(
        "37 31 0:34 / /sys/fs/cgroup/freezer rw,relatime - cgroup cgroup rw,freezer\n"
        "41 31 0:38 / /sys/fs/cgroup/uni\\040fied rw - cgroup2 cgroup2 rw\n");
    ASSERT_EQ(mounts.size(), 2U);
    const auto *v2 = freezer::find_mount(mounts, freezer::Hierarchy::kV2);
    ASSERT_NE(v2, nullptr);
    EXPECT_EQ(v2->mount_point, "/sys/fs/cgroup/uni fied");
    EXPECT_NE(freezer::find_mount(mounts, freezer::Hierarchy::kV1Freezer), nullptr);
}

TEST(Smoke, paths)
{
    EXPECT_EQ(*freezer::normalize_path("a//b/./"), "/a/b");
    EXPECT_EQ(*freezer::normalize_path("/"), "/");
    EXPECT_FALSE(freezer::normalize_path("/a/../b"));
    EXPECT_FALSE(freezer::normalize_path(""));
}

TEST(Smoke, a_task_counts_once_for_each_request)
{
    freezer::Account account;
    account.apply(event_of(FZ_EV_FREEZE, 100));
    account.apply(event_of(FZ_EV_ARRIVED, 110, 7));
    account.apply(event_of(FZ_EV_ARRIVED, 120, 7));
    account.apply(event_of(FZ_EV_ARRIVED, 90, 8)); // of the freeze before
    EXPECT_EQ(account.arrived(), 1U);
    account.apply(event_of(FZ_EV_FREEZE, 200));
    EXPECT_EQ(account.arrived(), 0U);
}

TEST(Smoke, hostile_names_are_harmless)
{
    EXPECT_EQ(freezerctl::printable("a\x1b[2Jb"), "a\\x1b[2Jb");
    EXPECT_EQ(freezerctl::printable("\xff"), "\\xff");
    EXPECT_EQ(freezerctl::printable("gr\xc3\xbc\xc3\x9f"), "gr\xc3\xbc\xc3\x9f");
}

} // namespace
