// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// What holds a cgroup up, as lines for people.
#ifndef FREEZERCTL_TOOLS_WHY_TEXT_H
#define FREEZERCTL_TOOLS_WHY_TEXT_H

#include <cstddef>
#include <string>

#include "user/why.h"

namespace freezerctl
{

// Columns of the terminal that the descriptor is; 0: it is none, so that nothing is to be wrapped.
size_t terminal_width(int fd);

// Breaks at spaces; lines after the first are indented by `indent`. 0 columns: no breaks.
std::string wrap(const std::string &text, size_t columns, size_t indent);

// The sentence, then the evidence. With its line ends.
std::string describe(const freezer::WhyReport &report, size_t columns);
// The evidence alone: each task with who holds it, its stack and what helps.
std::string describe_held(const freezer::WhyReport &report, size_t columns);
// The first task and its cause, for the end of a sentence; empty: there is none.
std::string first_cause(const freezer::WhyReport &report);

} // namespace freezerctl

#endif
