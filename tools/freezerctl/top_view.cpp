// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "tools/freezerctl/top_view.h"

#include <algorithm>
#include <array>
#include <csignal>

#include "tools/freezerctl/text.h"
#include "tools/freezerctl/trace_text.h"
#include "user/duration.h"
#include "user/files.h"

namespace freezerctl
{
namespace
{

std::string ago(std::uint64_t now_ns, std::uint64_t then_ns)
{
    return freezer::format_duration(now_ns > then_ns ? now_ns - then_ns : 0);
}

std::string actor_name(const freezer::TraceTask &task)
{
    return std::to_string(task.tgid) + " " + printable(task.comm);
}

bool is_frozen(freezer::State state)
{
    return state == freezer::State::kFrozen || state == freezer::State::kFrozenByParent;
}

} // namespace

void TopView::apply(const freezer::TraceEvent &event)
{
    model_.apply(event);
    if (event.kind == FZ_TR_SIGNAL && event.value == SIGKILL) {
        Kill &kill = kills_[event.cgroup.id];
        if (kill.dying.empty())
            kill = {event.cgroup.path, event.actor, event.time_ns, {}};
        kill.dying.insert(event.task.tid);
    } else if (event.kind == FZ_TR_EXIT) {
        const auto found = kills_.find(event.cgroup.id);
        if (found != kills_.end() && found->second.dying.erase(event.task.tid) > 0 &&
            found->second.dying.empty())
            kills_.erase(found);
    } else if (event.kind == FZ_TR_REMOVED || (event.kind == FZ_TR_POPULATED && event.value == 0)) {
        kills_.erase(event.cgroup.id);
    }
}

// The freeze that holds a cgroup: its own, or that of the nearest ancestor that has one.
const freezer::Freeze *TopView::freeze_of(const std::string &path) const
{
    const freezer::Freeze *nearest = nullptr;
    for (const freezer::Freeze &freeze : model_.freezes()) {
        const std::string &top = freeze.cgroup.path;
        if (freeze.thaw_ns || top.empty() || !freezer::is_at_or_below(path, top))
            continue;
        if (!nearest || top.size() >= nearest->cgroup.path.size())
            nearest = &freeze;
    }
    return nearest;
}

std::vector<TopRow> TopView::rows(const std::vector<freezer::CgroupStatus> &status,
                                  std::uint64_t now_ns) const
{
    std::vector<TopRow> killed;
    std::vector<TopRow> freezing;
    std::vector<TopRow> frozen;
    for (const auto &[id, kill] : kills_) {
        TopRow row;
        row.cgroup = kill.path.empty() ? "cgroup id " + std::to_string(id) : printable(kill.path);
        row.state = "KILLED";
        row.tasks = std::to_string(kill.dying.size()) + " left";
        row.since = ago(now_ns, kill.time_ns);
        row.actor = actor_name(kill.actor);
        killed.push_back(std::move(row));
    }
    for (const freezer::CgroupStatus &cgroup : status) {
        const freezer::Freeze *const freeze = freeze_of(cgroup.path);
        TopRow row;
        row.cgroup = printable(cgroup.path);
        row.state = to_string(cgroup.state);
        row.tasks = (cgroup.frozen_tasks ? std::to_string(*cgroup.frozen_tasks) : "?") + "/" +
                    std::to_string(cgroup.tasks);
        // The kernel's time where it tells one: it is older than this view.
        if (cgroup.since_ns)
            row.since = ago(now_ns, *cgroup.since_ns);
        else if (freeze)
            row.since = ago(now_ns, freeze->request_ns);
        if (freeze) {
            row.actor = actor_name(freeze->actor);
            if (const freezer::FreezeTask *const slowest = freeze->slowest())
                row.slowest =
                    name_of(slowest->task) + " " + ago(*slowest->reached_ns, freeze->request_ns);
        }
        (is_frozen(cgroup.state) ? frozen : freezing).push_back(std::move(row));
    }
    killed.insert(killed.end(), freezing.begin(), freezing.end());
    killed.insert(killed.end(), frozen.begin(), frozen.end());
    return killed;
}

bool same_but_times(const std::vector<TopRow> &a, const std::vector<TopRow> &b)
{
    return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto &x, const auto &y) {
        return x.cgroup == y.cgroup && x.state == y.state && x.tasks == y.tasks &&
               x.actor == y.actor && x.slowest == y.slowest;
    });
}

std::vector<std::string> describe_top(const std::vector<TopRow> &rows)
{
    std::vector<std::array<std::string, 6>> cells{
        {"CGROUP", "STATE", "FROZEN/TASKS", "FOR", "BY", "SLOWEST"}};
    for (const TopRow &row : rows)
        cells.push_back({row.cgroup, row.state, row.tasks, row.since, row.actor, row.slowest});
    std::array<size_t, 6> widths{};
    for (const auto &line : cells) {
        for (size_t i = 0; i < line.size(); ++i)
            widths[i] = std::max(widths[i], line[i].size());
    }
    std::vector<std::string> out;
    for (const auto &line : cells) {
        std::string text;
        for (size_t i = 0; i < line.size(); ++i) {
            const std::string &cell = line[i].empty() ? "-" : line[i];
            text += cell;
            if (i + 1 < line.size())
                text.append(widths[i] + 2 - std::min(widths[i] + 1, cell.size()), ' ');
        }
        out.push_back(text);
    }
    return out;
}

} // namespace freezerctl
