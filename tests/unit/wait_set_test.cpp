// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include <gtest/gtest.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <string>

#include "user/duration.h"
#include "user/wait_set.h"

namespace
{

using freezer::later;
using freezer::now_ns;
using freezer::UniqueFd;
using freezer::WaitSet;

constexpr std::uint64_t kMillisecond = 1'000'000;

// A file of its own, which it changes.
class Changing
{
  public:
    Changing()
    {
        const UniqueFd fd(::mkstemp(path_.data()));
        EXPECT_TRUE(fd);
    }
    Changing(const Changing &) = delete;
    Changing &operator=(const Changing &) = delete;
    ~Changing() { ::unlink(path_.c_str()); }

    void change() const { std::ofstream(path_) << "changed" << std::flush; }
    [[nodiscard]] freezer::WatchPath path() const { return {path_, ""}; }

  private:
    std::string path_ = "/tmp/freezerctl-wait-set-XXXXXX";
};

std::vector<std::uint64_t> tokens_of(freezer::Result<std::vector<WaitSet::Wake>> wakes,
                                     WaitSet::Source source)
{
    std::vector<std::uint64_t> tokens;
    if (!wakes) {
        ADD_FAILURE() << wakes.error().message;
        return tokens;
    }
    for (const WaitSet::Wake &wake : *wakes) {
        EXPECT_EQ(wake.source, source);
        tokens.push_back(wake.token);
    }
    return tokens;
}

using Tokens = std::vector<std::uint64_t>;

TEST(WaitSets, a_deadline_is_told_of_when_it_has_passed_and_not_before)
{
    auto set = WaitSet::open();
    ASSERT_TRUE(set);
    const std::uint64_t at_ns = now_ns() + 20 * kMillisecond;
    set->set_deadline(at_ns);
    EXPECT_EQ(tokens_of(set->wait(), WaitSet::Source::kDeadline), Tokens{0});
    EXPECT_GE(now_ns(), at_ns);
    EXPECT_EQ(tokens_of(set->poll(), WaitSet::Source::kDeadline), Tokens{0}); // it stays
}

TEST(WaitSets, what_is_there_before_the_deadline)
{
    auto set = WaitSet::open();
    const UniqueFd event(::eventfd(1, EFD_CLOEXEC));
    ASSERT_TRUE(set && event && set->add(event.get(), EPOLLIN, 7));
    // Further away than epoll_wait(2) can be told.
    set->set_deadline(later(now_ns(), ~0ULL));
    EXPECT_EQ(tokens_of(set->wait(), WaitSet::Source::kDescriptor), Tokens{7});
    eventfd_t value = 0;
    ASSERT_EQ(::eventfd_read(event.get(), &value), 0);
    EXPECT_EQ(tokens_of(set->wait_at_most(1), WaitSet::Source::kDescriptor), Tokens());
}

TEST(WaitSets, one_goes_on_with_the_inotify_instance_of_another)
{
    const Changing file;
    const Changing other;
    auto first = WaitSet::open();
    ASSERT_TRUE(first);
    ASSERT_TRUE(first->watch(file.path(), 1));
    ASSERT_TRUE(first->watch(file.path(), 2));
    ASSERT_TRUE(first->watch(other.path(), 3));
    file.change();
    EXPECT_EQ(tokens_of(first->wait(), WaitSet::Source::kChange), (Tokens{1, 2}));
    other.change(); // that nobody has heard of yet
    UniqueFd inotify = first->take_inotify();
    const int fd = inotify.get();
    ASSERT_GE(fd, 0);
    file.change();
    EXPECT_EQ(tokens_of(first->poll(), WaitSet::Source::kChange), Tokens());

    auto second = WaitSet::open(std::move(inotify));
    ASSERT_TRUE(second);
    ASSERT_TRUE(second->watch(other.path(), 4));
    file.change(); // of the first set's alone
    EXPECT_EQ(tokens_of(second->poll(), WaitSet::Source::kChange), Tokens());
    other.change();
    EXPECT_EQ(tokens_of(second->wait(), WaitSet::Source::kChange), Tokens{4});
    EXPECT_EQ(second->take_inotify().get(), fd);
}

TEST(WaitSets, one_without_a_watch_has_no_inotify_instance)
{
    auto set = WaitSet::open();
    ASSERT_TRUE(set);
    EXPECT_FALSE(set->take_inotify());
}

} // namespace
