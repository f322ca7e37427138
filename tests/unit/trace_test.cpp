// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// The trace without a kernel: the model, and what each view makes of a scene.
#include <gtest/gtest.h>

#include <cctype>
#include <csignal>
#include <cstring>
#include <map>
#include <regex>
#include <set>

#include <nlohmann/json.hpp>

#include "tools/freezerctl/record_file.h"
#include "tools/freezerctl/top_view.h"
#include "tools/freezerctl/trace_json.h"
#include "tools/freezerctl/trace_text.h"
#include "tools/freezerctl/trace_views.h"
#include "user/files.h"
#include "user/trace_model.h"

namespace
{

using freezer::Freeze;
using freezer::TraceCgroup;
using freezer::TraceEvent;
using freezer::TraceModel;
using freezer::TraceTask;
using freezerctl::Recording;
using nlohmann::json;

const TraceCgroup kTop{100, "/demo"};
const TraceCgroup kDb{101, "/demo/db"};
const TraceCgroup kOther{102, "/demolition"}; // begins like kTop, and is not below it
const TraceTask kRunc{901, 901, 0, "runc"};
const char *const kHostile = "\x1b[2J<&\"'>\xff";

TraceTask task(std::uint32_t tid, const std::string &comm = "postgres")
{
    return {tid, tid, 26, comm};
}

TraceEvent of_cgroup(fz_trace_kind kind, std::uint64_t at, const TraceCgroup &cgroup,
                     std::uint32_t value = 0)
{
    TraceEvent event;
    event.kind = kind;
    event.time_ns = at;
    event.cgroup = cgroup;
    event.value = value;
    if (kind == FZ_TR_FREEZE || kind == FZ_TR_THAW || kind == FZ_TR_MADE || kind == FZ_TR_REMOVED) {
        event.actor = kRunc;
        event.actor_cgroup = {1, "/"};
    }
    return event;
}

TraceEvent of_task(fz_trace_kind kind, std::uint64_t at, const TraceCgroup &cgroup,
                   const TraceTask &who, std::uint64_t since = 0)
{
    TraceEvent event = of_cgroup(kind, at, cgroup);
    event.task = who;
    event.since_ns = since;
    return event;
}

TraceEvent signal_to(std::uint64_t at, const TraceTask &who, std::uint32_t number)
{
    TraceEvent event = of_task(FZ_TR_SIGNAL, at, kDb, who);
    event.value = number;
    event.actor = {1, 1, 0, "systemd"};
    event.actor_cgroup = {1, "/"};
    return event;
}

// Two tasks freeze and thaw, then one is killed while frozen. Times in microseconds.
std::vector<TraceEvent> scene()
{
    constexpr std::uint64_t us = 1000;
    auto reached = [&](std::uint64_t at, std::uint32_t tid, std::uint64_t since) {
        return of_task(FZ_TR_REACHED, at * us, kDb, task(tid), since * us);
    };
    auto left = [&](std::uint64_t at, std::uint32_t tid, std::uint64_t since) {
        return of_task(FZ_TR_LEFT, at * us, kDb, task(tid), since * us);
    };
    TraceEvent inherited = of_cgroup(FZ_TR_FREEZE, 1000 * us, kDb);
    inherited.flags = FZ_TRF_INHERITED;
    TraceEvent exit = of_task(FZ_TR_EXIT, 5300 * us, kDb, task(11));
    exit.value = SIGKILL;
    return {of_task(FZ_TR_MEMBER, 900 * us, kDb, task(11)),
            of_task(FZ_TR_MEMBER, 900 * us, kDb, task(12)),
            of_task(FZ_TR_MEMBER, 900 * us, kOther, task(13)),
            of_cgroup(FZ_TR_FREEZE, 1000 * us, kTop),
            inherited,
            reached(1100, 11, 1000),
            reached(1300, 12, 1000),
            of_cgroup(FZ_TR_FROZEN, 1300 * us, kDb, 1),
            of_cgroup(FZ_TR_FROZEN, 1301 * us, kTop, 1),
            of_cgroup(FZ_TR_THAW, 2000 * us, kTop),
            of_cgroup(FZ_TR_FROZEN, 2001 * us, kTop, 0),
            left(2100, 11, 1100),
            left(2100, 12, 1300),
            of_cgroup(FZ_TR_FREEZE, 5000 * us, kTop),
            reached(5050, 12, 5000),
            reached(5060, 11, 5000),
            of_cgroup(FZ_TR_FROZEN, 5061 * us, kTop, 1),
            signal_to(5200 * us, task(11), SIGKILL),
            left(5210, 11, 5060),
            exit};
}

Recording recording(std::vector<TraceEvent> events)
{
    Recording out;
    out.start = {900'000, 1'700'000'000'000'000'000, {"/demo"}, "6.18.0"};
    out.events = std::move(events);
    out.end = freezerctl::TraceEnd{6'000'000, out.events.size(), {}};
    return out;
}

std::string file_of(const Recording &from)
{
    std::string text = freezerctl::record_header() + freezerctl::record_line(to_json(from.start));
    for (const TraceEvent &event : from.events)
        text += freezerctl::record_line(freezerctl::to_json(event));
    return text + freezerctl::record_line(to_json(*from.end, {}));
}

const Freeze &nth(const TraceModel &model, size_t n)
{
    return *std::next(model.freezes().begin(), static_cast<long>(n));
}

// ---- the model
// -----------------------------------------------------------------------------------

TEST(TraceModel, one_freeze_for_each_own_request)
{
    const TraceModel model = model_of(recording(scene()));
    ASSERT_EQ(model.freezes().size(), 2U);
    const Freeze &first = nth(model, 0);
    EXPECT_EQ(first.cgroup, kTop);
    EXPECT_EQ(first.actor, kRunc);
    EXPECT_EQ(first.times(), (std::vector<std::uint64_t>{100'000, 300'000}));
    EXPECT_EQ(first.total_ns(), 301'000U);
    EXPECT_EQ(first.slowest()->task.tid, 12U);
    EXPECT_EQ(first.stragglers(), 0U);
    EXPECT_EQ(first.thaw_ns, 2'000'000U);
    ASSERT_EQ(first.tasks.size(), 2U); // not the one of /demolition
    EXPECT_EQ(first.tasks[0].left_ns, 2'100'000U);
    EXPECT_FALSE(first.tasks[0].killed_ns);
}

TEST(TraceModel, a_kill_is_of_the_freeze_in_which_it_came)
{
    const TraceModel model = model_of(recording(scene()));
    const Freeze &second = nth(model, 1);
    EXPECT_EQ(second.slowest()->task.tid, 11U);
    for (const auto &in : second.tasks) {
        EXPECT_EQ(in.killed_ns.has_value(), in.task.tid == 11) << in.task.tid;
        EXPECT_EQ(in.exited_ns.has_value(), in.task.tid == 11) << in.task.tid;
        EXPECT_EQ(in.left_ns.has_value(), in.task.tid == 11) << in.task.tid;
    }
}

TEST(TraceModel, who_does_not_come_is_a_straggler_until_it_dies)
{
    TraceModel model(true);
    model.apply(of_task(FZ_TR_MEMBER, 1, kTop, task(1)));
    model.apply(of_task(FZ_TR_MEMBER, 1, kTop, task(2)));
    model.apply(of_cgroup(FZ_TR_FREEZE, 10, kTop));
    model.apply(of_task(FZ_TR_REACHED, 20, kTop, task(1), 10));
    EXPECT_EQ(nth(model, 0).stragglers(), 1U);
    EXPECT_FALSE(nth(model, 0).total_ns());
    model.apply(of_task(FZ_TR_EXIT, 30, kTop, task(2)));
    EXPECT_EQ(nth(model, 0).stragglers(), 0U);
}

TEST(TraceModel, born_or_moved_into_a_freezing_cgroup)
{
    TraceModel model(true);
    model.apply(of_task(FZ_TR_MEMBER, 1, kOther, task(3)));
    model.apply(of_cgroup(FZ_TR_FREEZE, 10, kTop));
    model.apply(of_task(FZ_TR_FORK, 11, kDb, task(2)));
    model.apply(of_task(FZ_TR_MOVED, 12, kDb, task(3)));
    EXPECT_EQ(nth(model, 0).tasks.size(), 2U);
    EXPECT_EQ(nth(model, 0).stragglers(), 2U);
}

TEST(TraceModel, frozen_again_before_it_ran)
{
    TraceModel model(true);
    model.apply(of_cgroup(FZ_TR_FREEZE, 10, kTop));
    model.apply(of_task(FZ_TR_REACHED, 20, kTop, task(1), 10));
    model.apply(of_cgroup(FZ_TR_THAW, 30, kTop));
    model.apply(of_cgroup(FZ_TR_FREEZE, 40, kTop));
    model.apply(of_task(FZ_TR_REACHED, 45, kTop, task(1), 40));
    ASSERT_EQ(model.freezes().size(), 2U);
    EXPECT_EQ(nth(model, 0).times(), std::vector<std::uint64_t>{10});
    EXPECT_EQ(nth(model, 1).times(), std::vector<std::uint64_t>{5});
}

TEST(TraceModel, nested_freezes_are_two)
{
    TraceModel model(true);
    model.apply(of_task(FZ_TR_MEMBER, 1, kDb, task(1)));
    model.apply(of_cgroup(FZ_TR_FREEZE, 10, kDb));
    model.apply(of_task(FZ_TR_REACHED, 20, kDb, task(1), 10));
    model.apply(of_cgroup(FZ_TR_FREEZE, 30, kTop));
    ASSERT_EQ(nth(model, 1).tasks.size(), 1U);
    EXPECT_TRUE(nth(model, 1).tasks[0].before);
    EXPECT_TRUE(nth(model, 1).times().empty());
}

TEST(TraceModel, a_live_one_forgets_what_is_over)
{
    TraceModel model(false);
    for (std::uint64_t round = 0; round < 1000; ++round) {
        model.apply(of_cgroup(FZ_TR_FREEZE, 100 * round + 10, kTop));
        model.apply(of_task(FZ_TR_REACHED, 100 * round + 20, kTop, task(1)));
        model.apply(of_cgroup(FZ_TR_THAW, 100 * round + 30, kTop));
        model.apply(of_task(FZ_TR_LEFT, 100 * round + 40, kTop, task(1)));
    }
    EXPECT_LE(model.freezes().size(), 1U);
}

TEST(TraceModel, percentiles_are_values_that_occurred)
{
    std::vector<std::uint64_t> hundred;
    for (std::uint64_t i = 1; i <= 100; ++i)
        hundred.push_back(i);
    EXPECT_EQ(freezer::percentile(hundred, 50), 50U);
    EXPECT_EQ(freezer::percentile(hundred, 99), 99U);
    EXPECT_EQ(freezer::percentile(hundred, 100), 100U);
    EXPECT_EQ(freezer::percentile({7}, 50), 7U);
    EXPECT_EQ(freezer::percentile({7, 9}, 90), 9U);
}

TEST(TraceModel, a_histogram_counts_each_once)
{
    const std::vector<std::uint64_t> times{1, 999, 1000, 1001, 5000, 900'000};
    const freezer::Histogram histogram = freezer::histogram(times);
    size_t sum = 0;
    for (const size_t count : histogram.counts)
        sum += count;
    EXPECT_EQ(sum, times.size());
    EXPECT_EQ(histogram.counts.front(), 3U);
    EXPECT_GE(histogram.bounds_ns.back(), times.back());
    EXPECT_TRUE(freezer::histogram({}).counts.empty());
    EXPECT_EQ(freezer::histogram({UINT64_MAX}).counts.back(), 1U);
}

TEST(TraceEvents, lists)
{
    EXPECT_EQ(*freezer::parse_event_list("all"), freezer::kAllTraceEvents);
    EXPECT_EQ(*freezer::parse_event_list("freeze,thaw"), *freezer::parse_event_list("requests"));
    for (const char *bad : {"", "freeze,", "melt", "freeze thaw", ","})
        EXPECT_FALSE(freezer::parse_event_list(bad)) << bad;
    EXPECT_TRUE(freezer::is_at_or_below("/a/b", "/a"));
    EXPECT_TRUE(freezer::is_at_or_below("/a", "/"));
    EXPECT_FALSE(freezer::is_at_or_below("/ab", "/a"));
    EXPECT_EQ(freezer::signal_name(9), "SIGKILL");
    EXPECT_EQ(freezer::signal_name(static_cast<std::uint32_t>(SIGRTMIN) + 3), "SIGRTMIN+3");
}

// ---- JSON
// ----------------------------------------------------------------------------------------

// As much of JSON Schema as trace_schema() uses. Returns what is wrong.
std::string check(const json &schema, const json &value, const std::string &where = "")
{
    const auto is = [&](const std::string &type) {
        return (type == "object" && value.is_object()) || (type == "array" && value.is_array()) ||
               (type == "string" && value.is_string()) ||
               (type == "boolean" && value.is_boolean()) || (type == "null" && value.is_null()) ||
               (type == "integer" && value.is_number_integer());
    };
    const auto below = [&](const std::string &name) { return where + name; };
    for (const auto &[word, rule] : schema.items()) {
        if (word == "type") {
            bool any = rule.is_string() && is(rule.get<std::string>());
            for (const json &type : rule)
                any = any || is(type.get<std::string>());
            if (!any)
                return where + ": " + value.dump() + " is not " + rule.dump();
        } else if (word == "const" && value != rule) {
            return where + ": not " + rule.dump();
        } else if (word == "enum" && std::find(rule.begin(), rule.end(), value) == rule.end()) {
            return where + ": " + value.dump() + " is none of " + rule.dump();
        } else if (word == "minimum" && value.is_number() && value < rule) {
            return where + ": too small";
        } else if (word == "pattern" && value.is_string() &&
                   !std::regex_match(value.get<std::string>(),
                                     std::regex(rule.get<std::string>()))) {
            return where + ": " + value.dump() + " does not match";
        } else if (word == "required") {
            for (const json &name : rule) {
                if (!value.contains(name.get<std::string>()))
                    return where + ": no " + name.dump();
            }
        } else if (word == "items") {
            for (const json &item : value) {
                if (auto wrong = check(rule, item, below("[]")); !wrong.empty())
                    return wrong;
            }
        } else if (word == "properties") {
            for (const auto &[name, sub] : rule.items()) {
                if (!value.contains(name))
                    continue;
                if (auto wrong = check(sub, value[name], below("." + name)); !wrong.empty())
                    return wrong;
            }
        } else if (word == "additionalProperties" && rule.is_object()) {
            for (const auto &[name, item] : value.items()) {
                if (auto wrong = check(rule, item, below("." + name)); !wrong.empty())
                    return wrong;
            }
        } else if (word == "allOf") {
            for (const json &part : rule) {
                if (auto wrong = check(part, value, where); !wrong.empty())
                    return wrong;
            }
        } else if (word == "if" && check(rule, value).empty()) {
            if (auto wrong = check(schema["then"], value, where); !wrong.empty())
                return wrong;
        }
    }
    return "";
}

std::vector<TraceEvent> one_of_each()
{
    std::vector<TraceEvent> events;
    for (int kind = 0; kind < FZ_TR_KINDS; ++kind) {
        TraceEvent event = of_task(static_cast<fz_trace_kind>(kind), 1000, kDb, {}, 0);
        const std::set<int> cgroup_kinds{FZ_TR_FREEZE,    FZ_TR_THAW, FZ_TR_FROZEN,
                                         FZ_TR_POPULATED, FZ_TR_MADE, FZ_TR_REMOVED};
        if (!cgroup_kinds.contains(kind))
            event.task = task(7, kHostile);
        if (kind == FZ_TR_SIGNAL || kind == FZ_TR_FORK || kind == FZ_TR_MOVED) {
            event.actor = task(8, "x");
            event.actor_cgroup = {5, ""};
        }
        if (kind == FZ_TR_SIGNAL || kind == FZ_TR_DELIVER)
            event.value = 15;
        if (kind == FZ_TR_SIGNAL) {
            event.result = 2;
            event.flags = FZ_TRF_GROUP;
        }
        if (kind == FZ_TR_MOVED)
            event.from = kOther;
        if (kind == FZ_TR_MEMBER)
            event.flags = FZ_TRF_INSIDE;
        events.push_back(event);
        event.value = 1;
        if (kind == FZ_TR_FROZEN || kind == FZ_TR_POPULATED)
            events.push_back(event);
    }
    events.push_back(of_task(FZ_TR_REACHED, 2000, {9, "/\xfe"}, task(1), 1500));
    return events;
}

TEST(TraceJson, every_event_matches_the_schema_and_comes_back)
{
    const json schema = json::parse(freezerctl::trace_schema());
    for (const TraceEvent &event : one_of_each()) {
        const std::string line = freezerctl::to_json(event);
        EXPECT_EQ(check(schema, json::parse(line)), "") << line;
        EXPECT_EQ(line.find_first_of("\x1b\xff\n"), std::string::npos) << line;
        const auto back = freezerctl::parse_trace_line(line);
        ASSERT_TRUE(back) << line;
        EXPECT_EQ(std::get<TraceEvent>(*back), event) << line;
    }
    const Recording whole = recording({});
    freezerctl::TraceEnd end = *whole.end;
    end.drops[FZ_TR_REACHED] = 3;
    end.drops[FZ_TRACE_DROP_RECORD] = 1;
    for (const std::string &line : {to_json(whole.start), to_json(end, {{"trace_switch", 5, 700}})})
        EXPECT_EQ(check(schema, json::parse(line)), "") << line;
    const auto back = freezerctl::parse_trace_line(to_json(end, {}));
    EXPECT_EQ(std::get<freezerctl::TraceEnd>(*back), end);
    EXPECT_EQ(std::get<freezerctl::TraceStart>(*freezerctl::parse_trace_line(to_json(whole.start))),
              whole.start);
}

TEST(TraceJson, the_schema_refuses_what_is_wrong)
{
    const json schema = json::parse(freezerctl::trace_schema());
    json line = json::parse(freezerctl::to_json(of_task(FZ_TR_REACHED, 2000, kDb, task(1), 1500)));
    for (const char *field : {"schema", "event", "time_ns", "task", "cgroup_id", "since_ns"}) {
        json less = line;
        less.erase(field);
        EXPECT_NE(check(schema, less), "") << field;
    }
    line["event"] = "melted";
    EXPECT_NE(check(schema, line), "");
}

TEST(TraceJson, foreign_lines)
{
    for (const char *bad :
         {"", "{", "[]", "7", "null", "{}", R"({"schema":2,"event":"freeze","time_ns":1})",
          R"({"schema":1,"event":"freeze","time_ns":-1,"cgroup_id":1})",
          R"({"schema":1,"event":"reached","time_ns":1,"cgroup_id":1,"task":7})",
          R"({"schema":1,"event":"reached","time_ns":1,"cgroup_id":1,"task":{"tid":99999999999}})",
          R"({"schema":1,"event":"end","time_ns":1,"events":1,"lost":[]})",
          R"({"schema":1,"event":7,"time_ns":1})"})
        EXPECT_FALSE(freezerctl::parse_trace_line(bad)) << bad;
    const auto later = freezerctl::parse_trace_line(R"({"schema":1,"event":"melted","time_ns":1})");
    ASSERT_TRUE(later);
    EXPECT_TRUE(std::holds_alternative<std::monostate>(*later));
}

// ---- the file
// ------------------------------------------------------------------------------------

TEST(Record, comes_back)
{
    const Recording written = recording(scene());
    const auto read = freezerctl::parse_recording(file_of(written));
    ASSERT_TRUE(read) << read.error().message;
    EXPECT_EQ(read->start, written.start);
    EXPECT_EQ(read->events, written.events);
    EXPECT_EQ(read->end, written.end);
    EXPECT_EQ(freezerctl::describe_damage(*read), "");
}

TEST(Record, cut_anywhere_it_gives_what_is_whole)
{
    const Recording written = recording(scene());
    const std::string file = file_of(written);
    size_t before = 0;
    for (size_t size = freezerctl::record_header().size(); size < file.size(); ++size) {
        const auto read = freezerctl::parse_recording(std::string_view(file).substr(0, size));
        ASSERT_TRUE(read) << size;
        ASSERT_NE(freezerctl::describe_damage(*read), "") << size;
        ASSERT_GE(read->events.size(), before) << size;
        before = read->events.size();
        for (size_t i = 0; i < before; ++i)
            ASSERT_EQ(read->events[i], written.events[i]) << size;
    }
    EXPECT_EQ(before, written.events.size());
}

TEST(Record, a_changed_byte_costs_a_line_or_two)
{
    const Recording written = recording(scene());
    const std::string file = file_of(written);
    for (size_t at = freezerctl::record_header().size(); at < file.size(); at += 3) {
        std::string changed = file;
        changed[at] = static_cast<char>(changed[at] ^ 0x11);
        const auto read = freezerctl::parse_recording(changed);
        ASSERT_TRUE(read) << at;
        // Two: when it was the end of the line that changed.
        ASSERT_GE(read->events.size() + 2, written.events.size()) << at;
        ASSERT_GE(read->damaged_lines, 1U) << at;
    }
}

TEST(Record, what_is_none)
{
    for (const char *bad :
         {"", "\n", "hello\n", "freezerctl-record \n", "freezerctl-record 0\n",
          "freezerctl-record 2\n", "freezerctl-record 1", "freezerctl-record 1x\n"})
        EXPECT_FALSE(freezerctl::parse_recording(bad)) << bad;
    const auto newer = freezerctl::parse_recording("freezerctl-record 99\n");
    EXPECT_NE(newer.error().message.find("newer"), std::string::npos);
    const auto empty = freezerctl::parse_recording("freezerctl-record 1\n");
    ASSERT_TRUE(empty);
    EXPECT_NE(freezerctl::describe_damage(*empty), "");
}

// ---- the views
// -----------------------------------------------------------------------------------

TEST(TraceText, a_scene)
{
    freezerctl::TraceText text;
    std::string out;
    for (const TraceEvent &event : scene())
        out += text.line(event);
    for (const char *line :
         {"+0.000000   freeze    /demo            by 901 runc (uid 0)\n",
          "+0.000100   frozen    /demo/db         11 postgres            after 100 us\n",
          "+0.000301   FROZEN    /demo            2 tasks in 301 us, slowest 12 postgres\n",
          "+0.001000   thaw      /demo            by 901 runc (uid 0)\n",
          "+0.004200   signal    /demo/db         SIGKILL to 11 postgres from 1 systemd\n",
          "+0.004210   left      /demo/db         11 postgres            was frozen 150 us\n",
          "+0.004300   exit      /demo/db         11 postgres            killed by SIGKILL\n"})
        EXPECT_NE(out.find(line), std::string::npos) << line << "in\n" << out;
    // The request that passes down to /demo/db has no line.
    EXPECT_EQ(out.find("freeze    /demo/db"), std::string::npos) << out;
}

TEST(TraceText, hostile_names_do_nothing)
{
    freezerctl::TraceText text;
    std::string out;
    for (TraceEvent event : one_of_each()) {
        event.cgroup.path = std::string("/") + kHostile;
        event.actor.comm = kHostile;
        out += text.line(event);
    }
    for (const char c : out)
        EXPECT_TRUE(c == '\n' || (c >= ' ' && c < 0x7f)) << static_cast<int>(c);
}

TEST(Summary, names_counts_and_percentiles)
{
    const std::string out = freezerctl::summary(recording(scene()));
    EXPECT_NE(out.find("2 tasks, frozen in 301 us, thawed after 1.00 ms by 901 runc"),
              std::string::npos)
        << out;
    EXPECT_NE(out.find("p50 100 us, p90 300 us, p99 300 us, max 300 us (12 postgres in /demo/db)"),
              std::string::npos)
        << out;
    EXPECT_NE(out.find("2 freezes, 17 events; nothing was lost"), std::string::npos) << out;
}

TEST(Summary, says_what_is_missing)
{
    Recording lossy = recording(scene());
    lossy.end->drops[FZ_TR_REACHED] = 3;
    EXPECT_NE(freezerctl::summary(lossy).find("3 events were lost (reached 3)"), std::string::npos);
    lossy.end.reset();
    EXPECT_NE(freezerctl::summary(lossy).find("cut short"), std::string::npos);
    for (const std::string &view : {freezerctl::html(lossy), freezerctl::perfetto(lossy),
                                    freezerctl::svg(nth(model_of(lossy), 0), shortcomings(lossy))})
        EXPECT_NE(view.find("cut short"), std::string::npos);
}

TEST(Perfetto, a_track_for_each_task_from_request_to_frozen)
{
    const json out = json::parse(freezerctl::perfetto(recording(scene())));
    std::map<std::pair<int, std::string>, int> slices;
    std::map<int, std::vector<std::pair<double, double>>> by_track;
    std::set<std::pair<std::string, int>> flows;
    for (const json &event : out["traceEvents"]) {
        ASSERT_TRUE(event.contains("ph") && event.contains("pid"));
        if (event["ph"] == "X") {
            ++slices[{event["tid"], event["name"]}];
            EXPECT_GT(event["dur"], 0);
            by_track[event["tid"]].emplace_back(event["ts"], event["dur"]);
        } else if (event["ph"] == "s" || event["ph"] == "f") {
            EXPECT_TRUE(flows.emplace(event["ph"], event["id"]).second);
        }
    }
    for (const int tid : {11, 12}) {
        EXPECT_EQ((slices[{tid, "freezing"}]), 2) << tid;
        EXPECT_EQ((slices[{tid, "frozen"}]), 2) << tid;
        EXPECT_GE((slices[{tid, "running"}]), 2) << tid;
    }
    EXPECT_EQ((slices[{11, "dying"}]), 1);
    EXPECT_EQ((slices[{12, "dying"}]), 0);
    EXPECT_EQ((slices[{901, "freeze /demo"}]), 2);
    EXPECT_EQ(flows.size(), 8U); // two tasks, two freezes, start and end
    // Slices of one track follow each other.
    for (auto &[tid, spans] : by_track) {
        std::sort(spans.begin(), spans.end());
        for (size_t i = 1; i < spans.size(); ++i)
            EXPECT_LE(spans[i - 1].first + spans[i - 1].second, spans[i].first + 0.001) << tid;
    }
}

// A reader of as much XML as the pictures use: every tag is closed by its own, attributes are
// quoted, text holds nothing that a parser would act on. Returns what is wrong.
std::string check_xml(const std::string &text)
{
    std::vector<std::string> open;
    size_t i = 0;
    const auto at = [&](const char *what) { return text.compare(i, std::strlen(what), what) == 0; };
    const auto name = [&] {
        const size_t start = i;
        while (i < text.size() && (std::isalnum(static_cast<unsigned char>(text[i])) ||
                                   (i > start && (text[i] == '-' || text[i] == ':'))))
            ++i;
        return text.substr(start, i - start);
    };
    const auto spaces = [&] {
        while (i < text.size() && (text[i] == ' ' || text[i] == '\n'))
            ++i;
    };
    const auto entity = [&] {
        for (const char *known : {"&amp;", "&lt;", "&gt;", "&quot;", "&#39;"}) {
            if (at(known))
                return true;
        }
        return false;
    };
    while (i < text.size()) {
        const std::string here = text.substr(i, 80);
        if (text[i] == '&' && !entity())
            return "no entity: " + here;
        if (text[i] != '\n' && static_cast<unsigned char>(text[i]) < ' ')
            return "a control character";
        if (text[i] != '<') {
            ++i;
            continue;
        }
        const bool closes = at("</");
        i += closes ? 2 : 1;
        const std::string tag = name();
        if (tag.empty())
            return "no tag: " + here;
        for (spaces(); i < text.size() && text[i] != '>' && text[i] != '/'; spaces()) {
            if (name().empty() || !at("=\""))
                return "no attribute: " + here;
            for (i += 2; i < text.size() && text[i] != '"'; ++i) {
                if (text[i] == '<' || (text[i] == '&' && !entity()))
                    return "no value: " + here;
            }
            ++i;
        }
        const bool empty = at("/>");
        i += empty ? 1 : 0;
        if (!at(">"))
            return "no end of a tag: " + here;
        ++i;
        if (closes) {
            if (open.empty() || open.back() != tag)
                return "closes nothing: " + here;
            open.pop_back();
        } else if (!empty) {
            open.push_back(tag);
        }
    }
    return open.empty() ? "" : "left open: " + open.back();
}

Recording big(size_t tasks, size_t cgroups)
{
    std::vector<TraceEvent> events{of_cgroup(FZ_TR_FREEZE, 1'000'000, kTop)};
    for (size_t i = 0; i < tasks; ++i) {
        const size_t c = i % cgroups;
        const TraceCgroup cgroup{1000 + c, "/demo/" + std::to_string(c)};
        events.push_back(of_task(FZ_TR_REACHED, 1'001'000 + i * 1000, cgroup,
                                 task(static_cast<std::uint32_t>(i + 1), kHostile), 1'000'000));
    }
    events.push_back(of_cgroup(FZ_TR_FROZEN, 1'001'000 + tasks * 1000, kTop, 1));
    return recording(std::move(events));
}

TEST(Picture, is_well_formed_and_harmless)
{
    for (const size_t tasks : {0, 1, 5, 41, 5000}) {
        const Recording made = big(tasks, 30);
        const std::string picture = freezerctl::svg(nth(model_of(made), 0), "<note> & \"more\"");
        EXPECT_EQ(check_xml(picture), "") << tasks;
        const std::string page = freezerctl::html(made);
        EXPECT_EQ(check_xml(page.substr(page.find("<html")) /* behind the doctype */), "") << tasks;
        EXPECT_EQ(picture.find('\x1b'), std::string::npos);
        EXPECT_EQ(page.find("<script"), std::string::npos);
    }
}

TEST(Picture, the_checker_sees_what_is_wrong)
{
    for (const char *bad : {"<a><b></a></b>", "<a>", "</a>", "a < b", "a & b", "<a b=c></a>"})
        EXPECT_NE(check_xml(bad), "") << bad;
}

TEST(Picture, few_tasks_have_a_row_each_many_do_not)
{
    const auto rows = [](const std::string &text) {
        size_t n = 0;
        for (size_t at = 0; (at = text.find("x1b[2J", at)) != std::string::npos; ++at)
            ++n;
        return n;
    };
    // Each has a label, the last one is in the words too.
    EXPECT_EQ(rows(freezerctl::svg(nth(model_of(big(5, 1)), 0), "")), 6U);
    const std::string many = freezerctl::svg(nth(model_of(big(5000, 30)), 0), "");
    EXPECT_EQ(rows(many), 26U);
    EXPECT_NE(many.find("5000 tasks were in the refrigerator after 5.00 ms"), std::string::npos);
    EXPECT_NE(many.find("the 25 that came last"), std::string::npos);
    EXPECT_NE(many.find("the 15 slowest of 30 cgroups"), std::string::npos);
    EXPECT_LT(many.size(), 100'000U);
}

TEST(Picture, one_far_straggler_makes_the_axis_logarithmic)
{
    Recording made = big(100, 1);
    made.events.insert(made.events.end() - 1,
                       of_task(FZ_TR_REACHED, 9'000'000'000, kTop, task(999), 1'000'000));
    made.events.back().time_ns = 9'000'000'001;
    const std::string picture = freezerctl::svg(nth(model_of(made), 0), "");
    EXPECT_NE(picture.find("logarithmic"), std::string::npos);
    EXPECT_EQ(freezerctl::svg(nth(model_of(big(100, 1)), 0), "").find("logarithmic"),
              std::string::npos);
}

TEST(Picture, who_never_came_is_on_top)
{
    TraceModel model(true);
    model.apply(of_task(FZ_TR_MEMBER, 1, kTop, task(1, "good")));
    model.apply(of_task(FZ_TR_MEMBER, 1, kTop, task(2, "late")));
    model.apply(of_cgroup(FZ_TR_FREEZE, 1000, kTop));
    model.apply(of_task(FZ_TR_REACHED, 5000, kTop, task(1, "good"), 1000));
    const std::string picture = freezerctl::svg(nth(model, 0), "");
    EXPECT_NE(picture.find("1 of 2 tasks did not come"), std::string::npos);
    EXPECT_NE(picture.find(">never<"), std::string::npos);
    EXPECT_LT(picture.find(">2 late<"), picture.find(">1 good<"));
}

// ---- top
// -----------------------------------------------------------------------------------------

TEST(Top, killed_first_then_freezing_then_frozen)
{
    freezerctl::TopView view;
    view.apply(of_task(FZ_TR_MEMBER, 1, kDb, task(1)));
    view.apply(of_cgroup(FZ_TR_FREEZE, 1000, kTop));
    view.apply(of_task(FZ_TR_REACHED, 5000, kDb, task(1), 1000));
    view.apply(signal_to(6000, task(1), SIGKILL));
    freezer::CgroupStatus frozen;
    frozen.path = "/demo/db";
    frozen.state = freezer::State::kFrozenByParent;
    frozen.tasks = 1;
    frozen.frozen_tasks = 1;
    freezer::CgroupStatus freezing = frozen;
    freezing.path = "/elsewhere";
    freezing.state = freezer::State::kFreezing;
    freezing.frozen_tasks = 0;
    auto rows = view.rows({frozen, freezing}, 7000);
    ASSERT_EQ(rows.size(), 3U);
    EXPECT_EQ(rows[0].state, "KILLED");
    EXPECT_EQ(rows[0].tasks, "1 left");
    EXPECT_EQ(rows[1].cgroup, "/elsewhere");
    EXPECT_EQ(rows[1].actor, ""); // nobody was seen to ask
    EXPECT_EQ(rows[2].actor, "901 runc");
    EXPECT_EQ(rows[2].tasks, "1/1");
    EXPECT_NE(rows[2].slowest.find("1 postgres 4 us"), std::string::npos) << rows[2].slowest;

    view.apply(of_task(FZ_TR_EXIT, 8000, kDb, task(1)));
    EXPECT_EQ(view.rows({}, 9000).size(), 0U);
    EXPECT_EQ(freezerctl::describe_top({}).size(), 1U);
}

} // namespace
