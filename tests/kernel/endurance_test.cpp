// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// The same many times, with many tasks, and with too little room.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <map>
#include <set>
#include <sstream>
#include <thread>

#include "tests/support/operations.h"
#include "user/tracker.h"

namespace
{

using freezer::Outcome;
using test::Counters;
using test::listing;
using test::Scratch;

class Endurance : public test::OperationsTest
{
};

class Verdicts : public test::BothWaysTest
{
};

// Every task counts once in each freeze, in events that this reads by itself.
class Arrivals
{
  public:
    void apply(const fz_event &event)
    {
        if (event.kind == FZ_EV_FREEZE)
            requests_.push_back(event.time_ns);
        else if (event.kind == FZ_EV_ARRIVED)
            arrivals_.emplace_back(event.time_ns, event.task.tid);
    }
    [[nodiscard]] size_t requests() const { return requests_.size(); }
    [[nodiscard]] size_t size() const { return arrivals_.size(); }
    void expect_once_each() const
    {
        std::map<std::pair<size_t, std::uint32_t>, int> seen;
        for (const auto &[at_ns, tid] : arrivals_) {
            // By time, since CPUs may put their events into the ring buffer the other way round.
            const auto next = std::upper_bound(requests_.begin(), requests_.end(), at_ns);
            ASSERT_NE(next, requests_.begin()) << "before any request";
            const auto generation = static_cast<size_t>(next - requests_.begin());
            EXPECT_EQ(++(seen[{generation, tid}]), 1) << tid << " twice in freeze " << generation;
        }
    }

