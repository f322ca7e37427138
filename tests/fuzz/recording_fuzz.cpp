// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// The reader of recordings, and every view of what it read, on any bytes: a libFuzzer target.
//
// An input is a file as it is, or the JSON lines of one. The latter get their checksums here: no
// mutation would keep them right, and nothing behind them would be reached.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "tools/freezerctl/record_file.h"
#include "tools/freezerctl/trace_text.h"
#include "tools/freezerctl/trace_views.h"

namespace
{

std::string with_checksums(std::string_view lines)
{
    std::string file = freezerctl::record_header();
    while (!lines.empty()) {
        const size_t end = lines.find('\n');
        file += freezerctl::record_line(std::string(lines.substr(0, end)));
        lines = end == std::string_view::npos ? "" : lines.substr(end + 1);
    }
    return file;
}

void require(bool holds)
{
    if (!holds)
        std::abort();
}

// What goes to a terminal or into markup does nothing there.
void require_harmless(const std::string &text)
{
    for (const char c : text)
        require(c == '\n' || (static_cast<unsigned char>(c) >= ' ' && c != 0x7f));
}

void show(const freezerctl::Recording &recording)
{
    freezerctl::TraceText text;
    for (const freezer::TraceEvent &event : recording.events) {
        require_harmless(text.line(event));
        // What is written is read again as the same. What was read may have had more than is
        // written: members that do not belong to the event.
        const std::string written = freezerctl::to_json(event);
        const auto again = freezerctl::parse_trace_line(written);
        require(again.has_value());
        require(freezerctl::to_json(std::get<freezer::TraceEvent>(*again)) == written);
    }
    require_harmless(freezerctl::summary(recording));
    require_harmless(freezerctl::html(recording));
    require(nlohmann::json::accept(freezerctl::perfetto(recording)));
    const freezer::TraceModel model = freezerctl::model_of(recording);
    for (const freezer::Freeze &freeze : model.freezes())
        require_harmless(freezerctl::svg(freeze, freezerctl::shortcomings(recording)));
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, size_t size)
{
    const std::string_view input(reinterpret_cast<const char *>(data), size);
    if (const auto recording = freezerctl::parse_recording(input))
        show(*recording);
    if (const auto recording = freezerctl::parse_recording(with_checksums(input)))
        show(*recording);
    return 0;
}
