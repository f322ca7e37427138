// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// Results as lines for people.
#ifndef FREEZERCTL_TOOLS_TEXT_H
#define FREEZERCTL_TOOLS_TEXT_H

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "user/attached.h"
#include "user/doctor.h"
#include "user/freezer.h"
#include "user/report.h"

namespace freezerctl
{

struct ListEntry; // tools/freezerctl/list.h
struct RunReport; // tools/freezerctl/run.h

// The text with everything that a terminal could act on, or that could be taken for something else,
// written as \xNN: control characters, invalid UTF-8, invisible and direction-changing characters,
// and the backslash itself.
std::string printable(std::string_view bytes);

// What goes to stdout; empty when the goal was not reached. With its line end.
std::string describe_success(const freezer::TargetReport &report);
// What goes to stderr: why the goal was not reached, who is late, what was done about it; warnings.
// Wrapped to the columns, if that is not 0.
std::string describe_trouble(const freezer::TargetReport &report, size_t columns = 0);

// The same of a signal; `waited`: how it ended for the processes.
std::string describe_success(const freezer::SignalReport &report, bool waited);
std::string describe_trouble(const freezer::SignalReport &report);

// A table with one row for each cgroup. `now_ns` as of now_ns().
std::string describe_status(const std::vector<freezer::CgroupStatus> &all, std::uint64_t now_ns);

// A table with one row for each.
std::string describe_list(const std::vector<ListEntry> &all);

// Why the command was ended, and what it left behind; empty when all went as it should.
std::string describe(const RunReport &report);

// A screenful: what is there, what is missing and what to do about it, the self-test.
std::string describe(const freezer::Diagnosis &diagnosis);

// A line each.
std::string describe(const freezer::AttachResult &result);
std::string describe_detached(std::uint32_t removed);

} // namespace freezerctl

#endif
