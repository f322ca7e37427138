// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// libfreezer: freeze, thaw, kill and wait for cgroups, with the kernel's own word on completion.
//
//     auto freezer = freezer::Freezer::open({});
//     auto cgroup = freezer->resolver().by_path("/demo");
//     std::vector<freezer::Target> targets;
//     targets.push_back({"/demo", std::move(*cgroup)});
//     auto reports = freezer->freeze(targets, {});
//
// Nothing here prints, exits or installs a signal handler. One Freezer serves one thread.
#ifndef FREEZERCTL_USER_FREEZER_H
#define FREEZERCTL_USER_FREEZER_H

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "user/cgroup.h"
#include "user/report.h"
#include "user/resolve.h"
#include "user/result.h"
#include "user/task_snapshot.h"
#include "user/tracker.h"
#include "user/unique_fd.h"
#include "user/why.h"

namespace freezer
{

struct Target {
    std::string name; // as the caller calls it; for reports
    std::unique_ptr<Cgroup> cgroup;
};

// Whether the kernel tells of requests to all of them, and of completion; see Cgroup::announces().
bool all_announce(std::span<const Target> targets);

struct Config {
    // False: do not use BPF even where it is to be had.
    bool use_bpf = true;
    // Use the attached tracker (user/attached.h) where there is one.
    bool use_attached = true;
    // Do not keep a request to cgroups that announce everything waiting until the tracker is
    // loaded: it comes when it is needed, or when the operation takes longer than loading it would.
    // The operation then knows less of its tasks (TrackingSource::kLate); its verdict is the same.
    bool late_tracking = false;
    TrackerOptions tracker; // max_targets grows with the operations
};

struct WaitOptions {
    // From the start of the operation; nullopt waits without end.
    std::optional<std::uint64_t> timeout_ns = 10'000'000'000;
    // When readable, the operation ends as at the deadline, with Outcome::kInterrupted. The caller
    // owns and reads it (a signalfd, an eventfd).
    int interrupt_fd = -1;
    // List every task (TargetReport::entries).
    bool tasks = false;
    // Called once, when the requests to all targets are made and before any is waited for.
    std::function<void()> on_requested;
    // Told of each target that is not there after each `late_after_ns`, with what holds it up; and
    // at once, with `hopeless`, when a kernel thread in it will keep it from ever being frozen.
    std::function<void(const std::string &target, const WhyReport &report, bool hopeless)> on_late;
    std::uint64_t late_after_ns = 1'000'000'000;
    // Called under way with what a caller should know while it still waits: a target's name and a
    // sentence.
    std::function<void(const std::string &target, const std::string &message)> notice;
};

struct FreezeOptions : WaitOptions {
    enum class OnTimeout {
        kThaw, // take our own request back, unless somebody else wrote since
        kKeep, // leave the request: the freeze may still complete
        kKill,
    } on_timeout = OnTimeout::kThaw;
    // When one target does not get there, thaw those that did, if this operation froze them.
    bool all_or_none = false;
};

struct KillOptions : WaitOptions {
    // Remove the cgroup and all below it once it is empty.
    bool remove = false;
};

struct SignalOptions : WaitOptions {
    int signal = 0;
    bool keep_frozen = false; // do not thaw afterwards
    bool wait = false;        // until every process has taken it, or never will
};

// The state of one cgroup, for `status`.
struct CgroupStatus {
    std::string path;
    std::string hierarchy;
    std::uint64_t id = 0;
    State state = State::kThawed;
    bool populated = false;
    std::uint64_t tasks = 0;                   // in this very cgroup
    std::optional<std::uint64_t> frozen_tasks; // of these; nullopt without BPF while freezing
    std::vector<std::string> held_by_v1;   // v1 cgroups whose freezer holds tasks of this v2 one
    std::optional<std::uint64_t> since_ns; // CLOCK_MONOTONIC of the request, where told
    std::optional<std::uint64_t> total_ns; // frozen or freezing in its whole life, where told
    std::optional<std::vector<TaskEntry>> entries;
};

class Freezer
{
  public:
    // Finds the mounts. BPF is loaded by the first operation and kept for the next ones.
    static Result<Freezer> open(const Config &config);

    [[nodiscard]] const Resolver &resolver() const { return resolver_; }

    // Loads the tracker for that many targets, unless that was done before. An Error says why there
    // is none; the operations then work without it, woken by the kernel's notification file alone.
    // `silent`: some of the targets announce nothing (Cgroup::announces()).
    Status load_tracker(std::uint32_t max_targets, bool silent = false);
    // How the last operation was tracked.
    [[nodiscard]] Tracking tracking() const;

    // Each of these returns one report for each target, in their order. Every target is written
    // before any is waited for. An Error means that nothing was done at all.
    Result<std::vector<TargetReport>> freeze(std::span<Target> targets,
                                             const FreezeOptions &options);
    Result<std::vector<TargetReport>> thaw(std::span<Target> targets, const WaitOptions &options);
    Result<std::vector<TargetReport>> kill(std::span<Target> targets, const KillOptions &options);
    // Freezes, so that nothing is forked or exits unseen; sends the signal once to each process;
    // then thaws what it froze. What cannot be frozen gets no signal.
    Result<std::vector<SignalReport>> signal(std::span<Target> targets,
                                             const SignalOptions &options);
    // Writes nothing; sleeps until the goal holds.
    Result<std::vector<TargetReport>> wait(std::span<Target> targets, Goal goal,
                                           const WaitOptions &options);

    // The state of this one cgroup. What its files leave undecided is looked up in its tasks.
    Result<State> state(Cgroup &cgroup);
    // The cgroup and everything below it, parents first; with each task when asked for.
    Result<std::vector<CgroupStatus>> status(Cgroup &top, bool tasks);
    // Every cgroup of every hierarchy that is frozen or freezing, parents first.
    Result<std::vector<CgroupStatus>> frozen_cgroups(bool tasks);

    // Why it is not frozen, or not empty, or would not be; see user/why.h.
    Result<WhyReport> why(Cgroup &top, WhyReport::Purpose purpose);
    Result<WhyReport> why_task(std::uint32_t tid);

  private:
    friend class Operation;

    Freezer(Resolver resolver, const Config &config)
        : resolver_(std::move(resolver)), config_(config)
    {
    }
    // Whether a tracker that fits is there without loading one.
    bool has_tracker(std::uint32_t max_targets, bool silent);
    // Does without the attached tracker from now on.
    void leave_attached();
    Result<std::vector<CgroupStatus>> describe(Cgroup &top, bool tasks, bool only_frozen);
    // One task snapshot of the cgroup and all below, by cgroup id.
    Result<std::map<std::uint64_t, std::vector<fz_task_row>>> rows_by_cgroup(Cgroup &top);

    Resolver resolver_;
    Config config_;
    std::optional<Tracker> tracker_;
    std::optional<TaskSnapshot> snapshot_; // beside tracker_; loaded at first use
    std::optional<TaskSnapshot> onlooker_; // stands alone, for status; loaded at first use
    std::optional<Error> tracking_error_;
    UniqueFd inotify_;  // of the operations before, without a watch; see WaitSet::take_inotify()
    bool late_ = false; // the last operation began without the tracker
    std::optional<Explainer> explainer_;
};

} // namespace freezer

#endif
