// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "user/mounts.h"

#include <fcntl.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "user/files.h"

namespace freezer
{
namespace
{

// Whether the path of its point leads elsewhere: the lines' order tells nothing about that, their
// parents do. A mount that covers another lies on the same parent, or on the covered one's own
// root.
bool is_covered(const MountEntry &mount, const std::vector<MountEntry> &all)
{
    const MountEntry *below = nullptr; // the step on the way from `at` to the mount
    const MountEntry *at = &mount;
    for (size_t steps = 0; at && steps <= all.size(); ++steps) {
        const MountEntry *parent = nullptr;
        for (const MountEntry &other : all) {
            if (&other != at && other.id == at->parent)
                parent = &other;
            if (&other == below || &other == at || other.parent != at->id)
                continue;
            if (is_at_or_below(below ? below->point : at->point, other.point))
                return true;
        }
        below = std::exchange(at, parent);
    }
    return false;
}

// One space lies between two fields, of which the source may be empty.
std::vector<std::string_view> split_fields(std::string_view line)
{
    std::vector<std::string_view> fields;
    for (size_t space = 0; space != std::string_view::npos;) {
        space = line.find(' ');
        fields.push_back(line.substr(0, space));
        line.remove_prefix(space == std::string_view::npos ? line.size() : space + 1);
    }
    return fields;
}

std::optional<MountEntry> parse_mount(std::string_view line)
{
    // 31 23 0:28 ROOT MOUNT_POINT OPTIONS [TAG...] - TYPE SOURCE SUPER_OPTIONS
    const auto fields = split_fields(line);
    if (fields.size() < 10)
        return std::nullopt;
    const auto dash = std::find(fields.begin() + 6, fields.end(), "-");
    const size_t colon = fields[2].find(':');
    if (fields.end() - dash < 4 || colon == std::string_view::npos)
        return std::nullopt;
    const auto id = parse_number(fields[0]);
    const auto parent = parse_number(fields[1]);
    const auto major = parse_number(fields[2].substr(0, colon));
    const auto minor = parse_number(fields[2].substr(colon + 1));
    if (!id || !parent || !major || !minor)
        return std::nullopt;
    return MountEntry{*id,
                      *parent,
                      static_cast<std::uint32_t>(*major),
                      static_cast<std::uint32_t>(*minor),
                      unescape_mount(fields[3]),
                      unescape_mount(fields[4]),
                      std::string(dash[1]),
                      unescape_mount(dash[2]),
                      std::string(dash[3])};
}

} // namespace

std::string unescape_mount(std::string_view text)
{
    const auto is_octal = [](char c) { return c >= '0' && c <= '7'; };
    std::string out(text.substr(0, text.find('\\')));
    for (size_t i = out.size(); i < text.size(); ++i) {
        if (text[i] == '\\' && i + 3 < text.size() && is_octal(text[i + 1]) &&
            is_octal(text[i + 2]) && is_octal(text[i + 3])) {
            out += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 +
                                     (text[i + 3] - '0'));
            i += 3;
        } else {
            out += text[i];
        }
    }
    return out;
}

std::vector<MountEntry> parse_mounts(std::string_view text)
{
    std::vector<MountEntry> mounts;
    for (const std::string_view line : split_lines(text)) {
        if (auto mount = parse_mount(line))
            mounts.push_back(std::move(*mount));
    }
    return mounts;
}

std::vector<CgroupMount> parse_mountinfo(std::string_view text)
{
    const std::vector<MountEntry> all = parse_mounts(text);
    std::vector<CgroupMount> mounts;
    for (const MountEntry &mount : all) {
        const bool v2 = mount.type == "cgroup2";
        if ((!v2 && mount.type != "cgroup") || is_covered(mount, all))
            continue;
        const bool freezer = has_word(mount.options, "freezer");
        mounts.push_back({v2        ? Hierarchy::kV2
                          : freezer ? Hierarchy::kV1Freezer
                                    : Hierarchy::kV1Other,
                          mount.point, mount.root});
    }
    return mounts;
}

Result<std::vector<CgroupMount>> read_cgroup_mounts(const std::string &path)
{
    auto text = read_file_at(AT_FDCWD, path);
    if (!text)
        return std::move(text).error();
    return parse_mountinfo(*text);
}

const CgroupMount *find_mount(const std::vector<CgroupMount> &mounts, Hierarchy hierarchy)
{
    const CgroupMount *best = nullptr;
    for (const CgroupMount &mount : mounts) {
        if (mount.hierarchy != hierarchy)
            continue;
        if (!best || (best->root != "/" && mount.root == "/"))
            best = &mount;
    }
    return best;
}

} // namespace freezer
