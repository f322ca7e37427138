// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// From events to freezes: who asked, which task took how long, what came after. Pure: it knows no
// kernel, no clock and no file, and gives for a recording what it gave live.
#ifndef FREEZERCTL_USER_TRACE_MODEL_H
#define FREEZERCTL_USER_TRACE_MODEL_H

#include <cstdint>
#include <list>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "user/trace_event.h"

namespace freezer
{

// One task in one freeze.
struct FreezeTask {
    TraceTask task;
    TraceCgroup cgroup;
    std::optional<std::uint64_t> reached_ns; // nullopt: not seen to reach the refrigerator
    std::optional<std::uint64_t> left_ns;
    std::optional<std::uint64_t> killed_ns; // SIGKILL was sent to it, or to its process
    std::optional<std::uint64_t> exited_ns;
    bool before = false; // it was in the refrigerator when the request came
};

// One request to freeze one cgroup, and all that followed from it.
struct Freeze {
    TraceCgroup cgroup;
    std::uint64_t request_ns = 0;
    TraceTask actor;
    TraceCgroup actor_cgroup;
    std::optional<std::uint64_t> frozen_ns; // the kernel called it frozen, for the first time
    std::optional<std::uint64_t> thaw_ns;
    TraceTask thaw_actor;
    std::optional<std::uint64_t> removed_ns;
    std::vector<FreezeTask> tasks; // in the order in which they were first seen

    // Times to reach the refrigerator, ascending, of the tasks that were seen to.
    [[nodiscard]] std::vector<std::uint64_t> times() const;
    // The last task to reach it; NULL if none was seen to.
    [[nodiscard]] const FreezeTask *slowest() const;
    // From the request to the kernel's word; nullopt if that did not come.
    [[nodiscard]] std::optional<std::uint64_t> total_ns() const;
    // Tasks that were to freeze, lived, and were not seen to do so.
    [[nodiscard]] size_t stragglers() const;
};

// Nearest-rank percentile (0 < p <= 100) of ascending values, which must not be empty.
std::uint64_t percentile(const std::vector<std::uint64_t> &ascending, double p);

// Counts of values in `buckets` classes: bounds are the upper ends, each twice the one before, the
// last one not below the largest value.
struct Histogram {
    std::vector<std::uint64_t> bounds_ns;
    std::vector<size_t> counts;
};
Histogram histogram(const std::vector<std::uint64_t> &ascending);

class TraceModel
{
  public:
    // `keep`: freezes that are over stay in freezes(); without it a live trace can run for ever.
    explicit TraceModel(bool keep) : keep_(keep) {}

    // Events in the order in which they came. FZ_TR_MEMBER ones come first, where there are any.
    void apply(const TraceEvent &event);

    [[nodiscard]] const std::list<Freeze> &freezes() const { return freezes_; }
    // The freeze of this very cgroup that is under way; NULL if there is none.
    [[nodiscard]] const Freeze *active(std::uint64_t cgroup_id) const;

  private:
    struct Member {
        TraceTask task;
        TraceCgroup cgroup;
        bool inside = false;
    };
    // A freeze that still changes, with its tasks' places by tid.
    struct Active {
        Freeze *freeze = nullptr;
        std::unordered_map<std::uint32_t, size_t> places;
        size_t inside = 0; // tasks that have reached it and not left
    };

    void begin(const TraceEvent &event);
    void enlist(Active &active, const Member &member);
    void forget(std::uint32_t tid);
    void put(const Member &member);
    void move(const TraceEvent &event);
    void on_reached(const TraceEvent &event);
    void on_left(const TraceEvent &event);
    void close_finished();
    template <typename Function>
    void for_each_active_of(const TraceEvent &event, Function function);

    bool keep_;
    std::list<Freeze> freezes_;              // a list: pointers into it hold
    std::map<std::uint64_t, Active> active_; // by cgroup id
    std::unordered_map<std::uint32_t, Member> members_;
    // Who is in each cgroup, by path, so that a freeze finds those of a subtree.
    std::map<std::string, std::set<std::uint32_t>, std::less<>> by_path_;
};

} // namespace freezer

#endif
