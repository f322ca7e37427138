// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// What is measured, and in which order.
//
// The contestants take turns, A B C A B C: what drifts, or disturbs for a while, hits all alike.
// Each scenario has two parts. The first takes the times, with nothing of BPF loaded but what the
// contestant whose turn it is brings along. The second, with fewer rounds, has a tracker of the
// benchmark's own beside, for the kernel's time of completion. It is not there in the first,
// because it would flatter freezerctl: a tracepoint that has a program already takes another one in
// 0.3 ms, one that lost its last program shortly before takes 12 ms and more.
#include "tools/bench/scenarios.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <memory>
#include <thread>

#include "tools/bench/process.h"
#include "tools/bench/workload.h"
#include "user/duration.h"
#include "user/resolve.h"
#include "user/tracker.h"

namespace bench
{
namespace
{

constexpr std::uint64_t kMillisecond = 1'000'000;
// The kernel holds back a notification of a file that it notified of less than some 10 ms ago.
constexpr std::uint64_t kQuietNs = 120 * kMillisecond;
// A thawed task takes its time to leave the refrigerator, which nothing waits for.
constexpr std::uint64_t kLeavingNs = 20'000;
constexpr std::uint64_t kChurnCycleNs = 5 * kMillisecond; // 200 a second
constexpr size_t kChurnCycles = 50;                       // in one turn

struct Shape {
    size_t rounds = 1;
    size_t cycles = 1;               // in one turn
    std::uint64_t pace_ns = 0;       // from the start of one cycle to the next, at the least
    bool quiet = true;               // rest before each freeze and each thaw
    bool others_rest_frozen = false; // workloads whose turn it is not would take CPU time
};

size_t rounds_for(const ScenarioOptions &options, size_t usual)
{
    return options.rounds.value_or(options.quick ? std::max<size_t>(usual / 10, 2) : usual);
}

// What the contestants act on: one workload for all, and one of its own for runc, which acts only
// on what it has made.
class Workloads
{
  public:
    explicit Workloads(std::unique_ptr<Workload> common) : common_(std::move(common)) {}

    // Containers, where they can be had; else plain processes, and that is noted.
    Workloads(const Lineup &lineup, size_t tasks, TaskKind kind, ScenarioResult &result)
    {
        common_ = container(lineup.crun, tasks, kind, result);
        runc_ = container(lineup.runc, tasks, kind, result);
        if (!common_) {
            common_ = make_processes(tasks, kind);
            result.notes.emplace_back("plain processes, not a container");
        }
    }

    // NULL: there is none that the contestant could act on.
    [[nodiscard]] const Workload *of(const Contestant &contestant) const
    {
        if (contestant.runtime.empty())
            return common_.get();
        if (contestant.runtime == "runc")
            return runc_.get();
        return common_->container() ? common_.get() : nullptr;
    }
    [[nodiscard]] std::vector<const Workload *> all() const
    {
        std::vector<const Workload *> out{common_.get()};
        if (runc_)
            out.push_back(runc_.get());
        return out;
    }

    static std::unique_ptr<Workload> container(const std::optional<RuntimeProgram> &runtime,
                                               size_t tasks, TaskKind kind, ScenarioResult &result)
    {
        if (!runtime)
            return nullptr;
        try {
            return std::make_unique<Workload>(tasks, *runtime, kind);
        } catch (const Failure &failure) {
            result.not_run.push_back({runtime->name, failure.what()});
            return nullptr;
        }
    }

  private:
    std::unique_ptr<Workload> common_;
    std::unique_ptr<Workload> runc_;
};

// When the kernel itself counted the last task.
class Observer
{
  public:
    explicit Observer(const std::vector<const Workload *> &workloads)
        : resolver_(need(freezer::Resolver::open())), tracker_(open_tracker(workloads))
    {
        std::uint32_t slot = 0;
        for (const Workload *const workload : workloads) {
            first_slot_[workload] = slot;
            for (const std::string &path : workload->paths()) {
                const auto cgroup = need(resolver_.by_path(path));
                need(tracker_.watch(slot++, *cgroup));
            }
        }
    }

