// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "user/freezer.h"

#include <algorithm>
#include <map>
#include <set>

#include "user/account.h"
#include "user/attached.h"
#include "user/operation.h"
#include "user/proc_tasks.h"

namespace freezer
{
namespace
{

// What the task iterator saw of one cgroup's own tasks.
void add_tasks(CgroupStatus &status, const std::vector<fz_task_row> &rows, bool list)
{
    auto entries = Account().reconcile(rows, 0).tasks;
    if (status.state == State::kThawed) {
        // Stopped, traced and vfork-waiting tasks carry the mark in any cgroup.
        for (TaskEntry &task : entries)
            task.frozen = false;
    } else if (!rows.empty() && rows.front().cgroup_freeze_ns != 0) {
        status.since_ns = rows.front().cgroup_freeze_ns;
    }
    status.tasks = entries.size();
    status.frozen_tasks = static_cast<std::uint64_t>(std::count_if(
        entries.begin(), entries.end(), [](const TaskEntry &task) { return task.frozen; }));
    if (!list)
        return;
    for (TaskEntry &task : entries)
        complete_from_proc(task);
    status.entries = std::move(entries);
}

// Whether a task of one of these cgroups is not frozen.
bool runs_in(const std::map<std::uint64_t, std::vector<fz_task_row>> &rows,
             const std::vector<std::uint64_t> &ids)
{
    return std::any_of(ids.begin(), ids.end(), [&](std::uint64_t id) {
        const auto own = rows.find(id);
        if (own == rows.end())
            return false;
        const auto entries = Account().reconcile(own->second, 0).tasks;
        return std::any_of(entries.begin(), entries.end(),
                           [](const TaskEntry &task) { return !task.frozen; });
    });
}

} // namespace

bool all_announce(std::span<const Target> targets)
{
    return std::all_of(targets.begin(), targets.end(),
                       [](const Target &target) { return target.cgroup->announces(); });
}

Result<Freezer> Freezer::open(const Config &config)
{
    auto resolver = Resolver::open();
    if (!resolver)
        return std::move(resolver).error();
    return Freezer(std::move(*resolver), config);
}

bool Freezer::has_tracker(std::uint32_t max_targets, bool silent)
{
    if (tracker_)
        return tracker_->max_targets() >= max_targets &&
               (tracker_->watches_silent_cgroups() || !silent) &&
               (tracker_->watches_deliveries() || !config_.tracker.deliveries);
    // See TrackerOptions::shared.
    if (!config_.use_bpf || !config_.use_attached || silent || config_.tracker.deliveries ||
        max_targets > FZ_CLIENT_SLOTS)
        return false;
    auto pinned = open_attached_tracker();
    if (!pinned)
        return false;
    auto tracker = Tracker::open_pinned(std::move(*pinned), config_.tracker);
    if (!tracker)
        return false;
    tracker_ = std::move(*tracker);
    return true;
}

void Freezer::leave_attached()
{
    config_.use_attached = false;
    snapshot_.reset();
    tracker_.reset();
}

Tracking Freezer::tracking() const
{
    if (tracker_ && !late_)
        return {tracker_->pinned() ? TrackingSource::kAttached : TrackingSource::kOwn, {}};
    if (tracking_error_)
        return {TrackingSource::kNone, tracking_error_};
    return {TrackingSource::kLate, {}};
}

Status Freezer::load_tracker(std::uint32_t max_targets, bool silent)
{
    if (has_tracker(max_targets, silent))
        return {};
    if (!config_.use_bpf) {
        tracking_error_ = Error{ErrorKind::kUnsupported, 0, "BPF was switched off"};
        return *tracking_error_;
    }
    if (tracking_error_)
        return *tracking_error_; // it will not come by itself
    TrackerOptions options = config_.tracker;
    options.silent_cgroups |= silent || (tracker_ && tracker_->watches_silent_cgroups());
    snapshot_.reset(); // it shares the maps of the tracker that goes
    tracker_.reset();
    options.max_targets = std::max(options.max_targets, max_targets);
    auto tracker = Tracker::open(options);
    if (!tracker) {
        tracking_error_ = std::move(tracker).error();
        return *tracking_error_;
    }
    tracker_ = std::move(*tracker);
    return {};
}

Result<WhyReport> Freezer::why(Cgroup &top, WhyReport::Purpose purpose)
{
    if (!explainer_)
        explainer_.emplace(config_.use_bpf);
    return explainer_->explain(top, purpose);
}

Result<WhyReport> Freezer::why_task(std::uint32_t tid)
{
    if (!explainer_)
        explainer_.emplace(config_.use_bpf);
    return explainer_->explain_task(tid);
}

Result<State> Freezer::state(Cgroup &cgroup)
{
    auto reading = cgroup.read();
    if (!reading)
        return std::move(reading).error();
    if (reading->frozen && !reading->undecided.empty()) {
        if (const auto rows = rows_by_cgroup(cgroup)) {
            reading->frozen = !runs_in(*rows, reading->undecided);
        } else {
            const auto tasks = tasks_from_proc(cgroup);
            const auto &ids = reading->undecided;
            reading->frozen = std::none_of(tasks.begin(), tasks.end(), [&](const TaskEntry &task) {
                return !task.frozen &&
                       std::find(ids.begin(), ids.end(), task.cgroup_id) != ids.end();
            });
        }
    }
    if (reading->self_freezing)
        return state_of(*reading, false);
    auto above = cgroup.freezing_ancestor();
    if (!above)
        return std::move(above).error();
    return state_of(*reading, above->has_value());
}

Result<std::vector<CgroupStatus>> Freezer::status(Cgroup &top, bool tasks)
{
    return describe(top, tasks, false);
}

Result<std::vector<CgroupStatus>> Freezer::frozen_cgroups(bool tasks)
{
    auto roots = resolver_.roots();
    if (!roots)
        return std::move(roots).error();
    std::vector<CgroupStatus> out;
    for (const auto &root : *roots) {
        auto found = describe(*root, tasks, true);
        if (!found)
            return std::move(found).error();
        std::move(found->begin(), found->end(), std::back_inserter(out));
    }
    return out;
}

Result<std::map<std::uint64_t, std::vector<fz_task_row>>> Freezer::rows_by_cgroup(Cgroup &top)
{
    if (!config_.use_bpf)
        return Error{ErrorKind::kUnsupported, 0, "BPF was switched off"};
    const bool silent = !top.announces();
    if (!onlooker_ || (silent && !onlooker_->watches_silent_cgroups())) {
        auto opened = TaskSnapshot::open(1, silent);
        if (!opened)
            return std::move(opened).error();
        onlooker_.emplace(std::move(*opened));
    }
    if (auto watched = onlooker_->watch(0, top); !watched)
        return std::move(watched).error();
    auto rows = onlooker_->take();
    onlooker_->unwatch(0);
    if (!rows)
        return std::move(rows).error();
    std::map<std::uint64_t, std::vector<fz_task_row>> out;
    for (const fz_task_row &row : *rows)
        out[row.cgroup_id].push_back(row);
    return out;
}

Result<std::vector<CgroupStatus>> Freezer::describe(Cgroup &top, bool tasks, bool only_frozen)
{
    std::vector<std::unique_ptr<Cgroup>> storage;
    auto all = walk(top, storage);
    if (!all)
        return std::move(all).error();

    auto above = top.freezing_ancestor();
    if (!above)
        return std::move(above).error();
    // Paths whose own request is set; a cgroup below one of them is asked to freeze through it.
    std::vector<std::string> asking;
    const auto below_an_asking = [&](const std::string &path) {
        return *above || std::any_of(asking.begin(), asking.end(), [&](const std::string &other) {
            return path.starts_with(other == "/" ? other : other + "/");
        });
    };

    std::vector<CgroupStatus> out;
    struct Shown {
        Cgroup *cgroup;
        Reading reading;
        bool by_ancestor;
    };
    std::vector<Shown> shown; // beside `out`
    for (Cgroup *const cgroup : *all) {
        auto reading = cgroup->read();
        if (!reading) {
            // The root has no state; others may go while we walk.
            if (cgroup != &top || only_frozen)
                continue;
            return std::move(reading).error();
        }
        const bool by_ancestor = below_an_asking(cgroup->path());
        if (reading->self_freezing)
            asking.push_back(cgroup->path());
        CgroupStatus status;
        status.state = state_of(*reading, by_ancestor);
        if (only_frozen && status.state == State::kThawed)
            continue;
        status.path = cgroup->path();
        status.hierarchy = cgroup->hierarchy_name();
        status.id = cgroup->id();
        status.populated = reading->populated;
        status.total_ns = cgroup->total_freeze_ns();
        if (auto own = cgroup->own_tasks())
            status.tasks = own->size();
        if (reading->frozen)
            status.frozen_tasks = status.tasks;
        else if (status.state == State::kThawed)
            status.frozen_tasks = 0;
        out.push_back(std::move(status));
        shown.push_back({cgroup, std::move(*reading), by_ancestor});
    }

    // How far an unfinished freeze has come, and since when, only the task iterator tells.
    const bool all_thawed = std::all_of(
        out.begin(), out.end(), [](const CgroupStatus &s) { return s.state == State::kThawed; });
    const bool held = std::any_of(all->begin(), all->end(),
                                  [](const Cgroup *cgroup) { return cgroup->announces(); }) &&
                      resolver_.any_v1_request();
    if (all_thawed && !tasks && !held)
        return out;
    const auto rows = rows_by_cgroup(top);
    if (!rows)
        tracking_error_ = rows.error();
    for (size_t i = 0; i < out.size(); ++i) {
        CgroupStatus &status = out[i];
        if (!rows) {
            if (tasks)
                status.entries = own_tasks_from_proc(*shown[i].cgroup);
            continue;
        }
        Reading &reading = shown[i].reading;
        if (reading.frozen && runs_in(*rows, reading.undecided)) {
            reading.frozen = false;
            status.state = state_of(reading, shown[i].by_ancestor);
        }
        const auto own = rows->find(status.id);
        if (own != rows->end()) {
            std::set<std::string> holders;
            for (const fz_task_row &row : own->second) {
                if (row.bits & FZ_ROW_HELD_BY_V1)
                    holders.insert(resolver_.v1_path_of(row.task.tid));
            }
            status.held_by_v1.assign(holders.begin(), holders.end());
        }
        add_tasks(status, own != rows->end() ? own->second : std::vector<fz_task_row>(), tasks);
    }
    return out;
}

} // namespace freezer
