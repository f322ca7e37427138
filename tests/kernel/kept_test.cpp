// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// What a cgroup keeps open of those below it (Cgroup::keep_below()), and that a look at them sees
// all the same what has changed there.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <filesystem>
#include <iterator>

#include "tests/support/operations.h"
#include "user/cgroup.h"

namespace
{

using freezer::Cgroup;
using test::Scratch;

class Kept : public test::WithoutBpfTest
{
  protected:
    std::unique_ptr<Cgroup> open(const Scratch &scratch)
    {
        auto cgroup = freezer().resolver().by_path(scratch.path());
        return cgroup ? std::move(*cgroup) : nullptr;
    }

    // Asks for a freeze and returns when the cgroup's own file calls it frozen.
    static void freeze(Cgroup &cgroup, const Scratch &scratch)
    {
        ASSERT_TRUE(cgroup.request_freeze(true));
        ASSERT_TRUE(test::eventually([&] { return scratch.event("frozen") == 1; }));
    }

    static freezer::Reading read(Cgroup &cgroup)
    {
        auto reading = cgroup.read();
        EXPECT_TRUE(reading) << reading.error().message;
        return reading ? std::move(*reading) : freezer::Reading();
    }

    static freezer::TreeSize size(Cgroup &cgroup)
    {
        const auto size = cgroup.size();
        EXPECT_TRUE(size) << size.error().message;
        return size ? *size : freezer::TreeSize();
    }

    static bool move(const Scratch &scratch, pid_t pid, const std::string &below)
    {
        return scratch.write("cgroup.procs", std::to_string(pid), below);
    }

    static std::ptrdiff_t descriptors()
    {
        const std::filesystem::directory_iterator all("/proc/self/fd");
        return std::distance(begin(all), end(all));
    }
};

TEST_F(Kept, two_descriptors_for_each_until_it_lets_go)
{
    Scratch scratch;
    scratch.mkdir("a/b");
    scratch.mkdir("c");
    const auto cgroup = open(scratch);
    ASSERT_TRUE(cgroup);
    const auto before = descriptors();
    EXPECT_EQ(size(*cgroup).cgroups, 4U);
    EXPECT_EQ(descriptors(), before) << "without being asked";

    cgroup->keep_below(3);
    for (int look = 0; look < 2; ++look) {
        EXPECT_EQ(size(*cgroup).cgroups, 4U);
        EXPECT_EQ(descriptors(), before + 6);
    }
    scratch.mkdir("d");
    EXPECT_EQ(size(*cgroup).cgroups, 5U);
    EXPECT_EQ(descriptors(), before) << "more than it may keep";

    cgroup->keep_below(4);
    EXPECT_EQ(size(*cgroup).cgroups, 5U);
    EXPECT_EQ(descriptors(), before + 8);
    cgroup->keep_below(0);
    EXPECT_EQ(descriptors(), before);
}

TEST_F(Kept, what_is_made_and_removed_is_seen)
{
    Scratch scratch;
    scratch.mkdir("a/b");
    scratch.spawn_sleeper("a/b");
    const auto cgroup = open(scratch);
    ASSERT_TRUE(cgroup);
    cgroup->keep_below(10);
    EXPECT_EQ(size(*cgroup).tasks, 1U);

    scratch.mkdir("a/c");
    scratch.spawn_sleeper("a/c");
    EXPECT_EQ(size(*cgroup).cgroups, 4U);
    EXPECT_EQ(size(*cgroup).tasks, 2U);

    // As many as before, and two of them have children now, one with tasks beside.
    scratch.mkdir("a/d");
    scratch.mkdir("a/e");
    EXPECT_EQ(size(*cgroup).cgroups, 6U);
    ASSERT_TRUE(scratch.rmdir("a/d"));
    ASSERT_TRUE(scratch.rmdir("a/e"));
    scratch.mkdir("a/f");
    scratch.mkdir("a/b/g");
    EXPECT_EQ(size(*cgroup).cgroups, 6U);
    const pid_t last = scratch.spawn_sleeper("a/f");
    EXPECT_EQ(size(*cgroup).tasks, 3U);
    EXPECT_TRUE(cgroup->verdict_takes_tasks()) << "of a/b, which has a child";

    freeze(*cgroup, scratch);
    EXPECT_EQ(read(*cgroup).cgroups, 6U);
    EXPECT_EQ(read(*cgroup).undecided.size(), 1U);

    // Tasks that move are seen without any of this.
    ASSERT_TRUE(move(scratch, last, "a"));
    EXPECT_EQ(read(*cgroup).undecided.size(), 2U);
    EXPECT_EQ(size(*cgroup).tasks, 3U);
}

TEST_F(Kept, a_removed_one_is_no_error)
{
    Scratch scratch;
    scratch.mkdir("a/b");
    const auto cgroup = open(scratch);
    ASSERT_TRUE(cgroup);
    cgroup->keep_below(10);
    EXPECT_EQ(size(*cgroup).cgroups, 3U);
    ASSERT_TRUE(scratch.rmdir("a/b"));
    EXPECT_EQ(size(*cgroup).cgroups, 2U);
    ASSERT_TRUE(scratch.rmdir("a"));
    EXPECT_EQ(size(*cgroup).cgroups, 1U);
    freeze(*cgroup, scratch);
    EXPECT_TRUE(read(*cgroup).frozen);
}

// The kernel marks the parent, whose own tasks are frozen, and only the child's file tells.
TEST_F(Kept, a_late_task_in_a_kept_one_is_seen)
{
    test::Straggler straggler; // before every cgroup: its page must outlive the blocked task
    if (!straggler.possible())
        GTEST_SKIP() << straggler.why();
    Scratch elsewhere;
    const pid_t late = straggler.spawn(elsewhere);
    const pid_t other = elsewhere.spawn_sleeper();
    Scratch scratch;
    scratch.mkdir("a");
    scratch.spawn_sleeper();
    scratch.spawn_sleeper("a");
    const auto cgroup = open(scratch);
    ASSERT_TRUE(cgroup);
    cgroup->keep_below(10);
    freeze(*cgroup, scratch);
    EXPECT_TRUE(test::eventually([&] { return read(*cgroup).frozen; }));

    ASSERT_TRUE(move(scratch, late, "a"));
    ASSERT_TRUE(move(scratch, other, ""));
    ASSERT_TRUE(test::eventually([&] { return scratch.event("frozen") == 1; }));
    EXPECT_TRUE(read(*cgroup).flagged);
    EXPECT_FALSE(read(*cgroup).frozen);
    straggler.release();
    EXPECT_TRUE(test::eventually([&] { return read(*cgroup).frozen; }));
}

TEST_F(Kept, more_children_than_descriptors)
{
    constexpr size_t kChildren = 60;
    Scratch scratch;
    for (size_t i = 0; i < kChildren; ++i)
        scratch.mkdir("c" + std::to_string(i));
    const auto cgroup = open(scratch);
    ASSERT_TRUE(cgroup);
    freeze(*cgroup, scratch);

    rlimit saved{};
    ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &saved), 0);
    rlimit tight = saved;
    tight.rlim_cur = static_cast<rlim_t>(descriptors()) + kChildren / 2;
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &tight), 0);
    const auto reading = cgroup->read();
    const auto counted = cgroup->size();
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &saved), 0);
    ASSERT_TRUE(reading) << reading.error().message;
    EXPECT_TRUE(reading->frozen);
    ASSERT_TRUE(counted) << counted.error().message;
    EXPECT_EQ(counted->cgroups, 1 + kChildren);
}

} // namespace
