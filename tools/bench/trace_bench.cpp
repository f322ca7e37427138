// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// What the BPF programs cost on a machine where nothing freezes: those of a trace of the whole
// machine, or (--attached) those that `freezerctl attach` pins. Rounds with the programs in place
// and rounds without them take turns, all on one CPU. Prints times; needs root.
//
// The load is two processes that pass a byte to and fro, so that the CPU does little else than
// switch tasks: `perf bench sched pipe` where perf is installed, and else a small one of this file
// that does the same. --load names another one.
#include <sched.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "user/duration.h"
#include "user/freezer.h"
#include "user/mounts.h"
#include "user/trace_session.h"
#include "user/tracker.h"

namespace
{

constexpr int kTrips = 40'000; // of a byte to the other process and back, in a round
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

bool run_quietly(const std::string &command)
{
    return std::system(("exec >/dev/null 2>&1; " + command).c_str()) == 0;
}

// False: there is no perf that runs here.
bool perf_load(int trips)
{
    return run_quietly("exec perf bench sched pipe --loop " + std::to_string(trips));
}

struct Load {
    std::string name;
    std::string unit;                   // what `units` counts
    int units = 1;                      // in a round
    std::function<bool(int units)> run; // false: it did not
    double start_up = 0;                // CPU seconds of a round that does nothing
};

// nullopt, and said, if it did not run.
std::optional<double> run_load(const Load &load, int units)
{
    const double before = cpu_seconds();
    if (load.run(units))
        return cpu_seconds() - before;
    complain("trace_bench", "the load did not run: " + load.name);
    return std::nullopt;
}

double median(std::vector<double> values)
{
    const auto middle = values.begin() + static_cast<long>(values.size() / 2);
    std::nth_element(values.begin(), middle, values.end());
    return *middle;
}

// One trip is two switches and two wake-ups.
std::optional<Load> pipe_load()
{
    Load load;
    const bool perf = perf_load(1);
    load.name = perf ? "perf bench sched pipe" : "a byte through two pipes";
    load.unit = "for a byte there and back";
    load.units = kTrips;
    load.run = perf ? perf_load : own_load;
    std::vector<double> start_ups; // perf is large
    for (int i = 0; i < 9; ++i) {
        const auto seconds = run_load(load, 1);
        if (!seconds)
            return std::nullopt;
        start_ups.push_back(*seconds);
    }
    load.start_up = median(start_ups);
    return load;
}

Load command_load(const std::string &command)
{
    Load load;
    load.name = command;
    load.unit = "for the command";
    load.run = [command](int) { return run_quietly(command); };
    return load;
}

// What is measured: the programs are in place while it lives.
class Programs
{
  public:
    Programs() = default;
    Programs(const Programs &) = delete;
    Programs &operator=(const Programs &) = delete;
    virtual ~Programs() = default;
    // Events that found no room.
    [[nodiscard]] virtual std::uint64_t lost() const = 0;
};

class TracePrograms final : public Programs
{
  public:
    explicit TracePrograms(freezer::TraceSession session) : session_(std::move(session)) {}
    // What `freezerctl trace` asks for when no cgroup is named.
    static freezer::Result<std::unique_ptr<Programs>> open()
    {
        const auto mounts = freezer::read_cgroup_mounts();
        if (!mounts)
            return mounts.error();
        const auto *const mount = freezer::find_mount(*mounts, freezer::Hierarchy::kV2);
        if (!mount)
            return freezer::Error{freezer::ErrorKind::kUnsupported, 0, "no cgroup2 is mounted"};
        freezer::TraceOptions options;
        options.only_freezing_life = true;
        auto session = freezer::TraceSession::open(*mount, {}, options);
        if (!session)
            return std::move(session).error();
        return std::unique_ptr<Programs>(new TracePrograms(std::move(*session)));
    }
    [[nodiscard]] std::uint64_t lost() const override { return freezer::total(session_.drops()); }

