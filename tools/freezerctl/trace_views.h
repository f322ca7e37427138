// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// What a recording is shown as, besides lines and JSON. Pure: text from a recording.
#ifndef FREEZERCTL_TOOLS_TRACE_VIEWS_H
#define FREEZERCTL_TOOLS_TRACE_VIEWS_H

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tools/freezerctl/record_file.h"
#include "user/trace_model.h"

namespace freezerctl
{

// What a recording's freezes were.
freezer::TraceModel model_of(const Recording &recording);

// For each freeze: how many tasks, how long, percentiles, a histogram, the cgroups.
std::string summary(const Recording &recording);

// The trace-event format of Chromium, which ui.perfetto.dev opens.
std::string perfetto(const Recording &recording);

// One freeze as a picture that stands alone. `note`: what is to be said below it, "" for nothing.
std::string svg(const freezer::Freeze &freeze, const std::string &note);
// A page with the pictures of the slowest freezes and a table of all.
std::string html(const Recording &recording);

// The percentiles in words: sentences without a full stop at the end.
std::vector<std::string> in_words(const freezer::Freeze &freeze);

// Text for XML and HTML, as content and in attributes: what a reader or a parser could act on is
// written so that it does nothing.
std::string escape_xml(std::string_view text);

// Everything that makes a recording less than complete, for a reader: losses, damage.
std::string shortcomings(const Recording &recording);

} // namespace freezerctl

#endif
