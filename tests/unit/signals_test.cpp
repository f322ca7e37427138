// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// Names of signals, and what a process is going to do with one.
#include <gtest/gtest.h>

#include <csignal>

#include "user/signal_all.h"

namespace
{

using freezer::fate_of;
using freezer::SignalFate;
using freezer::SignalMasks;

TEST(SignalNames, are_parsed)
{
    EXPECT_EQ(*freezer::parse_signal("9"), SIGKILL);
    EXPECT_EQ(*freezer::parse_signal("term"), SIGTERM);
    EXPECT_EQ(*freezer::parse_signal("SIGUSR1"), SIGUSR1);
    EXPECT_EQ(*freezer::parse_signal("RTMIN+1"), SIGRTMIN + 1);
    EXPECT_EQ(*freezer::parse_signal("SIGRTMAX"), SIGRTMAX);
    for (const char *const bad : {"0", "65", "-1", "SIGFOO", "", "SIG", "9x", "RTMIN+99", "RTMIN+"})
        EXPECT_FALSE(freezer::parse_signal(bad)) << bad;
    EXPECT_EQ(freezer::signal_name(SIGTERM), "SIGTERM");
}

std::uint64_t bit(int signal)
{
    return 1ULL << (signal - 1);
}

TEST(SignalFates, follow_from_the_masks)
{
    SignalMasks masks;
    EXPECT_EQ(fate_of(SIGTERM, masks), SignalFate::kActs);
    EXPECT_EQ(fate_of(SIGCONT, masks), SignalFate::kIgnored); // by default
    masks.caught = bit(SIGCONT);
    EXPECT_EQ(fate_of(SIGCONT, masks), SignalFate::kActs);
    masks.ignored = bit(SIGTERM);
    EXPECT_EQ(fate_of(SIGTERM, masks), SignalFate::kIgnored);
    masks.blocked_by_all = bit(SIGTERM); // kept, though ignored
    EXPECT_EQ(fate_of(SIGTERM, masks), SignalFate::kBlocked);
    masks.pending = bit(SIGTERM);
    EXPECT_EQ(fate_of(SIGTERM, masks), SignalFate::kAlreadyPending);
    masks.pending = bit(SIGRTMIN); // these queue
    EXPECT_EQ(fate_of(SIGRTMIN, masks), SignalFate::kActs);
}

TEST(SignalFates, nothing_stands_in_the_way_of_kill_and_stop)
{
    const SignalMasks all{~0ULL, ~0ULL, ~0ULL, ~0ULL};
    EXPECT_EQ(fate_of(SIGKILL, all), SignalFate::kActs);
    EXPECT_EQ(fate_of(SIGSTOP, all), SignalFate::kActs);
}

} // namespace
