// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// What was measured, as values: scenarios fill it in, reports and plots read it.
#ifndef FREEZERCTL_BENCH_STATISTICS_H
#define FREEZERCTL_BENCH_STATISTICS_H

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace bench
{

// Times in nanoseconds.
class Samples
{
  public:
    void add(std::uint64_t ns) { ns_.push_back(ns); }
    [[nodiscard]] bool empty() const { return ns_.empty(); }
    [[nodiscard]] size_t size() const { return ns_.size(); }
    // Ascending.
    [[nodiscard]] std::vector<std::uint64_t> sorted() const;
    // Nearest rank (0 < p <= 100); nullopt of none.
    [[nodiscard]] std::optional<std::uint64_t> percentile(double p) const;

  private:
    std::vector<std::uint64_t> ns_;
};

// One contestant in one scenario.
struct Row {
    std::string contestant;
    bool process = false; // a program that is run, not a call in the benchmark
    Samples freeze;       // from the start to the claim that it is done
    Samples thaw;
    Samples cycle; // a freeze and the thaw after it, without the rest between
    Samples kill;  // until empty and removed
    Samples delay; // from the kernel's own time of completion to a claim that was true
    std::uint64_t claims = 0;
    std::uint64_t early = 0;  // of these, made when the kernel's file said otherwise
    long peak_memory_kib = 0; // of a process
    std::string failure;      // why it did not end its rounds
};

struct NotRun {
    std::string contestant;
    std::string reason;
};

struct ScenarioResult {
    std::string name;
    std::string title; // for people: what was done
    std::size_t tasks = 0;
    std::size_t cgroups = 1;
    std::vector<Row> rows;
    std::vector<NotRun> not_run;
    std::vector<std::string> notes;

    [[nodiscard]] const Row *row(const std::string &contestant) const;
};

// What the others' times are divided by.
inline constexpr const char *kRawPath = "raw+pollpri";

// The median of a freeze (or of a kill, where that is what was measured) over the raw path's.
std::optional<double> ratio_to_raw(const ScenarioResult &result, const Row &row);

} // namespace bench

#endif