  private:
    freezer::TraceSession session_;
};

class TrackerPrograms final : public Programs
{
  public:
    explicit TrackerPrograms(freezer::Tracker tracker) : tracker_(std::move(tracker)) {}
    // What `freezerctl attach` pins.
    static freezer::Result<std::unique_ptr<Programs>> open()
    {
        freezer::TrackerOptions options;
        options.shared = true;
        auto tracker = freezer::Tracker::open(options);
        if (!tracker)
            return std::move(tracker).error();
        return std::unique_ptr<Programs>(new TrackerPrograms(std::move(*tracker)));
    }
    [[nodiscard]] std::uint64_t lost() const override { return tracker_.dropped(); }

  private:
    freezer::Tracker tracker_;
};

void print_times(const char *what, const Load &load, const std::vector<double> &seconds)
{
    const auto unit_us = [&](double round) { return round * 1e6 / load.units; };
    std::printf("  %-4s %10.3f us of CPU time %s (median of %zu), %10.3f us at best\n", what,
                unit_us(median(seconds)), load.unit.c_str(), seconds.size(),
                unit_us(*std::min_element(seconds.begin(), seconds.end())));
}

struct Options {
    bool attached = false;
    std::string load;
    int rounds = 40; // of each kind
};

bool bench(const Options &options)
{
    const auto cpu = pin();
    if (!cpu)
        return complain("trace_bench", "cannot stay on one CPU");
    const auto load = options.load.empty() ? pipe_load() : command_load(options.load);
    if (!load)
        return false;
    const char *const what = options.attached ? "the attached tracker" : "the trace";
    std::vector<double> off;
    std::vector<double> on;
    std::vector<double> ratios;
    std::uint64_t lost = 0;
    for (int i = 0; i < 2 * options.rounds; ++i) {
        // off on, on off: what drifts in one direction counts for both alike.
        const bool is_on = i % 4 == 1 || i % 4 == 2;
        std::unique_ptr<Programs> programs;
        if (is_on) {
            auto opened = options.attached ? TrackerPrograms::open() : TracePrograms::open();
            if (!opened)
                return complain(what, opened.error().message);
            programs = std::move(*opened);
        }
        const auto seconds = run_load(*load, load->units);
        if (!seconds)
            return false;
        if (programs)
            lost += programs->lost();
        (is_on ? on : off).push_back(*seconds - load->start_up);
        if (i % 2 == 1)
            ratios.push_back(on.back() / off.back());
    }
    std::printf("%s on CPU %d, %d rounds each without and with %s, in turns\n", load->name.c_str(),
                *cpu, options.rounds, what);
    print_times("off", *load, off);
    print_times("on", *load, on);
    if (lost > 0)
        std::printf("  %llu events were lost: something froze meanwhile\n",
                    static_cast<unsigned long long>(lost));
    const double cost = (median(ratios) - 1) * 100;
    std::printf("%s costs %.1f %% of that CPU (median of the ratios of neighbours: %.3f); aim: at "
                "most %.0f %%\n",
                what, cost, median(ratios), kAimPercent);
    return true;
}

int run(int argc, char **argv)
{
    CLI::App app{"What the BPF programs cost where nothing freezes.", "trace_bench"};
    Options options;
    app.add_flag("--attached", options.attached, "those of 'freezerctl attach', not of the trace");
    app.add_option("--load", options.load, "a command for sh(1) that takes a second or so, instead")
        ->type_name("COMMAND");
    app.add_option("--rounds", options.rounds, "with and without each")
        ->check(CLI::PositiveNumber)
        ->capture_default_str();
    CLI11_PARSE(app, argc, argv);
    return bench(options) ? EXIT_SUCCESS : EXIT_FAILURE;
}

} // namespace

int main(int argc, char **argv)
{
    try {
        return run(argc, argv);
    } catch (const std::exception &error) {
        complain("trace_bench", error.what());
        return EXIT_FAILURE;
    }
}