    // nullopt: not since then.
    [[nodiscard]] std::optional<std::uint64_t> frozen_ns(const Workload &workload,
                                                         std::uint64_t since_ns) const
    {
        std::uint64_t last_ns = 0;
        for (size_t i = 0; i < workload.paths().size(); ++i) {
            const auto slot = first_slot_.at(&workload) + static_cast<std::uint32_t>(i);
            const std::uint64_t at_ns = tracker_.target(slot).frozen_ns;
            if (at_ns < since_ns)
                return std::nullopt;
            last_ns = std::max(last_ns, at_ns);
        }
        return last_ns;
    }

  private:
    static freezer::Tracker open_tracker(const std::vector<const Workload *> &workloads)
    {
        freezer::TrackerOptions options;
        options.max_targets = 0;
        for (const Workload *const workload : workloads)
            options.max_targets += static_cast<std::uint32_t>(workload->paths().size());
        return need(freezer::Tracker::open(options));
    }

    freezer::Resolver resolver_;
    freezer::Tracker tracker_;
    std::map<const Workload *, std::uint32_t> first_slot_;
};

// A contestant that takes part, with its results. A failure ends its part in the scenario, not the
// others'.
struct Entry {
    const Contestant *contestant;
    Row row;
};

template <typename Work> void attempt(Entry &entry, const Work &work)
{
    if (!entry.row.failure.empty())
        return;
    check_interrupt();
    try {
        work();
    } catch (const Interrupted &) {
        throw;
    } catch (const std::exception &error) {
        entry.row.failure = error.what();
    }
}

Entry make_entry(const Contestant &contestant)
{
    Entry entry{&contestant, {}};
    entry.row.contestant = contestant.name;
    entry.row.process = contestant.process;
    return entry;
}

void hand_over(std::vector<Entry> entries, ScenarioResult result, const Report &report)
{
    std::transform(entries.begin(), entries.end(), std::back_inserter(result.rows),
                   [](Entry &entry) { return std::move(entry.row); });
    report(std::move(result));
}

// `observer`: NULL while times are taken.
void take_turn(const Workload &workload, const Shape &shape, const Observer *observer, Entry &entry)
{
    Row &row = entry.row;
    const auto turn = entry.contestant->begin(workload);
    const std::uint64_t leaving_ns = workload.tasks() * kLeavingNs;
    // What the constructor of the turn, or the turn before, left for the kernel to do.
    rest(kQuietNs + leaving_ns);
    for (size_t cycle = 0; cycle < shape.cycles; ++cycle) {
        if (cycle > 0 && shape.quiet)
            rest(kQuietNs + leaving_ns);
        const Claim freeze = turn->freeze();
        const bool early = !workload.all_frozen();
        ++row.claims;
        row.early += early ? 1 : 0;
        if (shape.quiet)
            rest(kQuietNs);
        if (observer && !early) {
            if (const auto frozen_ns = observer->frozen_ns(workload, freeze.begin_ns))
                row.delay.add(freeze.told_ns - std::min(*frozen_ns, freeze.told_ns));
        }
        const Claim thaw = turn->thaw();
        if (!observer) {
            row.freeze.add(freeze.elapsed_ns());
            row.thaw.add(thaw.elapsed_ns());
            row.cycle.add(freeze.elapsed_ns() + thaw.elapsed_ns());
        }
        if (shape.pace_ns > 0)
            rest_until(freeze.begin_ns + shape.pace_ns);
    }
}

void measure_cycles(const Lineup &lineup, const Workloads &workloads, const Shape &shape,
                    ScenarioResult result, const Report &report)
{
    std::vector<Entry> entries;
    for (const Contestant &contestant : lineup.contestants) {
        if (workloads.of(contestant))
            entries.push_back(make_entry(contestant));
    }
    const auto all = workloads.all();
    const auto request_of_others = [&](const Workload &own, bool frozen) {
        for (const Workload *const other : all) {
            if (other != &own && shape.others_rest_frozen)
                other->request(frozen);
        }
    };
    for (const bool observed : {false, true}) {
        std::optional<Observer> observer;
        if (observed)
            observer.emplace(all);
        for (size_t round = 0; round < (observed ? (shape.rounds + 1) / 2 : shape.rounds);
             ++round) {
            for (Entry &entry : entries) {
                const Workload &workload = *workloads.of(*entry.contestant);
                request_of_others(workload, true);
                attempt(entry, [&] {
                    take_turn(workload, shape, observer ? &*observer : nullptr, entry);
                });
                if (!entry.row.failure.empty())
                    workload.request(false);
                request_of_others(workload, false);
            }
        }
    }
    // Apart from the rest, since what measures it takes its time.
    for (Entry &entry : entries) {
        attempt(entry, [&] {
            const auto turn = entry.contestant->begin(*workloads.of(*entry.contestant));
            entry.row.peak_memory_kib = turn->peak_memory_kib();
        });
    }
    hand_over(std::move(entries), std::move(result), report);
}

ScenarioResult make_result(const std::string &name, const std::string &title, size_t tasks)
{
    ScenarioResult result;
    result.name = name;
    result.title = title;
    result.tasks = tasks;
    return result;
}

void measure_containers(const Lineup &lineup, TaskKind kind, const Shape &shape,
                        ScenarioResult result, const Report &report)
{
    const Workloads workloads(lineup, result.tasks, kind, result);
    measure_cycles(lineup, workloads, shape, std::move(result), report);
}

void leave_out_runtimes(const Lineup &lineup, const std::string &reason, ScenarioResult &result)
{
    for (const Contestant &contestant : lineup.contestants) {
        if (!contestant.runtime.empty())
            result.not_run.push_back({contestant.name, reason});
    }
}

// ---- the scenarios
// -------------------------------------------------------------------------------

void run_quiet(const Lineup &lineup, const ScenarioOptions &options, const Report &report)
{
    Shape shape;
    shape.rounds = rounds_for(options, 60);
    measure_containers(
        lineup, TaskKind::kSleeps, shape,
        make_result("quiet", "10 tasks, 120 ms of rest before each freeze and thaw", 10), report);
}

void run_churn(const Lineup &lineup, const ScenarioOptions &options, const Report &report)
{
    Shape shape;
    shape.rounds = rounds_for(options, 10);
    shape.cycles = kChurnCycles;
    shape.pace_ns = kChurnCycleNs;
    shape.quiet = false;
    measure_containers(lineup, TaskKind::kSleeps, shape,
                       make_result("churn",
                                   "10 tasks, frozen and thawed without a rest, up to 200 times a "
                                   "second",
                                   10),
                       report);
}

void run_spin(const Lineup &lineup, const ScenarioOptions &options, const Report &report)
{
    const size_t tasks = size_t{2} * std::max(1U, std::thread::hardware_concurrency());
    Shape shape;
    shape.rounds = rounds_for(options, 30);
    shape.others_rest_frozen = true;
    measure_containers(
        lineup, TaskKind::kSpins, shape,
        make_result("spin", std::to_string(tasks) + " tasks that never sleep, two for each CPU",
                    tasks),
        report);
}

void run_tasks(const Lineup &lineup, const ScenarioOptions &options, const Report &report)
{
    struct Size {
        size_t tasks;
        size_t rounds;
        bool containers;
    };
    // A container of more is no workload that crun or runc is used for.
    constexpr Size kSizes[] = {
        {10, 30, true}, {1'000, 30, true}, {10'000, 20, false}, {50'000, 10, false}};
    for (const Size &size : kSizes) {
        if (options.quick && size.tasks > 10'000)
            continue;
        const RaisedLimits limits(size.tasks);
        Shape shape;
        shape.rounds = rounds_for(options, size.rounds);
        if (size.containers) {
            measure_containers(lineup, TaskKind::kSleeps, shape,
                               make_result("tasks",
                                           std::to_string(size.tasks) + " processes in one cgroup",
                                           size.tasks),
                               report);
            continue;
        }
        const Workloads workloads(make_threads(size.tasks));
        const size_t made = workloads.all().front()->tasks();
        ScenarioResult result =
            make_result("tasks", std::to_string(made) + " threads in one cgroup", made);
        if (made < size.tasks)
            result.notes.push_back("this machine has no room for " + std::to_string(size.tasks));
        leave_out_runtimes(lineup, "containers have up to 1,000 tasks here", result);
        measure_cycles(lineup, workloads, shape, std::move(result), report);
    }
}

// The lineup without one, and that is noted.
Lineup without(Lineup lineup, const std::string &name, const std::string &reason,
               ScenarioResult &result)
{
    const auto left_out = std::erase_if(
        lineup.contestants, [&](const Contestant &contestant) { return contestant.name == name; });
    if (left_out != 0)
        result.not_run.push_back({name, reason});
    return lineup;
}

void run_cgroups(const Lineup &lineup, const ScenarioOptions &options, const Report &report)
{
    struct Size {
        size_t cgroups;
        size_t rounds;
    };
    for (const Size &size : {Size{1'000, 20}, Size{10'000, 5}}) {
        const bool many = size.cgroups > 1'000;
        if (options.quick && many)
            continue;
        const RaisedLimits limits(size.cgroups);
        Shape shape;
        shape.rounds = rounds_for(options, size.rounds);
        ScenarioResult result = make_result("cgroups",
                                            std::to_string(size.cgroups) +
                                                " cgroups of one task each, in one command or call",
                                            size.cgroups);
        result.cgroups = size.cgroups;
        leave_out_runtimes(lineup, "one command acts on one container", result);
        Lineup present = lineup;
        if (many) {
            present =
                without(std::move(present), "mount",
                        "a file that is open in it takes two descriptors of its server", result);
            present =
                without(std::move(present), "shell", "one freeze takes half a minute", result);
        }
        const Workloads workloads(make_cgroups(size.cgroups));
        measure_cycles(present, workloads, shape, std::move(result), report);
    }
}

void run_depth(const Lineup &lineup, const ScenarioOptions &options, const Report &report)
{
    constexpr size_t kTasks = 1000;
    for (const size_t depth : {8, 64}) {
        Shape shape;
        shape.rounds = rounds_for(options, 20);
        ScenarioResult result =
            make_result("depth",
                        "1,000 processes in the lowest of " + std::to_string(depth) +
                            " cgroups, each below the one before",
                        kTasks);
        result.cgroups = depth;
        leave_out_runtimes(lineup, "a container has one cgroup here", result);
        const Workloads workloads(make_chain(depth, kTasks));
        measure_cycles(lineup, workloads, shape, std::move(result), report);
    }
}

void run_kill(const Lineup &lineup, const ScenarioOptions &options, const Report &report)
{
    constexpr size_t kTasks = 1000;
    ScenarioResult result =
        make_result("kill", "1,000 tasks, until the cgroup is empty and removed", kTasks);
    std::vector<Entry> entries;
    for (const Contestant &contestant : lineup.contestants) {
        if (contestant.kills)
            entries.push_back(make_entry(contestant));
    }
    const size_t rounds = rounds_for(options, 10);
    for (size_t round = 0; round < rounds; ++round) {
        for (Entry &entry : entries) {
            attempt(entry, [&] {
                // A new one each time. Those of crun are for all that have none of their own.
                const auto &runtime =
                    entry.contestant->runtime == "runc" ? lineup.runc : lineup.crun;
                const auto workload =
                    runtime ? std::make_unique<Workload>(kTasks, *runtime, TaskKind::kSleeps)
                            : make_processes(kTasks, TaskKind::kSleeps);
                const auto turn = entry.contestant->begin(*workload);
                rest(kQuietNs);
                const Claim claim = turn->kill();
                Row &row = entry.row;
                ++row.claims;
                row.early += workload->gone() ? 0 : 1;
                row.kill.add(claim.elapsed_ns());
            });
        }
    }
    hand_over(std::move(entries), std::move(result), report);
}

} // namespace

const std::vector<Scenario> &scenarios()
{
    static const std::vector<Scenario> all{
        {"quiet", "10 tasks, at rest before each freeze", run_quiet},
        {"churn", "10 tasks, frozen and thawed up to 200 times a second", run_churn},
        {"tasks", "10, 1,000, 10,000 and 50,000 tasks in one cgroup", run_tasks},
        {"cgroups", "1,000 and 10,000 cgroups of one task each", run_cgroups},
        {"depth", "1,000 tasks below 8 and 64 cgroups", run_depth},
        {"kill", "1,000 tasks, until empty and removed", run_kill},
        {"spin", "tasks that never sleep, two for each CPU", run_spin},
    };
    return all;
}

} // namespace bench
