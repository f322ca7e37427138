// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "tools/freezerctl/text.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <map>
#include <optional>

#include "tools/freezerctl/list.h"
#include "tools/freezerctl/run.h"
#include "tools/freezerctl/why_text.h"
#include "user/duration.h"
#include "user/signal_all.h"

namespace freezerctl
{
namespace
{

using freezer::format_duration;
using freezer::TargetReport;
using freezer::TaskEntry;

struct CodePoint {
    std::uint32_t value;
    size_t length;
};

// The valid UTF-8 sequence at the start of the text (RFC 3629), or nullopt.
std::optional<CodePoint> decode(std::string_view text)
{
    const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
    const unsigned char first = byte(0);
    if (first < 0x80)
        return CodePoint{first, 1};
    const size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : first >= 0xC2 ? 2 : 0;
    if (length == 0 || first > 0xF4 || text.size() < length)
        return std::nullopt;
    std::uint32_t value = first & (0x7FU >> length);
    for (size_t i = 1; i < length; ++i) {
        if ((byte(i) & 0xC0) != 0x80)
            return std::nullopt;
        value = (value << 6) | (byte(i) & 0x3F);
    }
    static constexpr std::array<std::uint32_t, 5> kSmallest{0, 0, 0x80, 0x800, 0x10000};
    if (value < kSmallest[length] || (value >= 0xD800 && value <= 0xDFFF) || value > 0x10FFFF)
        return std::nullopt;
    return CodePoint{value, length};
}

bool is_harmless(std::uint32_t c)
{
    struct Range {
        std::uint32_t first;
        std::uint32_t last;
    };
    // Controls, the soft hyphen, Arabic letter mark, Mongolian separators, zero-width and
    // direction characters, line separators, invisible operators, the byte order mark, interlinear
    // annotations, private use, tags.
    static constexpr std::array<Range, 12> kHarmful{{{0x00, 0x1F},
                                                     {0x7F, 0xA0},
                                                     {0xAD, 0xAD},
                                                     {0x61C, 0x61C},
                                                     {0x180B, 0x180F},
                                                     {0x200B, 0x200F},
                                                     {0x2028, 0x202F},
                                                     {0x2060, 0x206F},
                                                     {0xE000, 0xF8FF},
                                                     {0xFE00, 0xFE0F},
                                                     {0xFEFF, 0xFFFF},
                                                     {0xE0000, 0x10FFFF}}};
    return std::none_of(kHarmful.begin(), kHarmful.end(),
                        [&](const Range &r) { return c >= r.first && c <= r.last; });
}

std::string count(std::uint64_t n, const char *noun)
{
    return std::to_string(n) + " " + noun + (n == 1 ? "" : "s");
}

std::string task_name(std::uint32_t tid, std::string_view comm)
{
    return std::to_string(tid) + " " + printable(comm);
}

const char *past_tense(const TargetReport &report)
{
    switch (report.verb) {
    case freezer::Verb::kFreeze:
        return "frozen";
    case freezer::Verb::kThaw:
        return "thawed";
    case freezer::Verb::kKill:
        return "killed";
    case freezer::Verb::kWait:
        return to_string(report.goal);
    }
    return "";
}

// The path, and before it the name that the user used where that is another one.
std::string place_of(const TargetReport &report)
{
    const std::string path = printable(report.path);
    const auto as_path = freezer::normalize_path(report.target);
    const bool named = as_path && *as_path != report.path && !report.target.starts_with('/') &&
                       !report.target.starts_with('.') && !report.target.starts_with("--pid ");
    return named ? printable(report.target) + " (" + path + ")" : path;
}

std::string pad(std::string text, size_t width)
{
    if (text.size() < width)
        text.append(width - text.size(), ' ');
    return text;
}

// Columns as wide as their widest cell; the last is not padded.
std::string table(const std::vector<std::vector<std::string>> &rows, const std::string &indent)
{
    std::vector<size_t> widths;
    for (const auto &row : rows) {
        widths.resize(std::max(widths.size(), row.size()));
        for (size_t i = 0; i < row.size(); ++i)
            widths[i] = std::max(widths[i], row[i].size());
    }
    std::string out;
    for (const auto &row : rows) {
        std::string line = indent;
        for (size_t i = 0; i < row.size(); ++i)
            line += i + 1 < row.size() ? pad(row[i], widths[i] + 2) : row[i];
        while (!line.empty() && line.back() == ' ')
            line.pop_back();
        out += line + "\n";
    }
    return out;
}

std::string task_state(const TaskEntry &task)
{
    const std::string note = to_string(task.note);
    if (task.frozen)
        return note.empty() ? "frozen" : "frozen (" + note + ")";
    return note.empty() ? std::string(1, task.state_letter)
                        : std::string(1, task.state_letter) + " (" + note + ")";
}

std::string task_table(const std::vector<TaskEntry> &tasks)
{
    std::vector<std::vector<std::string>> rows{{"TID", "TGID", "STATE", "AFTER", "COMM"}};
    for (const TaskEntry &task : tasks)
        rows.push_back({std::to_string(task.tid), std::to_string(task.tgid), task_state(task),
                        task.after_ns ? format_duration(*task.after_ns) : "-",
                        printable(task.comm)});
    return table(rows, "  ");
}

std::string straggler_table(const std::vector<TaskEntry> &tasks)
{
    // More would push the sentence above them off the screen; --json has them all.
    constexpr size_t kShown = 20;
    std::vector<std::vector<std::string>> rows;
    for (size_t i = 0; i < std::min(tasks.size(), kShown); ++i) {
        const TaskEntry &task = tasks[i];
        std::string where = task.wchan.empty() ? "" : "in " + printable(task.wchan);
        if (task.note == TaskEntry::Note::kZombie)
            where =
                "zombie: " + task_name(task.parent_tgid, task.parent_comm) + " must wait for it";
        else if (task.note == TaskEntry::Note::kKernelThread)
            where = "a kernel thread: it never freezes";
        else if (task.note == TaskEntry::Note::kHeldByV1)
            where = task.v1_path.empty() ? "held by a v1 freezer: thaw that first"
                                         : "held by v1 " + printable(task.v1_path) + ": thaw that";
        rows.push_back({std::to_string(task.tid), printable(task.comm),
                        "(tgid " + std::to_string(task.tgid) + ")",
                        std::string(1, task.state_letter), where});
    }
    std::string out = table(rows, "  ");
    if (tasks.size() > kShown)
        out += "  and " + std::to_string(tasks.size() - kShown) + " more\n";
    return out;
}

std::string actor_text(const std::optional<freezer::Actor> &actor)
{
    if (!actor)
        return "";
    return " by " + task_name(actor->pid, actor->comm) + " (uid " + std::to_string(actor->uid) +
           ")";
}

// What state it was left in, and what to do.
std::string aftermath(const TargetReport &report)
{
    if (report.killed)
        return "killed, as --on-timeout kill asks";
    if (report.rolled_back)
        return "thawed again";
    if (report.verb == freezer::Verb::kFreeze && report.requested && report.state) {
        if (*report.state == freezer::State::kFreezing)
            return "left FREEZING: it freezes once the tasks above do, or thaw it with "
                   "'freezerctl thaw'";
        if (*report.state == freezer::State::kFrozen)
            return "left FROZEN: thaw it with 'freezerctl thaw'";
    }
    if (report.verb == freezer::Verb::kKill)
        return "the signal stays pending: they die when what they wait for ends";
    return "";
}

std::string late_sentence(const TargetReport &report)
{
    const std::string after = " after " + format_duration(report.elapsed_ns);
    const std::uint64_t late = report.stragglers.size();
    const bool plural = late != 1;
    const std::string cause = report.why ? first_cause(*report.why) : "";
    const std::string because = cause.empty() ? "" : ": " + cause;
    switch (report.goal) {
    case freezer::Goal::kFrozen:
        return "not frozen" + after + ": " + std::to_string(late) + " of " +
               count(report.tasks, "task") + (plural ? " have" : " has") +
               " not reached the freezer" + because;
    case freezer::Goal::kEmpty:
        return "not empty" + after + ": " + count(late, "task") + (plural ? " are" : " is") +
               " left" + because;
    case freezer::Goal::kThawed:
        return "not thawed" + after;
    }
    return "";
}

} // namespace

std::string printable(std::string_view bytes)
{
    std::string out;
    while (!bytes.empty()) {
        const auto point = decode(bytes);
        if (point && is_harmless(point->value) && point->value != '\\') {
            out += bytes.substr(0, point->length);
            bytes.remove_prefix(point->length);
            continue;
        }
        const size_t length = point ? point->length : 1;
        for (size_t i = 0; i < length; ++i) {
            std::array<char, 8> text{};
            std::snprintf(text.data(), text.size(), "\\x%02x",
                          static_cast<unsigned>(static_cast<unsigned char>(bytes[i])));
            out += text.data();
        }
        bytes.remove_prefix(length);
    }
    return out;
}

std::string describe_success(const TargetReport &report)
{
    if (report.outcome != freezer::Outcome::kReached || report.rolled_back)
        return "";
    std::string line = std::string(past_tense(report)) + " " + place_of(report) + ": ";
    const bool gone = report.removed && report.verb != freezer::Verb::kKill;
    if (gone)
        line += "removed";
    else if (report.already && report.verb == freezer::Verb::kKill)
        line += "was empty already";
    else
        line += (report.already ? "already, " : "") + count(report.tasks, "task");
    if (!gone && report.cgroups > 1)
        line += " in " + count(report.cgroups, "cgroup");
    if (!report.already)
        line += " in " + format_duration(report.elapsed_ns);
    if (report.slowest)
        line += " (slowest: " + task_name(report.slowest->tid, report.slowest->comm) + " " +
                format_duration(report.slowest->after_ns) + ")";
    if (report.removed && !gone)
        line += ", removed";
    line += "\n";
    if (report.entries)
        line += task_table(*report.entries);
    return line;
}

std::string describe_trouble(const TargetReport &report, size_t columns)
{
    const std::string target = printable(report.target);
    std::string out;
    const auto say = [&](const std::string &text) {
        if (!text.empty())
            out += wrap(target + ": " + text, columns, 0) + "\n";
    };
    switch (report.outcome) {
    case freezer::Outcome::kReached:
        if (report.rolled_back)
            say("thawed again, because another target did not freeze (--all-or-none)");
        break;
    case freezer::Outcome::kFailed:
    case freezer::Outcome::kNoSuchCgroup:
        say(printable(report.error ? report.error->message : "failed") + actor_text(report.actor));
        break;
    case freezer::Outcome::kInterrupted:
    case freezer::Outcome::kDeadline:
        say((report.outcome == freezer::Outcome::kInterrupted ? "interrupted: " : "") +
            late_sentence(report));
        out +=
            report.why ? describe_held(*report.why, columns) : straggler_table(report.stragglers);
        say(aftermath(report));
        break;
    }
    for (const std::string &warning : report.warnings)
        say("warning: " + printable(warning));
    if (!report.complete)
        say("warning: " + count(report.dropped_events, "event") +
            " of the tracker had no room: the state is right, but times and names may be missing");
    return out;
}

std::string describe_success(const freezer::SignalReport &report, bool waited)
{
    if (report.outcome != freezer::Outcome::kReached)
        return "";
    std::string line = freezer::signal_name(report.signal) + " to " + std::to_string(report.sent) +
                       (report.sent == 1 ? " process" : " processes") + " of " +
                       place_of(report.freeze);
    if (waited) {
        std::map<std::string, size_t> ends;
        for (const freezer::SignalledProcess &process : report.processes)
            ++ends[to_string(process.end)];
        std::string separator = ": ";
        for (const auto &[end, n] : ends) {
            line += separator;
            line += std::to_string(n) + " ";
            line += end;
            separator = ", ";
        }
    }
    if (report.state)
        line += std::string("; it is ") + to_string(*report.state);
    return line + "\n";
}

std::string describe_trouble(const freezer::SignalReport &report)
{
    if (report.freeze.outcome != freezer::Outcome::kReached)
        return describe_trouble(report.freeze) + printable(report.freeze.target) +
               ": no signal was sent\n";
    const std::string target = printable(report.freeze.target);
    std::string out;
    if (report.error)
        out += target + ": " + printable(report.error->message) + "\n";
    if (report.outcome == freezer::Outcome::kDeadline ||
        report.outcome == freezer::Outcome::kInterrupted) {
        out += target + ": the signal is still pending in:\n";
        for (const freezer::SignalledProcess &process : report.processes) {
            if (process.end == freezer::SignalledProcess::End::kPending)
                out += "  " + task_name(process.pid, process.comm) + "\n";
        }
    }
    for (const std::string &warning : report.freeze.warnings)
        out += target + ": warning: " + printable(warning) + "\n";
    return out;
}

std::string describe_status(const std::vector<freezer::CgroupStatus> &all, std::uint64_t now_ns)
{
    const auto row_of = [&](const freezer::CgroupStatus &status) {
        std::string since = "-";
        if (status.since_ns && *status.since_ns <= now_ns)
            since = format_duration(now_ns - *status.since_ns);
        else if (status.state != freezer::State::kThawed && status.total_ns)
            since = format_duration(*status.total_ns) + " in all";
        return std::vector<std::string>{
            printable(status.path),
            to_string(status.state) +
                (status.held_by_v1.empty()
                     ? std::string()
                     : ", held by v1 " + printable(status.held_by_v1.front())),
            (status.frozen_tasks ? std::to_string(*status.frozen_tasks) : "?") + "/" +
                std::to_string(status.tasks),
            since};
    };
    std::vector<std::vector<std::string>> rows{{"CGROUP", "STATE", "FROZEN/TASKS", "FOR"}};
    for (const freezer::CgroupStatus &status : all)
        rows.push_back(row_of(status));
    const bool listed = std::any_of(all.begin(), all.end(),
                                    [](const auto &s) { return s.entries && !s.entries->empty(); });
    if (!listed)
        return table(rows, "");
    // The tasks stand below their cgroup, so that the tables cannot share their columns.
    std::string out;
    for (const freezer::CgroupStatus &status : all) {
        out += table({rows.front(), row_of(status)}, "");
        if (status.entries && !status.entries->empty())
            out += task_table(*status.entries);
    }
    return out;
}

std::string describe_list(const std::vector<ListEntry> &all)
{
    // As docker and podman show them: enough to be unique, and to be typed.
    constexpr size_t kShortId = 12;
    std::vector<std::vector<std::string>> rows{{"TYPE", "NAME", "STATE", "RUNTIME", "CGROUP"}};
    for (const ListEntry &entry : all) {
        const freezer::NamedCgroup &cgroup = entry.cgroup;
        std::string name = best_name(cgroup);
        if (cgroup.name.kind == freezer::NameKind::kContainer && cgroup.names.empty() &&
            cgroup.name.id.size() == freezer::kContainerIdLength)
            name.resize(kShortId);
        rows.push_back({to_string(cgroup.name.kind), printable(name), to_string(entry.state),
                        cgroup.name.runtime, printable(cgroup.path)});
    }
    return table(rows, "");
}

std::string describe(const RunReport &report)
{
    std::string out;
    if (report.outcome == freezer::Outcome::kDeadline)
        out += "freezerctl: " + printable(report.command.front()) + " did not end within " +
               format_duration(report.elapsed_ns) + " and was killed\n";
    if (report.left.count == 0 || report.outcome == freezer::Outcome::kDeadline)
        return out;
    out += "freezerctl: " + printable(report.command.front()) + " left " +
           std::to_string(report.left.count) +
           (report.left.count == 1 ? " process" : " processes") +
           " behind: " + (report.removed ? "killed" : "not all could be killed") + "\n";
    // The same bound as for stragglers: --json has more.
    constexpr size_t kShown = 20;
    const auto &all = report.left.processes;
    std::vector<std::vector<std::string>> rows{{"PID", "COMM", "COMMAND LINE"}};
    for (size_t i = 0; i < std::min(all.size(), kShown); ++i)
        rows.push_back(
            {std::to_string(all[i].pid), printable(all[i].comm), printable(all[i].command_line)});
    out += table(rows, "  ");
    if (report.left.count > kShown)
        out += "  and " + std::to_string(report.left.count - kShown) + " more\n";
    return out;
}

std::string describe(const freezer::Diagnosis &diagnosis)
{
    using State = freezer::Feature::State;
    std::string out = diagnosis.able() ? "able: this machine can freeze, thaw and kill cgroups"
                                       : "not able: this machine cannot freeze cgroups";
    out += "\n  kernel   " + printable(diagnosis.kernel) + " " + diagnosis.architecture +
           "\n  cgroups  " + diagnosis.cgroup_mode;
    for (const std::string &mount : diagnosis.mounts)
        out += ", " + printable(mount);
    out += "\n\n";

    std::vector<std::vector<std::string>> rows;
    size_t tracepoints = 0;
    for (const freezer::Feature &feature : diagnosis.features) {
        // One line for all tracepoints that are there.
        if (feature.name.starts_with("tracepoint:") && feature.state == State::kYes)
            ++tracepoints;
        else
            rows.push_back({to_string(feature.state), feature.name, printable(feature.detail)});
    }
    rows.push_back({"yes", "tracepoints", count(tracepoints, "tracepoint")});
    out += table(rows, "  ");

    for (const freezer::Feature &feature : diagnosis.features) {
        if (feature.state == State::kYes || feature.needed_by.starts_with("nothing"))
            continue;
        out += "\nwithout " + feature.name + " you lose " + feature.needed_by;
        if (!feature.advice.empty())
            out += "; " + printable(feature.advice);
    }
    const freezer::SelfTest &test = diagnosis.self_test;
    out += "\nself-test: ";
    if (test.passed)
        out += "a task of its own frozen in " + format_duration(test.freeze_ns) + ", thawed in " +
               format_duration(test.thaw_ns) + ", tracking: " + test.tracking;
    else
        out += "failed: " + printable(test.error);
    return out + "\n";
}

std::string describe(const freezer::AttachResult &result)
{
    std::string out = (result.already ? "already attached: " : "attached: ") + result.path;
    if (result.removed != 0)
        out += ", in place of " + count(result.removed, "other build");
    if (result.mounted)
        out += " (bpffs was mounted)";
    return out + "\n";
}

std::string describe_detached(std::uint32_t removed)
{
    return removed == 0 ? "nothing was attached\n" : "detached\n";
}

} // namespace freezerctl
