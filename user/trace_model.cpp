// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "user/trace_model.h"
#include "user/files.h"

#include <algorithm>
#include <cmath>
#include <csignal>

namespace freezer
{
namespace
{

std::uint64_t since(std::uint64_t later, std::uint64_t earlier)
{
    return later > earlier ? later - earlier : 0;
}

} // namespace

std::vector<std::uint64_t> Freeze::times() const
{
    std::vector<std::uint64_t> out;
    for (const FreezeTask &task : tasks) {
        if (task.reached_ns && !task.before)
            out.push_back(since(*task.reached_ns, request_ns));
    }
    std::sort(out.begin(), out.end());
    return out;
}

const FreezeTask *Freeze::slowest() const
{
    const FreezeTask *slowest = nullptr;
    for (const FreezeTask &task : tasks) {
        if (task.reached_ns && !task.before &&
            (!slowest || *task.reached_ns > *slowest->reached_ns))
            slowest = &task;
    }
    return slowest;
}

std::optional<std::uint64_t> Freeze::total_ns() const
{
    if (!frozen_ns)
        return std::nullopt;
    return since(*frozen_ns, request_ns);
}

size_t Freeze::stragglers() const
{
    // The kernel's word outweighs: stopped, traced and vfork-waiting tasks are counted by it
    // without any event.
    if (frozen_ns)
        return 0;
    return static_cast<size_t>(std::count_if(tasks.begin(), tasks.end(), [](const FreezeTask &t) {
        return !t.reached_ns && !t.exited_ns;
    }));
}

std::uint64_t percentile(const std::vector<std::uint64_t> &ascending, double p)
{
    const auto n = static_cast<double>(ascending.size());
    const auto rank = static_cast<size_t>(std::ceil(p / 100 * n));
    return ascending[std::clamp<size_t>(rank, 1, ascending.size()) - 1];
}

Histogram histogram(const std::vector<std::uint64_t> &ascending)
{
    Histogram out;
    if (ascending.empty())
        return out;
    std::uint64_t bound = 1000;
    while (bound < ascending.front() && bound <= UINT64_MAX / 2)
        bound *= 2;
    size_t i = 0;
    while (i < ascending.size()) {
        size_t count = 0;
        while (i < ascending.size() && ascending[i] <= bound) {
            ++count;
            ++i;
        }
        out.bounds_ns.push_back(bound);
        out.counts.push_back(count);
        if (bound > UINT64_MAX / 2)
            bound = UINT64_MAX;
        else
            bound *= 2;
    }
    return out;
}

template <typename Function>
void TraceModel::for_each_active_of(const TraceEvent &event, Function function)
{
    for (auto &[id, active] : active_) {
        if (id == event.cgroup.id ||
            (!event.cgroup.path.empty() && !active.freeze->cgroup.path.empty() &&
             is_at_or_below(event.cgroup.path, active.freeze->cgroup.path)))
            function(active);
    }
}

void TraceModel::put(const Member &member)
{
    forget(member.task.tid);
    by_path_[member.cgroup.path].insert(member.task.tid);
    members_[member.task.tid] = member;
}

void TraceModel::forget(std::uint32_t tid)
{
    const auto found = members_.find(tid);
    if (found == members_.end())
        return;
    const auto peers = by_path_.find(found->second.cgroup.path);
    peers->second.erase(tid);
    if (peers->second.empty())
        by_path_.erase(peers);
    members_.erase(found);
}

void TraceModel::enlist(Active &active, const Member &member)
{
    if (!active.places.try_emplace(member.task.tid, active.freeze->tasks.size()).second)
        return;
    FreezeTask task;
    task.task = member.task;
    task.cgroup = member.cgroup;
    if (member.inside) {
        task.before = true;
        task.reached_ns = active.freeze->request_ns;
        ++active.inside;
    }
    active.freeze->tasks.push_back(std::move(task));
}

void TraceModel::begin(const TraceEvent &event)
{
    active_.erase(event.cgroup.id); // thawed and frozen again before all had left
    if (!keep_)
        close_finished();
    Freeze freeze;
    freeze.cgroup = event.cgroup;
    freeze.request_ns = event.time_ns;
    freeze.actor = event.actor;
    freeze.actor_cgroup = event.actor_cgroup;
    freezes_.push_back(std::move(freeze));
    Active &active = active_[event.cgroup.id];
    active.freeze = &freezes_.back();
    const std::string &top = event.cgroup.path;
    if (top.empty())
        return;
    // Paths below `top` stand together behind it, among others that only begin like it.
    for (auto at = by_path_.lower_bound(top); at != by_path_.end(); ++at) {
        if (top != "/" && !at->first.starts_with(top))
            break;
        if (!is_at_or_below(at->first, top))
            continue;
        for (const std::uint32_t tid : at->second)
            enlist(active, members_[tid]);
    }
}

void TraceModel::on_reached(const TraceEvent &event)
{
    Member member{event.task, event.cgroup, false};
    for_each_active_of(event, [&](Active &active) {
        enlist(active, member);
        FreezeTask &task = active.freeze->tasks[active.places[event.task.tid]];
        const bool was_inside = task.reached_ns && !task.left_ns;
        // A task that left, or that the request found inside, can reach it once more: when its
        // cgroup was thawed and the one above stayed frozen. The first time counts.
        if (!task.reached_ns || (task.before && event.time_ns > active.freeze->request_ns)) {
            task.before = false;
            task.reached_ns = event.time_ns;
        }
        task.left_ns.reset();
        task.task = event.task;
        if (!was_inside)
            ++active.inside;
    });
    member.inside = true;
    put(member);
}

void TraceModel::on_left(const TraceEvent &event)
{
    for (auto &[id, active] : active_) {
        const auto place = active.places.find(event.task.tid);
        if (place == active.places.end())
            continue;
        FreezeTask &task = active.freeze->tasks[place->second];
        if (task.reached_ns && !task.left_ns) {
            task.left_ns = event.time_ns;
            --active.inside;
        }
    }
    const auto member = members_.find(event.task.tid);
    if (member != members_.end())
        member->second.inside = false;
}

void TraceModel::move(const TraceEvent &event)
{
    std::vector<Member> moved;
    if (event.flags & FZ_TRF_GROUP) {
        for (const auto &[tid, member] : members_) {
            if (member.task.tgid == event.task.tgid && tid != event.task.tid)
                moved.push_back(member);
        }
    }
    const auto known = members_.find(event.task.tid);
    moved.push_back({event.task, event.cgroup, known != members_.end() && known->second.inside});
    for (Member &member : moved) {
        member.cgroup = event.cgroup;
        put(member);
        for_each_active_of(event, [&](Active &active) {
            if (!active.freeze->thaw_ns)
                enlist(active, member);
        });
    }
}

void TraceModel::close_finished()
{
    for (auto it = active_.begin(); it != active_.end();) {
        const Freeze &freeze = *it->second.freeze;
        const bool over =
            freeze.removed_ns.has_value() || (freeze.thaw_ns && it->second.inside == 0);
        it = over ? active_.erase(it) : std::next(it);
    }
    if (keep_)
        return;
    freezes_.remove_if([&](const Freeze &freeze) {
        const auto found = active_.find(freeze.cgroup.id);
        return found == active_.end() || found->second.freeze != &freeze;
    });
}

void TraceModel::apply(const TraceEvent &event)
{
    switch (event.kind) {
    case FZ_TR_MEMBER:
        put({event.task, event.cgroup, (event.flags & FZ_TRF_INSIDE) != 0});
        return;
    case FZ_TR_FREEZE:
        if (!(event.flags & FZ_TRF_INHERITED))
            begin(event);
        return;
    case FZ_TR_THAW: {
        const auto found = active_.find(event.cgroup.id);
        if (found != active_.end() && !found->second.freeze->thaw_ns) {
            found->second.freeze->thaw_ns = event.time_ns;
            found->second.freeze->thaw_actor = event.actor;
        }
        close_finished();
        return;
    }
    case FZ_TR_FROZEN: {
        const auto found = active_.find(event.cgroup.id);
        if (event.value != 0 && found != active_.end() && !found->second.freeze->frozen_ns)
            found->second.freeze->frozen_ns = event.time_ns;
        return;
    }
    case FZ_TR_REMOVED: {
        const auto found = active_.find(event.cgroup.id);
        if (found != active_.end())
            found->second.freeze->removed_ns = event.time_ns;
        close_finished();
        return;
    }
    case FZ_TR_REACHED:
        on_reached(event);
        return;
    case FZ_TR_LEFT:
        on_left(event);
        close_finished();
        return;
    case FZ_TR_SIGNAL:
        if (event.value == SIGKILL) {
            for (auto &[id, active] : active_) {
                const auto place = active.places.find(event.task.tid);
                if (place != active.places.end() && !active.freeze->tasks[place->second].killed_ns)
                    active.freeze->tasks[place->second].killed_ns = event.time_ns;
            }
        }
        return;
    case FZ_TR_FORK:
        put({event.task, event.cgroup, false});
        for_each_active_of(event, [&](Active &active) {
            if (!active.freeze->thaw_ns)
                enlist(active, members_[event.task.tid]);
        });
        return;
    case FZ_TR_EXIT:
        for (auto &[id, active] : active_) {
            const auto place = active.places.find(event.task.tid);
            if (place != active.places.end())
                active.freeze->tasks[place->second].exited_ns = event.time_ns;
        }
        forget(event.task.tid);
        return;
    case FZ_TR_MOVED:
        move(event);
        return;
    case FZ_TR_POPULATED:
    case FZ_TR_DELIVER:
    case FZ_TR_MADE:
    case FZ_TR_KINDS:
        return;
    }
}

const Freeze *TraceModel::active(std::uint64_t cgroup_id) const
{
    const auto found = active_.find(cgroup_id);
    return found == active_.end() ? nullptr : found->second.freeze;
}

} // namespace freezer