  private:
    std::vector<std::uint64_t> requests_;
    std::vector<std::pair<std::uint64_t, std::uint32_t>> arrivals_;
};

// Fills the cgroup with about `n` tasks of every temper: asleep, napping, spinning, in processes of
// their own and as threads.
void populate(Scratch &scratch, Counters &counters, size_t n)
{
    constexpr size_t kThreads = 25;
    size_t made = 0;
    for (size_t i = 0; i < 2; ++i, ++made)
        scratch.spawn_spinner(counters, made);
    while (made + kThreads <= n / 2) {
        const size_t first = made;
        scratch.spawn([&counters, first] {
            const auto nap = [&counters](size_t i) {
                for (;;) {
                    counters[i].fetch_add(1, std::memory_order_relaxed);
                    ::usleep(static_cast<useconds_t>(20'000 + i * 50));
                }
            };
            for (size_t i = 1; i < kThreads; ++i)
                std::thread(nap, first + i).detach();
            nap(first);
        });
        made += kThreads;
    }
    for (; made < n; ++made) {
        if (made % 2 == 0)
            scratch.spawn_sleeper();
        else
            scratch.spawn_napper(counters, made, 20 + static_cast<int>(made % 50));
    }
    ASSERT_TRUE(test::eventually([&] { return scratch.threads().size() == n; }));
}

TEST_F(Endurance, two_hundred_freezes_of_a_thousand_tasks)
{
    const size_t tasks = test::scaled(1000, 50);
    Scratch scratch;
    Counters counters(tasks);
    populate(scratch, counters, tasks);

    // Beside the library's own tracker, to see each event as it comes.
    freezer::TrackerOptions options;
    options.task_events = true;
    options.ring_bytes = 4 * 1024 * 1024;
    auto observer = freezer::Tracker::open(options);
    ASSERT_TRUE(observer) << observer.error().message;
    const auto target = targets({scratch.path()});
    ASSERT_TRUE(observer->watch(0, *target.front().cgroup));
    Arrivals arrivals;

    const size_t rounds = test::scaled(200, 6);
    for (size_t round = 0; round < rounds; ++round) {
        SCOPED_TRACE(round);
        const auto report = freeze(scratch.path(), listing());
        const auto before = counters.values();
        expect_true_account(report, scratch);
        EXPECT_EQ(report.tasks, tasks);
        EXPECT_EQ(counters.values(), before);
        ASSERT_EQ(thaw(scratch.path()).outcome, Outcome::kReached);
        observer->drain([&](const fz_event &event) { arrivals.apply(event); });
        if (HasFailure())
            return; // a thousand lines are enough
    }
    EXPECT_EQ(arrivals.requests(), rounds);
    EXPECT_EQ(observer->dropped(), 0U);
    EXPECT_GE(arrivals.size(), tasks); // at the least the first freeze's
    const auto counts = observer->counts(0);
    ASSERT_TRUE(counts);
    EXPECT_GE(counts->arrived, arrivals.size());
    arrivals.expect_once_each();
}

TEST_F(Endurance, back_to_back_freezes_count_nobody_twice)
{
    Scratch scratch;
    Counters counters(8);
    for (size_t i = 0; i < counters.size(); ++i)
        scratch.spawn_napper(counters, i, 0);
    freezer::TrackerOptions options;
    options.task_events = true;
    options.ring_bytes = 1024 * 1024;
    auto observer = freezer::Tracker::open(options);
    ASSERT_TRUE(observer) << observer.error().message;
    const auto target = targets({scratch.path()});
    ASSERT_TRUE(observer->watch(0, *target.front().cgroup));
    Arrivals arrivals;
    // Written by hand, without waiting for anything: tasks still leave one refrigerator when the
    // next is asked for.
    for (size_t round = 0; round < test::scaled(10'000, 20); ++round) {
        ASSERT_TRUE(scratch.write("cgroup.freeze", "1"));
        ASSERT_TRUE(scratch.write("cgroup.freeze", "0"));
        if (round % 16 == 0)
            observer->drain([&](const fz_event &event) { arrivals.apply(event); });
    }
    observer->drain([&](const fz_event &event) { arrivals.apply(event); });
    EXPECT_EQ(observer->dropped(), 0U);
    arrivals.expect_once_each();
}

TEST_P(Verdicts, ten_thousand)
{
    Scratch scratch;
    for (int i = 0; i < 3; ++i)
        scratch.spawn_sleeper();
    auto target = targets({scratch.path()});
    const auto options = test::freeze_options();
    // Every loop of the way without BPF waits for a rate-limited notification.
    const size_t rounds = uses_bpf() ? test::scaled(10'000, 100) : test::scaled(300, 20);
    for (size_t round = 0; round < rounds; ++round) {
        const auto frozen = freezer().freeze(target, options);
        ASSERT_TRUE(frozen);
        ASSERT_EQ(frozen->front().outcome, Outcome::kReached) << round;
        ASSERT_EQ(scratch.event("frozen"), 1) << round;
        ASSERT_EQ(frozen->front().dropped_events, 0U) << round;
        const auto thawed = freezer().thaw(target, options);
        ASSERT_TRUE(thawed);
        ASSERT_EQ(thawed->front().outcome, Outcome::kReached) << round;
        ASSERT_EQ(scratch.event("frozen"), 0) << round;
    }
}

INSTANTIATE_TEST_SUITE_P(Ways, Verdicts, ::testing::Bool(), test::name_of_way);

TEST_F(Endurance, a_ring_buffer_too_small_loses_events_and_no_verdict)
{
    open_with_ring(4096);
    Scratch scratch;
    // More than a page of any size holds (64 KiB: 910 events).
    const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
    const size_t tasks = page / 64 + 100;
    for (size_t i = 0; i < tasks; ++i)
        scratch.spawn_sleeper();
    for (int round = 0; round < 3; ++round) {
        const auto report = freeze(scratch.path(), listing());
        // The records know what the events do not: the account is whole all the same.
        expect_true_account(report, scratch, "", false);
        EXPECT_GT(report.dropped_events, 0U);
        ASSERT_EQ(thaw(scratch.path()).outcome, Outcome::kReached);
        EXPECT_EQ(scratch.event("frozen"), 0);
    }
}

// Each request makes two events. They are read while the others are made.
TEST_F(Endurance, a_ring_buffer_is_large_enough_for_the_requests_of_many_targets)
{
    open_with_ring(4096);
    Scratch scratch;
    std::vector<std::string> paths;
    const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
    for (size_t i = 0; i < page / 64 + 100; ++i) {
        const std::string below = "t" + std::to_string(i);
        scratch.mkdir(below);
        paths.push_back(scratch.path(below));
    }
    auto opened = targets(paths);
    const auto frozen = freezer().freeze(opened, test::freeze_options());
    ASSERT_TRUE(frozen) << frozen.error().message;
    const auto thawed = freezer().thaw(opened, test::freeze_options());
    ASSERT_TRUE(thawed) << thawed.error().message;
    for (const auto *const reports : {&*frozen, &*thawed}) {
        for (const freezer::TargetReport &report : *reports) {
            EXPECT_EQ(report.outcome, Outcome::kReached) << report.target;
            EXPECT_EQ(report.dropped_events, 0U) << report.target;
            EXPECT_TRUE(report.complete) << report.target;
        }
    }
}

TEST_F(Endurance, a_ring_buffer_too_small_in_a_storm_of_forks)
{
    open_with_ring(4096);
    Scratch scratch;
    Counters counters(4);
    for (size_t worker = 0; worker < counters.size(); ++worker) {
        scratch.spawn([&counters, worker] {
            for (;;) {
                const pid_t child = ::fork();
                if (child == 0)
                    ::_exit(0);
                counters[worker].fetch_add(1);
                ::waitpid(child, nullptr, 0);
            }
        });
    }
    const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
    for (size_t i = 0; i < page / 64 + 100; ++i)
        scratch.spawn_sleeper();
    for (size_t round = 0; round < test::scaled(20); ++round) {
        const auto report = freeze(scratch.path(), listing());
        expect_true_account(report, scratch, "", false);
        EXPECT_GT(report.dropped_events, 0U);
        test::expect_still(counters);
        ASSERT_EQ(thaw(scratch.path()).outcome, Outcome::kReached);
        EXPECT_EQ(scratch.event("frozen"), 0);
        test::expect_moving(counters);
        if (HasFailure())
            return;
    }
    EXPECT_EQ(kill(scratch.path()).outcome, Outcome::kReached);
    EXPECT_EQ(scratch.event("populated"), 0);
}

// The ids of the BPF programs that this process holds open.
std::set<std::string> loaded_programs()
{
    std::set<std::string> out;
    for (const auto &file : std::filesystem::directory_iterator("/proc/self/fdinfo")) {
        std::istringstream lines(test::read_file(file.path()));
        for (std::string line; std::getline(lines, line);) {
            if (line.starts_with("prog_id:"))
                out.insert(line);
        }
    }
    return out;
}

TEST_F(Endurance, a_look_again_loads_nothing_again)
{
    Scratch scratch;
    scratch.mkdir("a");
    scratch.mkdir("b");
    scratch.spawn_sleeper("a");
    scratch.spawn_sleeper("b");
    const auto look = [&](const std::string &path) {
        auto named = targets({path});
        const auto status = freezer().status(*named.front().cgroup, true);
        ASSERT_TRUE(status) << status.error().message;
        ASSERT_EQ(status->size(), 1U);
        ASSERT_TRUE(status->front().entries);
        EXPECT_EQ(status->front().entries->size(), 1U);
    };
    look(scratch.path("a"));
    // Of v1 cgroups as well, for which a look at one of v2 loads nothing.
    ASSERT_TRUE(freezer().frozen_cgroups(true));
    const auto loaded = loaded_programs();
    EXPECT_FALSE(loaded.empty());
    look(scratch.path("b"));
    look(scratch.path("a"));
    ASSERT_TRUE(freezer().frozen_cgroups(true));
    EXPECT_EQ(loaded_programs(), loaded);
}

} // namespace
