// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "tools/freezerctl/trace_json.h"

#include <algorithm>
#include <limits>
#include <utility>

#include <nlohmann/json.hpp>

namespace freezerctl
{
namespace
{

using freezer::TraceCgroup;
using freezer::TraceEvent;
using freezer::TraceTask;
using Json = nlohmann::ordered_json;

// What is not UTF-8 is replaced, what is not ASCII written as an escape: no terminal acts on it.
std::string dump(const Json &object)
{
    return object.dump(-1, ' ', true, Json::error_handler_t::replace);
}

bool is_utf8(const std::string &text)
{
    if (std::all_of(text.begin(), text.end(),
                    [](char c) { return static_cast<unsigned char>(c) < 0x80; }))
        return true;
    try {
        (void)Json(text).dump();
        return true;
    } catch (const Json::exception &) {
        return false;
    }
}

std::string to_hex(const std::string &bytes)
{
    static constexpr char kDigits[] = "0123456789abcdef";
    std::string out;
    for (const char byte : bytes) {
        out += kDigits[static_cast<unsigned char>(byte) >> 4];
        out += kDigits[static_cast<unsigned char>(byte) & 0xf];
    }
    return out;
}

std::string from_hex(const std::string &hex)
{
    const auto digit = [](char c) -> unsigned {
        if (c >= '0' && c <= '9')
            return static_cast<unsigned>(c - '0');
        return c >= 'a' && c <= 'f' ? static_cast<unsigned>(c - 'a') + 10 : 0;
    };
    std::string out;
    for (size_t i = 0; i + 1 < hex.size(); i += 2)
        out += static_cast<char>(digit(hex[i]) << 4 | digit(hex[i + 1]));
    return out;
}

Json task_object(const TraceTask &task)
{
    Json object{{"tid", task.tid}, {"tgid", task.tgid}, {"uid", task.uid}, {"comm", task.comm}};
    if (!is_utf8(task.comm))
        object["comm_hex"] = to_hex(task.comm);
    return object;
}

Json cgroup_path(const TraceCgroup &cgroup)
{
    return cgroup.path.empty() ? Json(nullptr) : Json(cgroup.path);
}

void add_path(Json &object, const char *name, const TraceCgroup &cgroup)
{
    object[name] = cgroup_path(cgroup);
    object[std::string(name) + "_id"] = cgroup.id;
    if (!is_utf8(cgroup.path))
        object[std::string(name) + "_hex"] = to_hex(cgroup.path);
}

// A reader of fields that never throws: a field that is missing or of another type spoils it.
class Fields
{
  public:
    explicit Fields(const Json &object) : object_(object) {}

    [[nodiscard]] bool has(const char *name) const
    {
        return object_.contains(name) && !object_[name].is_null();
    }
    std::uint64_t number(const char *name, std::uint64_t most)
    {
        if (!object_.contains(name) || !object_[name].is_number_unsigned() ||
            object_[name].get<std::uint64_t>() > most) {
            good_ = false;
            return 0;
        }
        return object_[name].get<std::uint64_t>();
    }
    std::uint64_t number64(const char *name)
    {
        return number(name, std::numeric_limits<std::uint64_t>::max());
    }
    std::uint32_t number32(const char *name)
    {
        return static_cast<std::uint32_t>(number(name, std::numeric_limits<std::uint32_t>::max()));
    }
    std::string text(const char *name)
    {
        if (!object_.contains(name) || !object_[name].is_string()) {
            good_ = false;
            return "";
        }
        return object_[name].get<std::string>();
    }
    bool flag(const char *name)
    {
        return object_.contains(name) && object_[name].is_boolean() && object_[name].get<bool>();
    }
    TraceTask task(const char *name)
    {
        if (!object_.contains(name) || !object_[name].is_object()) {
            good_ = false;
            return {};
        }
        Fields fields(object_[name]);
        TraceTask task{fields.number32("tid"), fields.number32("tgid"), fields.number32("uid"),
                       fields.has("comm_hex") ? from_hex(fields.text("comm_hex"))
                                              : fields.text("comm")};
        good_ = good_ && fields.good();
        return task;
    }
    TraceCgroup cgroup(const std::string &name)
    {
        TraceCgroup cgroup{number64((name + "_id").c_str()), ""};
        const std::string hex = name + "_hex";
        if (has(hex.c_str()))
            cgroup.path = from_hex(text(hex.c_str()));
        else if (has(name.c_str()))
            cgroup.path = text(name.c_str());
        return cgroup;
    }
    void spoil() { good_ = false; }
    [[nodiscard]] bool good() const { return good_; }

