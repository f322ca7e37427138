// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// How long it takes to explain a large cgroup: 10,000 tasks in it, 2,000 outside. Prints times;
// needs root. Its processes are in cgroups of its own and end with it.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>
#include <vector>

#include "tests/support/scratch.h"
#include "user/duration.h"
#include "user/freezer.h"

namespace
{

constexpr int kInside = 10'000;
constexpr int kOutside = 2'000;
constexpr int kRounds = 5;

// A new Freezer for each round: what a command pays that does only this.
bool measure(const test::Scratch &scratch, const char *what)
{
    std::vector<std::uint64_t> times;
    const std::clock_t cpu = std::clock();
    std::string sentence;
    freezer::WhyReport report;
    for (int round = 0; round < kRounds; ++round) {
        const std::uint64_t begin_ns = freezer::now_ns();
        auto opened = freezer::Freezer::open({});
        if (!opened) {
            std::fprintf(stderr, "%s\n", opened.error().message.c_str());
            return false;
        }
        auto cgroup = opened->resolver().by_path(scratch.path());
        if (!cgroup) {
            std::fprintf(stderr, "%s\n", cgroup.error().message.c_str());
            return false;
        }
        auto explained = opened->why(**cgroup, freezer::WhyReport::Purpose::kState);
        if (!explained) {
            std::fprintf(stderr, "%s\n", explained.error().message.c_str());
            return false;
        }
        times.push_back(freezer::now_ns() - begin_ns);
        report = std::move(*explained);
    }
    std::sort(times.begin(), times.end());
    const auto cpu_ns =
        static_cast<std::uint64_t>(std::clock() - cpu) * (1'000'000'000 / CLOCKS_PER_SEC) / kRounds;
    std::printf("%-34s %s (least), %s (median), %s of CPU time, %u looks, %s\n", what,
                freezer::format_duration(times.front()).c_str(),
                freezer::format_duration(times[times.size() / 2]).c_str(),
                freezer::format_duration(cpu_ns).c_str(), report.looks,
                report.bpf ? "bpf" : "no bpf");
    std::printf("  %s\n", sentence_of(report).c_str());
    return true;
}

} // namespace

int main()
{
    test::Scratch inside;
    test::Scratch outside;
    for (int i = 0; i < kInside; ++i)
        inside.spawn_sleeper();
    for (int i = 0; i < kOutside; ++i)
        outside.spawn_sleeper();
    std::printf("%d tasks in the cgroup, %d outside\n", kInside, kOutside);
    bool done = measure(inside, "thawed, nothing holds it up:");
    test::Straggler straggler;
    if (straggler.possible()) {
        straggler.spawn(inside);
        done = done && measure(inside, "thawed, one would hold it up:");
        inside.write("cgroup.freeze", "1");
        done = done && measure(inside, "freezing, one holds it up:");
        inside.write("cgroup.freeze", "0");
    }
    return done ? EXIT_SUCCESS : EXIT_FAILURE;
}
