// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// The trace-event format ("Trace Event Format", Google, 2016; kept by Perfetto): an array of events
// with times in microseconds, drawn as one track for each pid and tid.
#include <algorithm>
#include <map>
#include <set>

#include <nlohmann/json.hpp>

#include "tools/freezerctl/text.h"
#include "tools/freezerctl/trace_text.h"
#include "tools/freezerctl/trace_views.h"

namespace freezerctl
{
namespace
{

using freezer::Freeze;
using freezer::FreezeTask;
using freezer::TraceEvent;
using freezer::TraceTask;
using Json = nlohmann::ordered_json;

// A slice of no length cannot be clicked, and no flow can end in it.
constexpr std::uint64_t kShortest = 1000;

class PerfettoWriter
{
  public:
    explicit PerfettoWriter(const Recording &recording) : recording_(recording)
    {
        first_ns_ = recording.start.time_ns;
        last_ns_ = recording.end ? recording.end->time_ns : first_ns_;
        bool any = recording.start.time_ns != 0;
        for (const TraceEvent &event : recording.events) {
            first_ns_ = any ? std::min(first_ns_, event.time_ns) : event.time_ns;
            last_ns_ = std::max(last_ns_, event.time_ns);
            any = true;
        }
    }

    std::string write()
    {
        const freezer::TraceModel model = model_of(recording_);
        for (const Freeze &freeze : model.freezes())
            add_freeze(freeze);
        for (const auto &[tid, tasks] : tracks_)
            add_track(tasks);
        for (const TraceEvent &event : recording_.events)
            add_instant(event);
        Json out{{"displayTimeUnit", "ns"}, {"traceEvents", std::move(events_)}};
        out["otherData"] = {{"source", "freezerctl record"},
                            {"kernel", recording_.start.kernel},
                            {"shortcomings", shortcomings(recording_)}};
        return out.dump(-1, ' ', true, Json::error_handler_t::replace) + "\n";
    }

  private:
    struct InFreeze {
        const Freeze *freeze;
        const FreezeTask *task;
        std::uint64_t flow;
    };

    [[nodiscard]] double us(std::uint64_t ns) const
    {
        return static_cast<double>(ns - std::min(first_ns_, ns)) / 1000.0;
    }

    void name_track(const TraceTask &task)
    {
        if (!named_.insert(task.tid).second)
            return;
        events_.push_back({{"ph", "M"},
                           {"name", "thread_name"},
                           {"pid", task.tgid},
                           {"tid", task.tid},
                           {"args", {{"name", printable(task.comm)}}}});
        if (task.tid == task.tgid)
            events_.push_back({{"ph", "M"},
                               {"name", "process_name"},
                               {"pid", task.tgid},
                               {"args", {{"name", printable(task.comm)}}}});
    }

    void slice(const TraceTask &task, const std::string &name, std::uint64_t from, std::uint64_t to,
               Json args)
    {
        if (to <= from)
            return;
        events_.push_back({{"ph", "X"},
                           {"cat", "freezer"},
                           {"name", name},
                           {"pid", task.tgid},
                           {"tid", task.tid},
                           {"ts", us(from)},
                           {"dur", static_cast<double>(to - from) / 1000.0},
                           {"args", std::move(args)}});
    }

    void flow(const char *phase, const TraceTask &task, std::uint64_t at, std::uint64_t id)
    {
        Json event{{"ph", phase},      {"cat", "request"}, {"name", "request"}, {"id", id},
                   {"pid", task.tgid}, {"tid", task.tid},  {"ts", us(at)}};
        if (*phase == 'f')
            event["bp"] = "e"; // ends in the slice that is there, not in the next one
        events_.push_back(std::move(event));
    }

    void add_freeze(const Freeze &freeze)
    {
        name_track(freeze.actor);
        slice(freeze.actor, "freeze " + name_of(freeze.cgroup), freeze.request_ns,
              freeze.request_ns + kShortest, {{"cgroup", name_of(freeze.cgroup)}});
        if (freeze.thaw_ns) {
            name_track(freeze.thaw_actor);
            slice(freeze.thaw_actor, "thaw " + name_of(freeze.cgroup), *freeze.thaw_ns,
                  *freeze.thaw_ns + kShortest, {{"cgroup", name_of(freeze.cgroup)}});
        }
        for (const FreezeTask &task : freeze.tasks) {
            const std::uint64_t id = ++flows_;
            tracks_[task.task.tid].push_back({&freeze, &task, id});
            flow("s", freeze.actor, freeze.request_ns, id);
        }
    }

    // One task's slices, one after the other: running, freezing, frozen, dying.
    void add_track(const std::vector<InFreeze> &freezes)
    {
        std::uint64_t at = first_ns_;
        name_track(freezes.front().task->task);
        for (const InFreeze &in : freezes) {
            const FreezeTask &task = *in.task;
            const Json args{{"cgroup", name_of(task.cgroup)},
                            {"frozen by", name_of(in.freeze->actor)}};
            const std::uint64_t request = std::max(at, in.freeze->request_ns);
            slice(task.task, "running", at, request, Json::object());
            // A freeze within another one's time (nested cgroups) has only its flow.
            const std::uint64_t end = std::min(
                {task.left_ns.value_or(last_ns_), task.exited_ns.value_or(last_ns_), last_ns_});
            const std::uint64_t reached =
                std::max(request, std::min(task.reached_ns.value_or(end), end));
            slice(task.task, "freezing", request, std::max(reached, request + 1), args);
            flow("f", task.task, request, in.flow);
            slice(task.task, "frozen", std::max(reached, request + 1), end, args);
            at = std::max({at, reached, end});
        }
        const FreezeTask &last = *freezes.back().task;
        const std::uint64_t end = last.exited_ns.value_or(last_ns_);
        slice(last.task, last.killed_ns && at >= *last.killed_ns ? "dying" : "running", at, end,
              {{"cgroup", name_of(last.cgroup)}});
    }

    void add_instant(const TraceEvent &event)
    {
        std::string name;
        const TraceTask *track = &event.task;
        if (event.kind == FZ_TR_SIGNAL)
            name = freezer::signal_name(event.value) + " from " + name_of(event.actor);
        else if (event.kind == FZ_TR_MOVED)
            name = "moved to " + name_of(event.cgroup);
        else
            return;
        // Of tasks that no freeze concerned there is no track to draw on.
        if (!tracks_.contains(track->tid))
            return;
        events_.push_back({{"ph", "i"},
                           {"s", "t"},
                           {"cat", "freezer"},
                           {"name", name},
                           {"pid", track->tgid},
                           {"tid", track->tid},
                           {"ts", us(event.time_ns)}});
    }

    const Recording &recording_;
    std::uint64_t first_ns_ = 0;
    std::uint64_t last_ns_ = 0;
    Json events_ = Json::array();
    std::map<std::uint32_t, std::vector<InFreeze>> tracks_; // by tid
    std::set<std::uint32_t> named_;
    std::uint64_t flows_ = 0;
};

} // namespace

std::string perfetto(const Recording &recording)
{
    return PerfettoWriter(recording).write();
}

} // namespace freezerctl
