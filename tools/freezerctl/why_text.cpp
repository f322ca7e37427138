// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "tools/freezerctl/why_text.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>

#include "tools/freezerctl/text.h"
#include "user/duration.h"

namespace freezerctl
{
namespace
{

using freezer::HeldTask;
using freezer::Holder;
using freezer::WhyReport;

// Below that a line of words cannot be read anyway.
constexpr size_t kNarrowest = 20;
// More would push the sentence above them off the screen; --json has them all.
constexpr size_t kShown = 20;

std::string state_word(char letter)
{
    switch (letter) {
    case 'R':
        return "running";
    case 'S':
        return "sleeping";
    case 'D':
        return "sleeping, not to be interrupted";
    case 'T':
        return "stopped";
    case 't':
        return "stopped by its tracer";
    case 'Z':
        return "a zombie";
    default:
        return std::string("in state ") + letter;
    }
}

std::string holder_text(const Holder &holder)
{
    std::string process = "pid " + std::to_string(holder.pid) + " " + printable(holder.comm);
    const std::string perhaps = holder.confidence == freezer::Confidence::kLikely ? ", likely" : "";
    switch (holder.role) {
    case Holder::Role::kUserfaultfdOwner:
        return process + " (owns the userfaultfd" + perhaps + ")";
    case Holder::Role::kFuseServer:
        return process + " (serves " +
               (holder.path.empty() ? "a FUSE file system" : printable(holder.path)) + perhaps +
               ")";
    case Holder::Role::kMount:
        return "mount " + printable(holder.path) + " (" + printable(holder.type) + " of " +
               printable(holder.source) + ")";
    case Holder::Role::kTracer:
        return process + " (traces it)";
    case Holder::Role::kVforkChild:
        return process + " (its vfork child, " + state_word(holder.state_letter) + ")";
    case Holder::Role::kParent:
        return process + " (its parent, which must reap it, " + state_word(holder.state_letter) +
               ")";
    case Holder::Role::kV1Freezer:
        return "v1 freezer cgroup " + printable(holder.path) +
               (holder.type.empty() ? "" : " (" + printable(holder.type) + ")");
    }
    return process;
}

std::string looks_text(const HeldTask &task)
{
    return "(" + std::to_string(task.agreeing) + " of " + std::to_string(task.looks) + " looks)";
}

void describe_task(const HeldTask &task, size_t columns, std::string &out)
{
    const auto line = [&](const std::string &text, size_t indent) {
        out += wrap(std::string(indent, ' ') + text, columns, indent + 4) + "\n";
    };
    std::string head = std::to_string(task.tid) + " " + printable(task.comm) + " (tgid " +
                       std::to_string(task.tgid);
    if (!task.cgroup.empty())
        head += ", " + printable(task.cgroup);
    head += ")  " + printable(phrase_of(task));
    if (task.killed)
        head += "; it was killed and dies when that ends";
    line(head, 0);
    for (const Holder &holder : task.holders)
        line("held by: " + holder_text(holder), 4);
    if (!task.stack.empty()) {
        std::string stack;
        for (const std::string &symbol : task.stack)
            stack += (stack.empty() ? "" : " / ") + printable(symbol);
        line("stack: " + stack + " " + looks_text(task), 4);
    }
    std::string state = "class: " + std::string(to_string(task.cause)) + ", " +
                        to_string(task.confidence) + "; " + state_word(task.state_letter);
    if (task.spinning)
        state += ", burning CPU time";
    else if (task.off_cpu_ns)
        state += ", off the CPU for " + freezer::format_duration(*task.off_cpu_ns);
    line(state, 4);
    const std::string advice = advice_for(task.cause);
    if (!advice.empty())
        line("help: " + advice, 4);
}

} // namespace

size_t terminal_width(int fd)
{
    winsize size{};
    if (::ioctl(fd, TIOCGWINSZ, &size) != 0)
        return 0;
    return size.ws_col;
}

std::string wrap(const std::string &text, size_t columns, size_t indent)
{
    if (columns == 0 || text.size() <= columns)
        return text;
    columns = std::max(columns, kNarrowest);
    if (indent + kNarrowest > columns)
        indent = 0;
    std::string out;
    std::string rest = text;
    while (rest.size() > columns) {
        // The last blank that leaves something on the line; a longer word stands alone.
        const size_t begin = rest.find_first_not_of(' ');
        size_t cut = rest.rfind(' ', columns);
        if (cut == std::string::npos || cut <= begin)
            cut = rest.find(' ', columns);
        if (cut == std::string::npos)
            break;
        out += rest.substr(0, cut) + "\n";
        const size_t next = rest.find_first_not_of(' ', cut);
        if (next == std::string::npos)
            return out;
        rest = std::string(indent, ' ') + rest.substr(next);
    }
    return out + rest;
}

std::string first_cause(const WhyReport &report)
{
    if (report.tasks.empty())
        return "";
    const HeldTask &task = report.tasks.front();
    return printable(std::to_string(task.tid) + " " + task.comm + " " + phrase_of(task));
}

std::string describe_held(const WhyReport &report, size_t columns)
{
    std::string out;
    for (size_t i = 0; i < std::min(report.tasks.size(), kShown); ++i)
        describe_task(report.tasks[i], columns, out);
    if (report.tasks.size() > kShown)
        out += "and " + std::to_string(report.tasks.size() - kShown) + " more (--json has all)\n";
    if (report.born > 0)
        out +=
            wrap(std::to_string(report.born) +
                     " tasks came in while this was looked at: something forks or moves tasks in",
                 columns, 4) +
            "\n";
    for (const std::string &missing : report.missing)
        out += wrap("not seen: " + printable(missing), columns, 4) + "\n";
    return out;
}

std::string describe(const WhyReport &report, size_t columns)
{
    return wrap(printable(sentence_of(report)), columns, 0) + "\n" + describe_held(report, columns);
}

} // namespace freezerctl
