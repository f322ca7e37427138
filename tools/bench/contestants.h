// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// Ways to freeze and thaw a cgroup: ours, the raw ones that the kernel offers, and the real peers.
#ifndef FREEZERCTL_BENCH_CONTESTANTS_H
#define FREEZERCTL_BENCH_CONTESTANTS_H

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tools/bench/container.h"
#include "tools/bench/statistics.h"
#include "tools/bench/workload.h"

namespace bench
{

// When it began, when it said that it was done, and when its caller could go on: a process by what
// it prints and by its exit, a call by its return.
struct Claim {
    std::uint64_t begin_ns = 0;
    std::uint64_t told_ns = 0;
    std::uint64_t end_ns = 0;

    [[nodiscard]] std::uint64_t elapsed_ns() const { return end_ns - begin_ns; }
};

// One contestant's turn at a workload. What belongs to no single freeze (open files, a loaded
// library, an attached tracker) is made by the constructor and goes with the destructor, so that no
// contestant gains from, or pays for, what another one holds.
class Turn
{
  public:
    Turn() = default;
    Turn(const Turn &) = delete;
    Turn &operator=(const Turn &) = delete;
    virtual ~Turn() = default;

    // Each throws Failure.
    virtual Claim freeze() = 0;
    virtual Claim thaw() = 0;
    // Until every cgroup is empty and removed.
    virtual Claim kill() = 0;
    // The most that its process has for a freeze, or for the thaw that follows; 0: it has none.
    virtual long peak_memory_kib() { return 0; }
};

struct Contestant {
    std::string name;
    bool process = false;
    // The one runtime whose containers it can act on; empty: any workload.
    std::string runtime;
    bool kills = false; // takes part where something is killed
    std::function<std::unique_ptr<Turn>(const Workload &)> begin;
};

// Who is there, in the order of their turns, and who is not and why.
struct Lineup {
    std::vector<Contestant> contestants;
    std::vector<NotRun> missing;
    std::vector<std::pair<std::string, std::string>> versions; // of programs
    std::optional<RuntimeProgram> crun;
    std::optional<RuntimeProgram> runc;
};

// The whole paths of the command and of tools/bench/poller.cpp.
Lineup find_contestants(const std::string &freezerctl, const std::string &poller);

} // namespace bench

#endif
