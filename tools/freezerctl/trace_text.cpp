// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "tools/freezerctl/trace_text.h"

#include <algorithm>
#include <array>
#include <cstdio>

#include "tools/freezerctl/text.h"
#include "user/duration.h"

namespace freezerctl
{
namespace
{

using freezer::format_duration;
using freezer::TraceEvent;

std::string padded(std::string text, size_t width)
{
    if (text.size() < width)
        text.append(width - text.size(), ' ');
    return text;
}

std::string relative_time(std::uint64_t ns, std::uint64_t start_ns)
{
    // Two CPUs' events may come out of order by little.
    const bool before = ns < start_ns;
    const std::uint64_t distance = before ? start_ns - ns : ns - start_ns;
    std::array<char, 48> text{};
    std::snprintf(text.data(), text.size(), "%c%llu.%06llu", before ? '-' : '+',
                  static_cast<unsigned long long>(distance / 1'000'000'000),
                  static_cast<unsigned long long>(distance % 1'000'000'000 / 1000));
    return text.data();
}

// The words of a line: those of the model's names that a reader would mistake are others here.
std::string word_of(const TraceEvent &event)
{
    switch (event.kind) {
    case FZ_TR_REACHED:
        return "frozen";
    case FZ_TR_FROZEN:
        return event.value != 0 ? "FROZEN" : "THAWED";
    default:
        return freezer::event_name(event.kind, event.value);
    }
}

std::string by(const TraceEvent &event)
{
    if (!event.has_actor())
        return "";
    return "by " + std::to_string(event.actor.tgid) + " " + printable(event.actor.comm) + " (uid " +
           std::to_string(event.actor.uid) + ")";
}

std::string from(const TraceEvent &event)
{
    if (event.flags & FZ_TRF_KERNEL)
        return "from the kernel";
    return "from " + std::to_string(event.actor.tgid) + " " + printable(event.actor.comm);
}

std::string end_of_task(std::uint32_t wait_status)
{
    if (const std::uint32_t signal = wait_status & 0x7f)
        return "killed by " + freezer::signal_name(signal);
    return "exit code " + std::to_string((wait_status >> 8) & 0xff);
}

// "42 tasks in 398 us, slowest 4713 walwriter"
std::string completion(const freezer::Freeze &freeze)
{
    const auto total = freeze.total_ns();
    std::string text =
        std::to_string(freeze.tasks.size()) + " task" + (freeze.tasks.size() == 1 ? "" : "s");
    if (total)
        text += " in " + format_duration(*total);
    if (const freezer::FreezeTask *const slowest = freeze.slowest())
        text += ", slowest " + name_of(slowest->task);
    return text;
}

} // namespace

std::string name_of(const freezer::TraceTask &task)
{
    return std::to_string(task.tid) + " " + printable(task.comm);
}

std::string name_of(const freezer::TraceCgroup &cgroup)
{
    return cgroup.path.empty() ? "cgroup id " + std::to_string(cgroup.id) : printable(cgroup.path);
}

std::string TraceText::head(const TraceEvent &event, const std::string &word)
{
    if (!start_ns_)
        start_ns_ = event.time_ns;
    const std::string path = name_of(event.cgroup);
    // The column grows with what it has seen, so that lines that follow stand below each other.
    path_width_ = std::min<size_t>(std::max(path_width_, path.size()), 60);
    return padded(relative_time(event.time_ns, *start_ns_), 11) + " " + padded(word, 9) + " " +
           padded(path, path_width_);
}

std::string TraceText::what(const TraceEvent &event) const
{
    // So that the times behind the names stand below each other.
    const std::string task = padded(name_of(event.task), 22);
    switch (event.kind) {
    case FZ_TR_FREEZE:
    case FZ_TR_THAW:
    case FZ_TR_MADE:
    case FZ_TR_REMOVED:
        return by(event);
    case FZ_TR_REACHED:
        return task + (event.since_ns != 0 && event.since_ns <= event.time_ns
                           ? " after " + format_duration(event.time_ns - event.since_ns)
                           : "");
    case FZ_TR_LEFT:
        return task + (event.since_ns != 0 && event.since_ns <= event.time_ns
                           ? " was frozen " + format_duration(event.time_ns - event.since_ns)
                           : " was frozen before the trace");
    case FZ_TR_FROZEN: {
        const freezer::Freeze *const freeze = model_.active(event.cgroup.id);
        // The first time only: during a kill the mark comes and goes with each task.
        const bool first = event.value != 0 && freeze && freeze->frozen_ns == event.time_ns;
        return first && !freeze->thaw_ns ? completion(*freeze) : "";
    }
    case FZ_TR_SIGNAL: {
        const std::string result =
            event.result == 0 ? "" : std::string(" (") + freezer::signal_result(event.result) + ")";
        return freezer::signal_name(event.value) + " to " + name_of(event.task) + " " +
               from(event) + result;
    }
    case FZ_TR_DELIVER:
        return freezer::signal_name(event.value) + " to " + name_of(event.task);
    case FZ_TR_FORK:
        return task + " of " + name_of(event.actor);
    case FZ_TR_EXIT:
        return task + " " + end_of_task(event.value);
    case FZ_TR_MOVED:
        return task + (event.from.id != 0 ? " from " + name_of(event.from) : "") + " " + by(event);
    case FZ_TR_POPULATED:
    case FZ_TR_MEMBER:
    case FZ_TR_KINDS:
        break;
    }
    return "";
}

std::string TraceText::line(const TraceEvent &event)
{
    model_.apply(event);
    const bool request = event.kind == FZ_TR_FREEZE || event.kind == FZ_TR_THAW;
    if (event.kind == FZ_TR_MEMBER || (request && (event.flags & FZ_TRF_INHERITED)))
        return "";
    std::string out = head(event, word_of(event)) + " " + what(event);
    while (out.back() == ' ')
        out.pop_back();
    return out + "\n";
}

std::string describe_drops(const freezer::TraceDrops &drops)
{
    const std::uint64_t lost = freezer::total(drops);
    if (lost == 0)
        return "";
    std::string list;
    for (std::uint32_t kind = 0; kind < drops.size(); ++kind) {
        if (drops[kind] == 0)
            continue;
        list += list.empty() ? "" : ", ";
        list += kind == FZ_TRACE_DROP_RECORD
                    ? std::string("task records")
                    : std::string(freezer::event_name(static_cast<fz_trace_kind>(kind), 1));
        list += " " + std::to_string(drops[kind]);
    }
    return std::to_string(lost) + (lost == 1 ? " event was" : " events were") + " lost (" + list +
           ")";
}

std::string describe_costs(const std::vector<freezer::ProgramCost> &costs, std::uint64_t events,
                           std::uint64_t lost, std::uint64_t elapsed_ns)
{
    std::array<char, 160> line{};
    std::snprintf(line.data(), line.size(), "%-24s %12s %14s %10s\n", "PROGRAM", "RUNS", "TIME",
                  "PER RUN");
    std::string out = line.data();
    for (const freezer::ProgramCost &cost : costs) {
        const std::uint64_t each = cost.runs == 0 ? 0 : cost.time_ns / cost.runs;
        std::snprintf(line.data(), line.size(), "%-24s %12llu %14s %10s\n", cost.name.c_str(),
                      static_cast<unsigned long long>(cost.runs),
                      format_duration(cost.time_ns).c_str(), format_duration(each).c_str());
        out += line.data();
    }
    const double seconds = static_cast<double>(elapsed_ns) / 1e9;
    std::snprintf(line.data(), line.size(), "%llu event%s in %s, %.1f a second; %llu lost\n",
                  static_cast<unsigned long long>(events), events == 1 ? "" : "s",
                  format_duration(elapsed_ns).c_str(),
                  seconds > 0 ? static_cast<double>(events) / seconds : 0.0,
                  static_cast<unsigned long long>(lost));
    return out + line.data();
}

} // namespace freezerctl