  private:
    const Json &object_;
    bool good_ = true;
};

TraceStart read_start(const Json &object, Fields &fields)
{
    TraceStart start;
    start.time_ns = fields.number64("time_ns");
    start.wall_ns = fields.number64("wall_ns");
    start.kernel = fields.text("kernel");
    if (object.contains("cgroups") && object["cgroups"].is_array()) {
        for (const Json &path : object["cgroups"]) {
            if (path.is_string())
                start.cgroups.push_back(path.get<std::string>());
        }
    }
    return start;
}

TraceEnd read_end(const Json &object, Fields &fields)
{
    TraceEnd end;
    end.time_ns = fields.number64("time_ns");
    end.events = fields.number64("events");
    if (!object.contains("lost") || !object["lost"].is_object()) {
        fields.spoil();
        return end;
    }
    for (const auto &[name, value] : object["lost"].items()) {
        if (!value.is_number_unsigned()) {
            fields.spoil();
            continue;
        }
        if (name == "task_records")
            end.drops[FZ_TRACE_DROP_RECORD] = value.get<std::uint64_t>();
        else if (const auto kind = freezer::parse_event_name(name))
            end.drops[kind->first] = value.get<std::uint64_t>();
    }
    return end;
}

bool has_task(fz_trace_kind kind)
{
    switch (kind) {
    case FZ_TR_MEMBER:
    case FZ_TR_REACHED:
    case FZ_TR_LEFT:
    case FZ_TR_SIGNAL:
    case FZ_TR_DELIVER:
    case FZ_TR_FORK:
    case FZ_TR_EXIT:
    case FZ_TR_MOVED:
        return true;
    default:
        return false;
    }
}

struct FlagName {
    const char *name;
    std::uint32_t flag;
};
constexpr FlagName kFlags[] = {{"inherited", FZ_TRF_INHERITED},
                               {"kernel_sent", FZ_TRF_KERNEL},
                               {"process", FZ_TRF_GROUP},
                               {"inside", FZ_TRF_INSIDE}};

std::uint32_t flags_of(fz_trace_kind kind)
{
    switch (kind) {
    case FZ_TR_FREEZE:
    case FZ_TR_THAW:
        return FZ_TRF_INHERITED;
    case FZ_TR_SIGNAL:
        return FZ_TRF_KERNEL | FZ_TRF_GROUP;
    case FZ_TR_MOVED:
        return FZ_TRF_GROUP;
    case FZ_TR_MEMBER:
        return FZ_TRF_INSIDE;
    default:
        return 0;
    }
}

TraceEvent read_event(const Json &object, Fields &fields, fz_trace_kind kind, std::uint32_t value)
{
    TraceEvent event;
    event.kind = kind;
    event.value = value;
    event.time_ns = fields.number64("time_ns");
    event.cgroup = fields.cgroup("cgroup");
    if (has_task(kind))
        event.task = fields.task("task");
    if (fields.has("actor")) {
        event.actor = fields.task("actor");
        Fields actor(object["actor"]);
        event.actor_cgroup = actor.cgroup("cgroup");
        if (!actor.good())
            fields.spoil();
    }
    if (fields.has("since_ns"))
        event.since_ns = fields.number64("since_ns");
    if (kind == FZ_TR_SIGNAL || kind == FZ_TR_DELIVER)
        event.value = fields.number32("signal");
    if (kind == FZ_TR_SIGNAL)
        event.result = fields.number32("result_code");
    if (kind == FZ_TR_EXIT)
        event.value = fields.number32("wait_status");
    if (fields.has("from_id"))
        event.from = fields.cgroup("from");
    for (const FlagName &flag : kFlags) {
        if (fields.flag(flag.name))
            event.flags |= flag.flag;
    }
    return event;
}

} // namespace

std::string to_json(const TraceStart &start)
{
    Json cgroups = Json::array();
    for (const std::string &path : start.cgroups)
        cgroups.push_back(path);
    return dump({{"schema", kTraceSchema},
                 {"event", "start"},
                 {"time_ns", start.time_ns},
                 {"wall_ns", start.wall_ns},
                 {"cgroups", cgroups},
                 {"kernel", start.kernel}});
}

std::string to_json(const TraceEvent &event)
{
    Json object{{"schema", kTraceSchema},
                {"event", freezer::event_name(event.kind, event.value)},
                {"time_ns", event.time_ns}};
    add_path(object, "cgroup", event.cgroup);
    if (has_task(event.kind))
        object["task"] = task_object(event.task);
    if (event.has_actor()) {
        Json actor = task_object(event.actor);
        add_path(actor, "cgroup", event.actor_cgroup);
        object["actor"] = std::move(actor);
    }
    const bool told = event.since_ns != 0 && event.since_ns <= event.time_ns;
    if (event.kind == FZ_TR_REACHED || event.kind == FZ_TR_LEFT || event.since_ns != 0) {
        object["since_ns"] = event.since_ns != 0 ? Json(event.since_ns) : Json(nullptr);
        object["after_ns"] = told ? Json(event.time_ns - event.since_ns) : Json(nullptr);
    }
    if (event.kind == FZ_TR_SIGNAL || event.kind == FZ_TR_DELIVER) {
        object["signal"] = event.value;
        object["signal_name"] = freezer::signal_name(event.value);
    }
    if (event.kind == FZ_TR_SIGNAL) {
        object["result"] = freezer::signal_result(event.result);
        object["result_code"] = event.result;
    }
    if (event.kind == FZ_TR_EXIT)
        object["wait_status"] = event.value;
    if (event.from.id != 0)
        add_path(object, "from", event.from);
    for (const FlagName &flag : kFlags) {
        if (flags_of(event.kind) & flag.flag)
            object[flag.name] = (event.flags & flag.flag) != 0;
    }
    return dump(object);
}

std::string to_json(const TraceEnd &end, const std::vector<freezer::ProgramCost> &costs)
{
    Json lost = Json::object();
    for (std::uint32_t kind = 0; kind < end.drops.size(); ++kind) {
        if (end.drops[kind] == 0)
            continue;
        lost[kind == FZ_TRACE_DROP_RECORD
                 ? "task_records"
                 : freezer::event_name(static_cast<fz_trace_kind>(kind), 1)] = end.drops[kind];
    }
    Json object{{"schema", kTraceSchema},
                {"event", "end"},
                {"time_ns", end.time_ns},
                {"events", end.events},
                {"lost_total", freezer::total(end.drops)},
                {"lost", lost}};
    if (!costs.empty()) {
        Json programs = Json::array();
        for (const freezer::ProgramCost &cost : costs)
            programs.push_back(
                {{"name", cost.name}, {"runs", cost.runs}, {"time_ns", cost.time_ns}});
        object["programs"] = std::move(programs);
    }
    return dump(object);
}

std::optional<TraceLine> parse_trace_line(std::string_view text)
{
    const Json object = Json::parse(text, nullptr, false);
    if (!object.is_object())
        return std::nullopt;
    Fields fields(object);
    if (fields.number64("schema") != kTraceSchema)
        return std::nullopt;
    const std::string name = fields.text("event");
    TraceLine line;
    if (name == "start")
        line = read_start(object, fields);
    else if (name == "end")
        line = read_end(object, fields);
    else if (const auto kind = freezer::parse_event_name(name))
        line = read_event(object, fields, kind->first, kind->second);
    if (!fields.good())
        return std::nullopt;
    return line;
}

std::string trace_schema()
{
    const Json count{{"type", "integer"}, {"minimum", 0}};
    const Json text{{"type", "string"}};
    const Json text_or_null{{"type", {"string", "null"}}};
    const Json count_or_null{{"type", {"integer", "null"}}, {"minimum", 0}};
    const Json boolean{{"type", "boolean"}};
    const Json hex{{"type", "string"}, {"pattern", "^([0-9a-f]{2})*$"}};

    Json names = Json::array({"start", "end"});
    for (int kind = 0; kind < FZ_TR_KINDS; ++kind) {
        names.push_back(freezer::event_name(static_cast<fz_trace_kind>(kind), 1));
        const std::string other = freezer::event_name(static_cast<fz_trace_kind>(kind), 0);
        if (other != names.back().get<std::string>())
            names.push_back(other);
    }
    const Json task{
        {"type", "object"},
        {"required", {"tid", "tgid", "uid", "comm"}},
        {"properties",
         {{"tid", count}, {"tgid", count}, {"uid", count}, {"comm", text}, {"comm_hex", hex}}}};
    Json actor = task;
    actor["required"].push_back("cgroup_id");
    actor["properties"]["cgroup"] = text_or_null;
    actor["properties"]["cgroup_id"] = count;
    actor["properties"]["cgroup_hex"] = hex;
    const auto when = [](Json events, Json required) {
        return Json{{"if", {{"properties", {{"event", {{"enum", std::move(events)}}}}}}},
                    {"then", {{"required", std::move(required)}}}};
    };
    const Json schema{
        {"$schema", "https://json-schema.org/draft/2020-12/schema"},
        {"title", "freezerctl trace"},
        {"description", "One line of 'freezerctl trace --format json'. Times are nanoseconds of "
                        "CLOCK_MONOTONIC. Fields may be added within one schema number."},
        {"type", "object"},
        {"required", {"schema", "event", "time_ns"}},
        {"properties",
         {{"schema", {{"const", kTraceSchema}}},
          {"event", {{"enum", names}}},
          {"time_ns", count},
          {"wall_ns", count},
          {"kernel", text},
          {"cgroups", {{"type", "array"}, {"items", text}}},
          {"cgroup", text_or_null},
          {"cgroup_id", count},
          {"cgroup_hex", hex},
          {"task", task},
          {"actor", actor},
          {"since_ns", count_or_null},
          {"after_ns", count_or_null},
          {"signal", count},
          {"signal_name", text},
          {"result", text},
          {"result_code", count},
          {"wait_status", count},
          {"from", text_or_null},
          {"from_id", count},
          {"from_hex", hex},
          {"inherited", boolean},
          {"kernel_sent", boolean},
          {"process", boolean},
          {"inside", boolean},
          {"events", count},
          {"lost_total", count},
          {"lost", {{"type", "object"}, {"additionalProperties", count}}},
          {"programs",
           {{"type", "array"},
            {"items",
             {{"type", "object"},
              {"required", {"name", "runs", "time_ns"}},
              {"properties", {{"name", text}, {"runs", count}, {"time_ns", count}}}}}}}}},
        {"allOf",
         {when({"start"}, {"wall_ns", "cgroups", "kernel"}),
          when({"end"}, {"events", "lost_total", "lost"}),
          when({"freeze", "thaw", "made", "removed"}, {"cgroup_id", "actor"}),
          when({"frozen", "unfrozen", "populated", "empty"}, {"cgroup_id"}),
          when({"reached", "left"}, {"cgroup_id", "task", "since_ns", "after_ns"}),
          when({"signal"}, {"cgroup_id", "task", "actor", "signal", "signal_name", "result"}),
          when({"deliver"}, {"cgroup_id", "task", "signal", "signal_name"}),
          when({"fork", "moved"}, {"cgroup_id", "task", "actor"}),
          when({"exit"}, {"cgroup_id", "task", "wait_status"})}}};
    return schema.dump(2) + "\n";
}

} // namespace freezerctl
