// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "tools/freezerctl/progress.h"

#include <unistd.h>

#include <cstdlib>
#include <string_view>

#include "tools/freezerctl/session.h"
#include "tools/freezerctl/text.h"
#include "tools/freezerctl/why_text.h"

namespace freezerctl
{
namespace
{

// To the line's beginning, and erase it (ECMA-48: CR, EL).
constexpr const char *kEraseLine = "\r\x1b[K";

bool can_erase()
{
    const char *const terminal = std::getenv("TERM");
    return terminal && std::string_view(terminal) != "dumb";
}

} // namespace

Progress::Progress() : watched_(::isatty(STDERR_FILENO) == 1), erases_(watched_ && can_erase()) {}

void Progress::tell(const std::string &target, const freezer::WhyReport &report, bool hopeless)
{
    if (!watched_ && !hopeless)
        return;
    clear();
    const size_t columns = terminal_width(STDERR_FILENO);
    if (explained_.insert(target).second || hopeless) {
        complain(printable(target) + ": waiting: " + describe(report, columns));
        return;
    }
    if (!erases_)
        return;
    std::string line = progress_line(target, report);
    if (columns != 0 && line.size() >= columns)
        line.resize(columns - 1);
    complain(line);
    shown_ = true;
}

void Progress::clear()
{
    if (shown_)
        complain(kEraseLine);
    shown_ = false;
}

std::string progress_line(const std::string &target, const freezer::WhyReport &report)
{
    std::string line = printable(target) + ": ";
    if (report.purpose == freezer::WhyReport::Purpose::kKill)
        line +=
            std::to_string(report.members) + (report.members == 1 ? " task" : " tasks") + " left";
    else
        line += std::to_string(report.frozen) + " of " + std::to_string(report.members) +
                " tasks frozen";
    const std::string cause = first_cause(report);
    return cause.empty() ? line : line + "; " + cause;
}

} // namespace freezerctl
