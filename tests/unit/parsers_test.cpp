// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include <gtest/gtest.h>

#include <limits>
#include <string>

#include "user/cgroup.h"
#include "user/duration.h"
#include "user/files.h"
#include "user/mounts.h"
#include "user/proc_tasks.h"
#include "user/resolve.h"

namespace
{

using freezer::Hierarchy;

TEST(Mounts, of_a_hybrid_host)
{
    const auto mounts = freezer::parse_mountinfo(
        "36 31 0:33 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
        "37 31 0:34 / /sys/fs/cgroup/freezer rw,relatime - cgroup cgroup rw,freezer\n"
        "41 31 0:38 / /sys/fs/cgroup/unified rw shared:9 master:2 - cgroup2 cgroup2 rw\n"
        "42 31 0:39 / /tmp rw - tmpfs tmpfs rw\n");
    ASSERT_EQ(mounts.size(), 3U);
    EXPECT_EQ(mounts[0].hierarchy, Hierarchy::kV1Other);
    const auto *const v2 = freezer::find_mount(mounts, Hierarchy::kV2);
    ASSERT_NE(v2, nullptr);
    EXPECT_EQ(v2->mount_point, "/sys/fs/cgroup/unified");
    EXPECT_EQ(v2->root, "/");
    const auto *const v1 = freezer::find_mount(mounts, Hierarchy::kV1Freezer);
    ASSERT_NE(v1, nullptr);
    EXPECT_EQ(v1->mount_point, "/sys/fs/cgroup/freezer");
}

TEST(Mounts, octal_escapes)
{
    const auto mounts = freezer::parse_mountinfo(
        "41 31 0:38 /a\\040root /mnt/tab\\011nl\\012bs\\134040 rw - cgroup2 none rw\n");
    ASSERT_EQ(mounts.size(), 1U);
    // The escaped backslash is not the beginning of another escape.
    EXPECT_EQ(mounts[0].mount_point, "/mnt/tab\tnl\nbs\\040");
    EXPECT_EQ(mounts[0].root, "/a root");
}

TEST(Mounts, the_freezer_must_be_a_whole_option)
{
    const auto mounts =
        freezer::parse_mountinfo("37 31 0:34 / /a rw - cgroup cgroup rw,nofreezer,name=freezer2\n"
                                 "38 31 0:35 / /b rw - cgroup cgroup freezer\n");
    ASSERT_EQ(mounts.size(), 2U);
    EXPECT_EQ(mounts[0].hierarchy, Hierarchy::kV1Other);
    EXPECT_EQ(mounts[1].hierarchy, Hierarchy::kV1Freezer);
}

TEST(Mounts, covered_ones_are_left_out)
{
    const auto mounts =
        freezer::parse_mountinfo("41 31 0:38 / /cg rw - cgroup2 none rw\n"
                                 "42 41 0:39 / /cg rw - tmpfs none rw\n"
                                 "43 31 0:38 / /other rw - cgroup2 none rw\n"
                                 "44 43 0:34 / /other rw - cgroup none rw,freezer\n");
    ASSERT_EQ(mounts.size(), 1U);
    EXPECT_EQ(mounts[0].hierarchy, Hierarchy::kV1Freezer);
    EXPECT_EQ(freezer::find_mount(mounts, Hierarchy::kV2), nullptr);
}

// cgroup2 alone over the tmpfs of a hybrid host.
TEST(Mounts, covered_from_above)
{
    const auto mounts =
        freezer::parse_mountinfo("25 1 0:30 / / rw - ext4 none rw\n"
                                 "31 25 0:28 / /sys/fs/cgroup rw - tmpfs none rw\n"
                                 "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 none rw\n"
                                 "42 31 0:34 / /sys/fs/cgroup/freezer rw - cgroup none freezer\n"
                                 "50 31 0:38 / /sys/fs/cgroup rw - cgroup2 none rw\n");
    ASSERT_EQ(mounts.size(), 1U);
    EXPECT_EQ(mounts[0].mount_point, "/sys/fs/cgroup");
}

// An initramfs mounts /sys and moves it into the root that it finds later.
TEST(Mounts, the_root_may_stand_behind)
{
    const auto mounts =
        freezer::parse_mountinfo("22 25 0:21 / /sys rw - sysfs none rw\n"
                                 "23 22 0:38 / /sys/fs/cgroup rw - cgroup2 none rw\n"
                                 "25 1 0:30 / / rw - ext4 none rw\n");
    ASSERT_EQ(mounts.size(), 1U);
    EXPECT_EQ(mounts[0].mount_point, "/sys/fs/cgroup");
}

TEST(Mounts, the_whole_hierarchy_is_preferred)
{
    const auto mounts = freezer::parse_mountinfo("41 31 0:38 /part /first rw - cgroup2 none rw\n"
                                                 "42 31 0:38 / /whole rw - cgroup2 none rw\n"
                                                 "43 31 0:38 / /later rw - cgroup2 none rw\n");
    const auto *const found = freezer::find_mount(mounts, Hierarchy::kV2);
    ASSERT_NE(found, nullptr);
    EXPECT_EQ(found->mount_point, "/whole");
}

TEST(Mounts, broken_lines_are_passed_over)
{
    EXPECT_TRUE(freezer::parse_mountinfo("").empty());
    EXPECT_TRUE(freezer::parse_mountinfo("\n\n").empty());
    EXPECT_TRUE(freezer::parse_mountinfo("41 31 0:38 /").empty());
    EXPECT_TRUE(freezer::parse_mountinfo("41 31 0:38 / /cg rw cgroup2 none rw").empty());
    EXPECT_TRUE(freezer::parse_mountinfo("41 31 0:38 / /cg rw - cgroup2").empty());
    EXPECT_TRUE(freezer::parse_mountinfo("41 31 38 / /cg rw - cgroup2 none rw").empty());
    EXPECT_TRUE(freezer::parse_mountinfo("x 31 0:38 / /cg rw - cgroup2 none rw").empty());
}

TEST(Mounts, fields_that_may_be_empty_or_look_like_others)
{
    const auto mounts =
        freezer::parse_mounts("41 31 0:38 / /- rw shared:1 master:2 - cgroup2  rw,nsdelegate\n"
                              "42 31 8:1 /a\\040b - rw - ext4 /dev/x rw\n");
    ASSERT_EQ(mounts.size(), 2U);
    EXPECT_EQ(mounts[0].point, "/-");
    EXPECT_EQ(mounts[0].type, "cgroup2");
    EXPECT_EQ(mounts[0].source, "");
    EXPECT_EQ(mounts[0].options, "rw,nsdelegate");
    EXPECT_EQ(mounts[1].root, "/a b");
    EXPECT_EQ(mounts[1].point, "-");
    EXPECT_EQ(mounts[1].major, 8U);
    EXPECT_EQ(mounts[1].minor, 1U);
    EXPECT_EQ(mounts[1].type, "ext4");
}

TEST(ProcStat, an_ordinary_line)
{
    const auto stat = freezer::parse_proc_stat("123 (bash) S 45 123 123 34816 0");
    ASSERT_TRUE(stat);
    EXPECT_EQ(stat->pid, 123U);
    EXPECT_EQ(stat->comm, "bash");
    EXPECT_EQ(stat->state, 'S');
    EXPECT_EQ(stat->parent, 45U);
}

TEST(ProcStat, hostile_names)
{
    for (const std::string name :
         {") R 1 (x", "a) Z 1", "((", "))", "", " ", "a\nb", "\xff\x1b[2J", "1 (x) R 2"}) {
        const auto stat = freezer::parse_proc_stat("77 (" + name + ") T 8 9 0");
        ASSERT_TRUE(stat) << name;
        EXPECT_EQ(stat->pid, 77U);
        EXPECT_EQ(stat->comm, name);
        EXPECT_EQ(stat->state, 'T');
        EXPECT_EQ(stat->parent, 8U);
    }
}

TEST(ProcStat, broken_lines)
{
    for (const char *bad : {"", "1", "1 (a", "1 a) S 1", "x (a) S 1", "1 (a) ", "1 (a) S", ") 1 ("})
        EXPECT_FALSE(freezer::parse_proc_stat(bad)) << bad;
}

TEST(ProcStat, innermost_function)
{
    using freezer::innermost_function;
    EXPECT_EQ(innermost_function("[<0>] do_freezer_trap+0x42/0x60\n[<0>] get_signal+0x1/0x2\n"),
              "do_freezer_trap");
    // ppc64le
    EXPECT_EQ(innermost_function("[<0>] 0xc000000003edf970\n[<0>] __switch_to+0x1/0x2\n"
                                 "[<0>] get_signal.isra.0+0x1/0x2 [m]\n"),
              "get_signal");
    EXPECT_EQ(innermost_function("[<0>] ttwu_do_wakeup+0x1/0x2\n[<0>] __switch_to+0x1/0x2\n"
                                 "[<0>] kernel_clone+0x1/0x2\n[<0>] sys_vfork+0x1/0x2\n"),
              "kernel_clone");
    EXPECT_EQ(innermost_function("[<0>] __switch_to"), "");
    EXPECT_EQ(innermost_function(""), "");
    EXPECT_EQ(innermost_function("\n[<0>] get_signal+0x1/0x2\n"), "get_signal");
    EXPECT_EQ(innermost_function("+] "), "");
}

TEST(ProcCgroup, the_line_of_hierarchy_0)
{
    EXPECT_EQ(freezer::parse_proc_cgroup("12:freezer:/v1\n1:name=systemd:/s\n0::/a/b\n"), "/a/b");
    EXPECT_EQ(freezer::parse_proc_cgroup("0::/"), "/");
    EXPECT_EQ(freezer::parse_proc_cgroup("0::/../outside\n"), "/../outside");
    EXPECT_EQ(freezer::parse_proc_cgroup("0::/colon:0::/x\n"), "/colon:0::/x");
    EXPECT_FALSE(freezer::parse_proc_cgroup("12:freezer:/v1\n10::/ten\n"));
    EXPECT_EQ(freezer::parse_proc_cgroup("12:freezer:/v1\n0::/a\n", 12), "/v1");
    EXPECT_FALSE(freezer::parse_proc_cgroup("12:freezer:/v1\n0::/a\n", 1));
    EXPECT_EQ(freezer::parse_v1_hierarchy("3:cpu,freezer:/\n12:net:/\n0::/\n", "freezer"), 3U);
    EXPECT_FALSE(freezer::parse_v1_hierarchy("3:xfreezer:/\n0::/freezer\n", "freezer"));
    EXPECT_FALSE(freezer::parse_proc_cgroup(""));
}

TEST(ProcCgroup, a_removed_cgroup)
{
    EXPECT_EQ(freezer::parse_proc_cgroup("0::/gone (deleted)\n"), "/gone");
}

TEST(Durations, every_unit)
{
    EXPECT_EQ(**freezer::parse_timeout("7"), 7'000'000'000U);
    EXPECT_EQ(**freezer::parse_timeout("0"), 0U);
    EXPECT_EQ(**freezer::parse_timeout("3ns"), 3U);
    EXPECT_EQ(**freezer::parse_timeout("400us"), 400'000U);
    EXPECT_EQ(**freezer::parse_timeout("250ms"), 250'000'000U);
    EXPECT_EQ(**freezer::parse_timeout("1.5s"), 1'500'000'000U);
    EXPECT_EQ(**freezer::parse_timeout("2m"), 120'000'000'000U);
    EXPECT_EQ(**freezer::parse_timeout("2min"), 120'000'000'000U);
    EXPECT_EQ(**freezer::parse_timeout("1h"), 3'600'000'000'000U);
    EXPECT_FALSE((*freezer::parse_timeout("infinity")).has_value());
    EXPECT_FALSE((*freezer::parse_timeout("never")).has_value());
}

TEST(Durations, malformed)
{
    for (const char *bad : {"", " ", "s", "ms", "-1s", "-0", "+1s", "10x", "1 s", "1s ", "1e3s",
                            "1e400", "nan", "inf", "0x10", "1.2.3s", "1,5s", "99999999999h"}) {
        const auto parsed = freezer::parse_timeout(bad);
        ASSERT_FALSE(parsed) << bad;
        EXPECT_EQ(parsed.error().kind, freezer::ErrorKind::kInvalid) << bad;
    }
}

TEST(Durations, for_people)
{
    EXPECT_EQ(freezer::format_duration(0), "0 ns");
    EXPECT_EQ(freezer::format_duration(999), "999 ns");
    EXPECT_EQ(freezer::format_duration(412'345), "412 us");
    EXPECT_EQ(freezer::format_duration(999'400), "999 us");
    EXPECT_EQ(freezer::format_duration(999'600), "1.00 ms");
    EXPECT_EQ(freezer::format_duration(1'240'000), "1.24 ms");
    EXPECT_EQ(freezer::format_duration(12'340'000), "12.3 ms");
    EXPECT_EQ(freezer::format_duration(123'400'000), "123 ms");
    EXPECT_EQ(freezer::format_duration(2'300'000'000), "2.30 s");
    EXPECT_EQ(freezer::format_duration(1'004'999), "1.00 ms");
    EXPECT_EQ(freezer::format_duration(9'994'999), "9.99 ms");
    EXPECT_EQ(freezer::format_duration(9'995'000), "10.0 ms");
    EXPECT_EQ(freezer::format_duration(99'949'999), "99.9 ms");
    EXPECT_EQ(freezer::format_duration(99'950'000), "100 ms");
    EXPECT_EQ(freezer::format_duration(61'050'000'000), "61.1 s");
    EXPECT_EQ(freezer::format_duration(1'234'567'890'123), "1235 s");
    EXPECT_EQ(freezer::format_duration(std::numeric_limits<std::uint64_t>::max()), "18446744074 s");
}

TEST(Paths, are_normalized)
{
    EXPECT_EQ(*freezer::normalize_path("a//b/./"), "/a/b");
    EXPECT_EQ(*freezer::normalize_path("/a/b"), "/a/b");
    EXPECT_EQ(*freezer::normalize_path("/"), "/");
    EXPECT_EQ(*freezer::normalize_path("."), "/");
    EXPECT_EQ(*freezer::normalize_path("/..a/b.."), "/..a/b..");
    EXPECT_EQ(*freezer::normalize_path("/a b/\xff"), "/a b/\xff");
}

TEST(Paths, that_are_refused)
{
    const std::string with_nul("/a\0b", 4);
    for (const std::string &bad : {std::string(), std::string(".."), std::string("/a/../b"),
                                   std::string("/a/.."), std::string("../a"), with_nul}) {
        const auto path = freezer::normalize_path(bad);
        ASSERT_FALSE(path) << bad;
        EXPECT_EQ(path.error().kind, freezer::ErrorKind::kInvalid);
    }
}

TEST(KeyedFiles, unknown_keys_and_forms)
{
    const auto keys = freezer::parse_keyed("populated 1\nfrozen 0\nnew 18446744073709551615\n"
                                           "two words 3\nempty\nnegative -1\n");
    EXPECT_EQ(keys.at("populated"), 1U);
    EXPECT_EQ(keys.at("frozen"), 0U);
    EXPECT_EQ(keys.at("new"), 18446744073709551615U);
    EXPECT_FALSE(keys.contains("two"));
    EXPECT_FALSE(keys.contains("empty"));
    EXPECT_FALSE(keys.contains("negative"));
}

TEST(Numbers, whole_texts_only)
{
    EXPECT_EQ(freezer::parse_number("42\n"), 42U);
    EXPECT_EQ(freezer::parse_number("0"), 0U);
    for (const char *bad : {"", "\n", "-1", "+1", "1x", "0x1", " 1", "18446744073709551616"})
        EXPECT_FALSE(freezer::parse_number(bad)) << bad;
}

TEST(States, of_every_reading)
{
    using freezer::Reading;
    using freezer::State;
    struct Case {
        bool self;
        bool frozen;
        bool ancestor;
        State state;
    };
    for (const Case &c :
         {Case{false, false, false, State::kThawed},
          Case{false, false, true, State::kFreezingByParent},
          Case{false, true, false, State::kFrozenByParent},
          Case{false, true, true, State::kFrozenByParent},
          Case{true, false, false, State::kFreezing}, Case{true, false, true, State::kFreezing},
          Case{true, true, false, State::kFrozen}, Case{true, true, true, State::kFrozen}}) {
        Reading reading;
        reading.self_freezing = c.self;
        reading.frozen = c.frozen;
        const State state = freezer::state_of(reading, c.ancestor);
        EXPECT_EQ(state, c.state) << c.self << c.frozen << c.ancestor << " " << to_string(state);
    }
}

} // namespace
