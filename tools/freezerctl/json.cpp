// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "tools/freezerctl/json.h"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "tools/freezerctl/list.h"
#include "tools/freezerctl/run.h"
#include "user/signal_all.h"

namespace freezerctl
{
namespace
{

using Json = nlohmann::ordered_json;

// Grows when a field changes its meaning or goes; new fields do not change it.
constexpr int kSchema = 1;

const char *kind_name(freezer::ErrorKind kind)
{
    switch (kind) {
    case freezer::ErrorKind::kSystem:
        return "system";
    case freezer::ErrorKind::kInvalid:
        return "invalid";
    case freezer::ErrorKind::kNoSuchCgroup:
        return "no-such-cgroup";
    case freezer::ErrorKind::kRefused:
        return "refused";
    case freezer::ErrorKind::kPermission:
        return "permission";
    case freezer::ErrorKind::kUnsupported:
        return "unsupported";
    }
    return "system";
}

template <typename T> Json or_null(const std::optional<T> &value)
{
    return value ? Json(*value) : Json(nullptr);
}

Json error_object(const std::optional<freezer::Error> &error)
{
    if (!error)
        return nullptr;
    return {
        {"kind", kind_name(error->kind)}, {"errno", error->sys_errno}, {"message", error->message}};
}

Json task_object(const freezer::TaskEntry &task)
{
    Json object{{"tid", task.tid},
                {"tgid", task.tgid},
                {"comm", task.comm},
                {"cgroup_id", task.cgroup_id},
                {"frozen", task.frozen},
                {"note", to_string(task.note)},
                {"after_ns", or_null(task.after_ns)},
                {"state", std::string(1, task.state_letter)},
                {"wchan", task.wchan}};
    if (task.note == freezer::TaskEntry::Note::kZombie)
        object["parent"] = {{"pid", task.parent_tgid}, {"comm", task.parent_comm}};
    return object;
}

Json task_array(const std::vector<freezer::TaskEntry> &tasks)
{
    Json array = Json::array();
    for (const freezer::TaskEntry &task : tasks)
        array.push_back(task_object(task));
    return array;
}

Json holder_object(const freezer::Holder &holder)
{
    Json object{{"role", to_string(holder.role)}, {"confidence", to_string(holder.confidence)}};
    if (holder.pid != 0) {
        object["pid"] = holder.pid;
        object["comm"] = holder.comm;
        object["state"] = std::string(1, holder.state_letter);
    }
    if (!holder.path.empty())
        object["path"] = holder.path;
    if (!holder.type.empty())
        object["type"] = holder.type;
    if (!holder.source.empty())
        object["source"] = holder.source;
    return object;
}

Json held_object(const freezer::HeldTask &task)
{
    Json holders = Json::array();
    for (const freezer::Holder &holder : task.holders)
        holders.push_back(holder_object(holder));
    return {{"tid", task.tid},
            {"tgid", task.tgid},
            {"comm", task.comm},
            {"cgroup", task.cgroup},
            {"state", std::string(1, task.state_letter)},
            {"class", to_string(task.cause)},
            {"confidence", to_string(task.confidence)},
            {"what", phrase_of(task)},
            {"symbol", task.symbol},
            {"stack", task.stack},
            {"looks", task.looks},
            {"agreeing", task.agreeing},
            {"file_system", task.file_system},
            {"killed", task.killed},
            {"exiting", task.exiting},
            {"spinning", task.spinning},
            {"off_cpu_ns", or_null(task.off_cpu_ns)},
            {"held_by", std::move(holders)},
            {"advice", freezer::advice_for(task.cause)}};
}

const char *purpose_name(freezer::WhyReport::Purpose purpose)
{
    switch (purpose) {
    case freezer::WhyReport::Purpose::kState:
        return "state";
    case freezer::WhyReport::Purpose::kFreeze:
        return "freeze";
    case freezer::WhyReport::Purpose::kKill:
        return "kill";
    }
    return "state";
}

Json why_object(const freezer::WhyReport &report)
{
    Json held = Json::array();
    for (const freezer::HeldTask &task : report.tasks)
        held.push_back(held_object(task));
    return {{"sentence", sentence_of(report)},
            {"for", purpose_name(report.purpose)},
            {"state", report.state ? Json(to_string(*report.state)) : Json(nullptr)},
            {"held_by_ancestor", or_null(report.held_by_ancestor)},
            {"freezing_ns", or_null(report.freezing_ns)},
            {"tasks", report.members},
            {"frozen", report.frozen},
            {"born", report.born},
            {"held", std::move(held)},
            {"looks", report.looks},
            {"elapsed_ns", report.elapsed_ns},
            {"source", report.bpf ? "bpf" : "proc"},
            {"missing", report.missing}};
}

// A process may put any bytes into its name, a path may hold any: what is not UTF-8 is replaced.
std::string dump(const Json &object)
{
    return object.dump(-1, ' ', false, Json::error_handler_t::replace);
}

void add_tracking(Json &object, const freezer::Tracking &tracking)
{
    object["tracking"] = to_string(tracking.source);
    object["tracking_error"] = tracking.error ? Json(tracking.error->message) : Json(nullptr);
}

} // namespace

std::string to_json(const freezer::TargetReport &report, const freezer::Tracking &tracking)
{
    Json object{{"schema", kSchema},
                {"verb", to_string(report.verb)},
                {"target", report.target},
                {"path", report.path},
                {"hierarchy", report.hierarchy},
                {"id", report.id},
                {"goal", to_string(report.goal)},
                {"outcome", to_string(report.outcome)},
                {"error", error_object(report.error)}};
    object["actor"] = report.actor ? Json{{"pid", report.actor->pid},
                                          {"comm", report.actor->comm},
                                          {"uid", report.actor->uid}}
                                   : Json(nullptr);
    object["requested"] = report.requested;
    object["already"] = report.already;
    object["already_frozen"] = report.already && report.verb == freezer::Verb::kFreeze;
    object["rolled_back"] = report.rolled_back;
    object["killed"] = report.killed;
    object["removed"] = report.removed;
    object["state"] = report.state ? Json(to_string(*report.state)) : Json(nullptr);
    object["held_by_ancestor"] = or_null(report.held_by_ancestor);
    object["held_by_v1"] = report.held_by_v1;
    object["tasks"] = report.tasks;
    object["cgroups"] = report.cgroups;
    if (report.goal == freezer::Goal::kFrozen) {
        const auto late = static_cast<std::uint64_t>(report.stragglers.size());
        const bool reached = report.outcome == freezer::Outcome::kReached;
        object["frozen"] = reached && !report.rolled_back ? report.tasks
                           : report.tasks > late          ? report.tasks - late
                                                          : 0;
        object["not_frozen"] = late;
    }
    object["elapsed_ns"] = report.elapsed_ns;
    object["slowest"] = report.slowest ? Json{{"tid", report.slowest->tid},
                                              {"tgid", report.slowest->tgid},
                                              {"comm", report.slowest->comm},
                                              {"after_ns", report.slowest->after_ns}}
                                       : Json(nullptr);
    if (report.verb == freezer::Verb::kKill)
        object["deaths"] = or_null(report.deaths);
    object["stragglers"] = task_array(report.stragglers);
    object["why"] = report.why ? why_object(*report.why) : Json(nullptr);
    if (report.entries)
        object["task_list"] = task_array(*report.entries);
    add_tracking(object, tracking);
    object["dropped_events"] = report.dropped_events;
    object["complete"] = report.complete;
    object["verdict_source"] = to_string(report.source);
    object["warnings"] = report.warnings;
    return dump(object);
}

std::string to_json(const freezer::CgroupStatus &status)
{
    Json object{{"schema", kSchema},
                {"verb", "status"},
                {"path", status.path},
                {"hierarchy", status.hierarchy},
                {"id", status.id},
                {"state", to_string(status.state)},
                {"populated", status.populated},
                {"tasks", status.tasks},
                {"frozen", or_null(status.frozen_tasks)},
                {"held_by_v1", status.held_by_v1},
                {"since_ns", or_null(status.since_ns)},
                {"total_frozen_ns", or_null(status.total_ns)}};
    if (status.entries)
        object["task_list"] = task_array(*status.entries);
    return dump(object);
}

std::string to_json(const std::string &target, const freezer::WhyReport &report)
{
    Json object{{"schema", kSchema},
                {"verb", "why"},
                {"target", target},
                {"path", report.path},
                {"hierarchy", report.hierarchy},
                {"id", report.id}};
    object.update(why_object(report));
    return dump(object);
}

std::string to_json(const freezer::Diagnosis &diagnosis)
{
    const freezer::SelfTest &test = diagnosis.self_test;
    Json features = Json::array();
    for (const freezer::Feature &feature : diagnosis.features)
        features.push_back({{"name", feature.name},
                            {"state", to_string(feature.state)},
                            {"essential", feature.essential},
                            {"detail", feature.detail},
                            {"needed_by", feature.needed_by},
                            {"advice", feature.advice}});
    return dump(Json{{"schema", kSchema},
                     {"verb", "doctor"},
                     {"able", diagnosis.able()},
                     {"kernel", diagnosis.kernel},
                     {"architecture", diagnosis.architecture},
                     {"cgroup_mode", diagnosis.cgroup_mode},
                     {"mounts", diagnosis.mounts},
                     {"features", std::move(features)},
                     {"self_test",
                      {{"passed", test.passed},
                       {"error", test.passed ? Json(nullptr) : Json(test.error)},
                       {"tracking", test.tracking},
                       {"load_ns", test.load_ns},
                       {"freeze_ns", test.freeze_ns},
                       {"thaw_ns", test.thaw_ns}}}});
}

std::string to_json(const freezer::AttachResult &result)
{
    return dump(Json{{"schema", kSchema},
                     {"verb", "attach"},
                     {"outcome", "reached"},
                     {"path", result.path},
                     {"already", result.already},
                     {"removed", result.removed},
                     {"mounted", result.mounted}});
}

std::string detached_to_json(std::uint32_t removed)
{
    return dump(Json{{"schema", kSchema},
                     {"verb", "detach"},
                     {"outcome", "reached"},
                     {"already", removed == 0},
                     {"removed", removed}});
}

std::string to_json(const freezer::SignalReport &report, bool waited,
                    const freezer::Tracking &tracking)
{
    const freezer::TargetReport &freeze = report.freeze;
    Json object{{"schema", kSchema},
                {"verb", "kill"},
                {"target", freeze.target},
                {"path", freeze.path},
                {"hierarchy", freeze.hierarchy},
                {"id", freeze.id},
                {"signal", report.signal},
                {"signal_name", freezer::signal_name(report.signal)},
                {"outcome", to_string(report.outcome)},
                {"error", error_object(report.error)},
                {"already_frozen", freeze.already},
                {"sent", report.sent},
                {"state", report.state ? Json(to_string(*report.state)) : Json(nullptr)},
                {"elapsed_ns", report.elapsed_ns},
                {"stragglers", task_array(freeze.stragglers)}};
    if (waited) {
        Json ends = Json::object();
        Json list = Json::array();
        for (const freezer::SignalledProcess &process : report.processes) {
            const char *const end = to_string(process.end);
            ends[end] = ends.value(end, 0) + 1;
            list.push_back({{"pid", process.pid}, {"comm", process.comm}, {"end", end}});
        }
        object["ends"] = ends;
        object["process_list"] = list;
    }
    add_tracking(object, tracking);
    object["warnings"] = freeze.warnings;
    return dump(object);
}

std::string to_json(const RunReport &report)
{
    Json left = Json::array();
    for (const freezer::Member &member : report.left.processes)
        left.push_back({{"pid", member.pid},
                        {"comm", member.comm},
                        {"command_line", member.command_line},
                        {"cgroup", member.cgroup}});
    return dump(Json{{"schema", kSchema},
                     {"verb", "run"},
                     {"command", report.command},
                     {"path", report.path},
                     {"hierarchy", "v2"},
                     {"id", report.id},
                     {"outcome", to_string(report.outcome)},
                     {"status", report.status},
                     {"elapsed_ns", report.elapsed_ns},
                     {"left", report.left.count},
                     {"left_list", std::move(left)},
                     {"removed", report.removed}});
}

std::string to_json(const ListEntry &entry)
{
    const freezer::NamedCgroup &cgroup = entry.cgroup;
    return dump(Json{{"schema", kSchema},
                     {"verb", "list"},
                     {"type", to_string(cgroup.name.kind)},
                     {"name", best_name(cgroup)},
                     {"id", cgroup.name.id},
                     {"names", cgroup.names},
                     {"runtime", cgroup.name.runtime},
                     {"path", cgroup.path},
                     {"hierarchy", cgroup.hierarchy == freezer::HierarchyChoice::kV1 ? "v1" : "v2"},
                     {"state", to_string(entry.state)},
                     {"populated", entry.populated}});
}

std::string to_json(const std::string &target, const std::string &verb, const freezer::Error &error)
{
    return dump(Json{{"schema", kSchema},
                     {"verb", verb},
                     {"target", target},
                     {"outcome", "failed"},
                     {"error", error_object(error)},
                     {"requested", false}});
}

} // namespace freezerctl
