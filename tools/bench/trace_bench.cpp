// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// What tracing costs on a machine where nothing freezes: two processes on one CPU pass a byte to
// and fro, so that it does little else than switch tasks. Rounds with the trace of the whole
// machine in place and rounds without it take turns. Prints times; needs root.
//
// The load is `perf bench sched pipe` where perf is installed, and else a small one of this file
// that does the same.
#include <sched.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <vector>

#include "user/duration.h"
#include "user/freezer.h"
#include "user/mounts.h"
#include "user/trace_session.h"

namespace
{

constexpr int kTrips = 40'000; // of a byte to the other process and back, in a round
constexpr int kRounds = 40;    // of each kind
constexpr double kAimPercent = 5;

bool complain(const char *what, const std::string &why)
{
    std::fprintf(stderr, "%s: %s\n", what, why.c_str());
    return false;
}

// On the last CPU that this process may use, with all its children.
std::optional<int> pin()
{
    cpu_set_t allowed;
    if (::sched_getaffinity(0, sizeof(allowed), &allowed) != 0)
        return std::nullopt;
    int cpu = CPU_SETSIZE - 1;
    while (cpu > 0 && !CPU_ISSET(cpu, &allowed))
        --cpu;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    if (::sched_setaffinity(0, sizeof(one), &one) != 0)
        return std::nullopt;
    // Ahead of other programs, which would leave their traces in its caches.
    (void)::setpriority(PRIO_PROCESS, 0, -20);
    return cpu;
}

bool take(int from)
{
    char byte = 0;
    return ::read(from, &byte, 1) == 1;
}

bool pass(int from, int to)
{
    const char byte = 0;
    return take(from) && ::write(to, &byte, 1) == 1;
}

// Of this process and its children that have ended.
double cpu_seconds()
{
    double sum = 0;
    for (const auto who : {RUSAGE_SELF, RUSAGE_CHILDREN}) {
        rusage usage{};
        if (::getrusage(who, &usage) != 0)
            continue;
        for (const timeval &time : {usage.ru_utime, usage.ru_stime})
            sum += static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
    }
    return sum;
}

bool own_load(int trips)
{
    std::array<int, 2> there{};
    std::array<int, 2> back{};
    if (::pipe(there.data()) != 0)
        return false;
    if (::pipe(back.data()) != 0) {
        ::close(there[0]);
        ::close(there[1]);
        return false;
    }
    const pid_t child = ::fork();
    if (child == 0) {
        ::close(there[1]);
        while (pass(there[0], back[1])) {
        }
        ::_exit(0);
    }
    ::close(there[0]);
    ::close(back[1]);
    bool done = child > 0;
    for (int i = 0; done && i < trips; ++i) {
        const char byte = 0;
        done = ::write(there[1], &byte, 1) == 1 && take(back[0]);
    }
    ::close(there[1]);
    ::close(back[0]);
    if (child > 0)
        ::waitpid(child, nullptr, 0);
    return done;
}

// False: there is no perf that runs here.
bool perf_load(int trips)
{
    const std::string command =
        "exec perf bench sched pipe --loop " + std::to_string(trips) + " >/dev/null 2>&1";
    return std::system(command.c_str()) == 0;
}

// nullopt, and said, if it did not run.
std::optional<double> run_load(bool perf, int trips)
{
    const double before = cpu_seconds();
    if (perf ? perf_load(trips) : own_load(trips))
        return cpu_seconds() - before;
    complain("trace_bench", "the load did not run");
    return std::nullopt;
}

double median(std::vector<double> values)
{
    const auto middle = values.begin() + static_cast<long>(values.size() / 2);
    std::nth_element(values.begin(), middle, values.end());
    return *middle;
}

// One trip is two switches and two wake-ups.
void print_times(const char *what, const std::vector<double> &seconds)
{
    const auto trip_us = [](double round) { return round * 1e6 / kTrips; };
    std::printf("  %-10s %6.3f us of CPU time for a byte there and back (median of %zu), %6.3f us "
                "at best\n",
                what, trip_us(median(seconds)), seconds.size(),
                trip_us(*std::min_element(seconds.begin(), seconds.end())));
}

bool bench()
{
    const auto mounts = freezer::read_cgroup_mounts();
    if (!mounts)
        return complain("trace_bench", mounts.error().message);
    const auto *const mount = freezer::find_mount(*mounts, freezer::Hierarchy::kV2);
    if (!mount)
        return complain("trace_bench", "no cgroup2 is mounted");
    const auto cpu = pin();
    if (!cpu)
        return complain("trace_bench", "cannot stay on one CPU");

    // What `freezerctl trace` asks for when no cgroup is named.
    freezer::TraceOptions options;
    options.only_freezing_life = true;
    const bool perf = perf_load(1);
    std::vector<double> start_ups;
    for (int i = 0; i < 9; ++i) {
        const auto seconds = run_load(perf, 1);
        if (!seconds)
            return false;
        start_ups.push_back(*seconds);
    }
    const double start_up = median(start_ups); // perf is large
    std::vector<double> off;
    std::vector<double> on;
    std::vector<double> ratios;
    std::uint64_t lost = 0;
    for (int i = 0; i < 2 * kRounds; ++i) {
        // off on, on off: what drifts in one direction counts for both alike.
        const bool traced = i % 4 == 1 || i % 4 == 2;
        std::optional<freezer::TraceSession> session;
        if (traced) {
            auto opened = freezer::TraceSession::open(*mount, {}, options);
            if (!opened)
                return complain("trace", opened.error().message);
            session.emplace(std::move(*opened));
        }
        const auto seconds = run_load(perf, kTrips);
        if (!seconds)
            return false;
        if (session)
            lost += freezer::total(session->drops());
        (traced ? on : off).push_back(*seconds - start_up);
        if (i % 2 == 1)
            ratios.push_back(on.back() / off.back());
    }
    std::printf("%s on CPU %d, %d times %d trips each, in turns\n",
                perf ? "perf bench sched pipe" : "a byte through two pipes", *cpu, kRounds, kTrips);
    print_times("trace off", off);
    print_times("trace on", on);
    if (lost > 0)
        std::printf("  %llu events were lost: something froze meanwhile\n",
                    static_cast<unsigned long long>(lost));
    const double cost = (median(ratios) - 1) * 100;
    std::printf("tracing costs %.1f %% of a CPU that only switches tasks (median of the ratios of "
                "neighbours: %.3f); aim: at most %.0f %%\n",
                cost, median(ratios), kAimPercent);
    return true;
}

} // namespace

int main()
{
    return bench() ? EXIT_SUCCESS : EXIT_FAILURE;
}
