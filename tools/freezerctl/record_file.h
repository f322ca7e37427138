// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// The file that `record` writes: docs/trace-format.md.
//
//     freezerctl-record 1
//     CRC LENGTH JSON
//     ...
//
// Each line stands for itself: a file that was cut, or damaged in the middle, gives all lines that
// are whole.
#ifndef FREEZERCTL_TOOLS_RECORD_FILE_H
#define FREEZERCTL_TOOLS_RECORD_FILE_H

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tools/freezerctl/trace_json.h"
#include "user/result.h"
#include "user/unique_fd.h"

namespace freezerctl
{

constexpr int kRecordVersion = 1;

std::string record_header();
// One line of the file, with its end.
std::string record_line(const std::string &json);

struct Recording {
    TraceStart start;
    std::vector<freezer::TraceEvent> events; // members first
    std::optional<TraceEnd> end;             // nullopt: it was cut short
    std::uint64_t damaged_lines = 0;
    std::uint64_t damaged_at = 0; // offset of the first one
};

// kInvalid for what is not a recording, or of a newer version. Any bytes may be given.
freezer::Result<Recording> parse_recording(std::string_view content);
// The whole of a file, "-" is stdin.
freezer::Result<Recording> read_recording(const std::string &path);
// What is wrong with it, as a sentence; "" if nothing is.
std::string describe_damage(const Recording &recording);

} // namespace freezerctl

#endif
