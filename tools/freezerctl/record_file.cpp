// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "tools/freezerctl/record_file.h"

#include <fcntl.h>
#include <unistd.h>
#include <zlib.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>

#include "user/files.h"

namespace freezerctl
{
namespace
{

constexpr std::string_view kMagic = "freezerctl-record ";

std::uint32_t checksum(std::string_view text)
{
    return static_cast<std::uint32_t>(
        ::crc32(0, reinterpret_cast<const Bytef *>(text.data()), static_cast<uInt>(text.size())));
}

// The JSON of a line without its end; nullopt if it is not whole.
std::optional<std::string_view> unwrap(std::string_view line)
{
    std::uint32_t sum = 0;
    std::uint64_t length = 0;
    const char *const end = line.data() + line.size();
    auto [at, error] = std::from_chars(line.data(), end, sum, 16);
    if (error != std::errc() || at == end || *at != ' ')
        return std::nullopt;
    auto [json, length_error] = std::from_chars(at + 1, end, length, 10);
    if (length_error != std::errc() || json == end || *json != ' ')
        return std::nullopt;
    const std::string_view text(json + 1, static_cast<size_t>(end - json - 1));
    if (text.size() != length || checksum(text) != sum)
        return std::nullopt;
    return text;
}

freezer::Error not_a_recording(const std::string &why)
{
    return freezer::Error{freezer::ErrorKind::kInvalid, 0, why};
}

// True: it said something that is to be counted as whole.
bool take(Recording &recording, std::string_view line)
{
    const auto json = unwrap(line);
    if (!json)
        return false;
    auto parsed = parse_trace_line(*json);
    if (!parsed)
        return false;
    if (auto *const event = std::get_if<freezer::TraceEvent>(&*parsed))
        recording.events.push_back(std::move(*event));
    else if (auto *const start = std::get_if<TraceStart>(&*parsed))
        recording.start = std::move(*start);
    else if (auto *const end = std::get_if<TraceEnd>(&*parsed))
        recording.end = *end;
    return true;
}

} // namespace

std::string record_header()
{
    return std::string(kMagic) + std::to_string(kRecordVersion) + "\n";
}

std::string record_line(const std::string &json)
{
    std::array<char, 48> head{};
    std::snprintf(head.data(), head.size(), "%08x %zu ", checksum(json), json.size());
    return head.data() + json + "\n";
}

freezer::Result<Recording> parse_recording(std::string_view content)
{
    if (content.empty())
        return not_a_recording("the file is empty");
    if (!content.starts_with(kMagic))
        return not_a_recording("not a recording of freezerctl");
    size_t at = content.find('\n');
    if (at == std::string_view::npos)
        return not_a_recording("the file ends within its first line");
    int version = 0;
    const char *const digits = content.data() + kMagic.size();
    const auto [last, error] = std::from_chars(digits, content.data() + at, version);
    if (error != std::errc() || last != content.data() + at || version < 1)
        return not_a_recording("not a recording of freezerctl");
    if (version > kRecordVersion)
        return not_a_recording("recorded by a newer freezerctl (version " +
                               std::to_string(version) + " of the file, this one reads up to " +
                               std::to_string(kRecordVersion) + ")");

    Recording recording;
    for (++at; at < content.size();) {
        const size_t end = content.find('\n', at);
        // A line without its end is one that was being written when the recorder died.
        const bool whole =
            end != std::string_view::npos && take(recording, content.substr(at, end - at));
        if (!whole && recording.damaged_lines++ == 0)
            recording.damaged_at = at;
        at = end == std::string_view::npos ? content.size() : end + 1;
    }
    return recording;
}

freezer::Result<Recording> read_recording(const std::string &path)
{
    freezer::UniqueFd opened;
    int fd = STDIN_FILENO;
    if (path != "-") {
        auto file = freezer::open_at(AT_FDCWD, path, O_RDONLY);
        if (!file)
            return freezer::Error::from_errno(file.error().sys_errno, "open " + path);
        opened = std::move(*file);
        fd = opened.get();
    }
    std::string content;
    std::array<char, 65536> buffer;
    for (;;) {
        const ssize_t n = ::read(fd, buffer.data(), buffer.size());
        if (n < 0) {
            const int error = errno;
            if (error == EINTR)
                continue;
            return freezer::Error::from_errno(error, "read " + path);
        }
        if (n == 0)
            return parse_recording(content);
        content.append(buffer.data(), static_cast<size_t>(n));
    }
}

std::string describe_damage(const Recording &recording)
{
    std::string out;
    if (recording.damaged_lines > 0)
        out = std::to_string(recording.damaged_lines) +
              (recording.damaged_lines == 1 ? " line is" : " lines are") +
              " damaged, the first at byte " + std::to_string(recording.damaged_at) +
              "; the rest is shown";
    if (!recording.end)
        out += std::string(out.empty() ? "" : "; ") + "the recording was cut short: it has no end";
    return out;
}

} // namespace freezerctl
