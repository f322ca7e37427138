// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "user/mounts.h"

#include <fcntl.h>

#include <algorithm>
#include <sstream>

#include "user/files.h"

namespace freezer
{
namespace
{

bool has_option(std::string_view options, std::string_view wanted)
{
    while (!options.empty()) {
        const size_t comma = options.find(',');
        if (options.substr(0, comma) == wanted)
            return true;
        if (comma == std::string_view::npos)
            return false;
        options.remove_prefix(comma + 1);
    }
    return false;
}

} // namespace

std::string unescape_mount(std::string_view text)
{
    const auto is_octal = [](char c) { return c >= '0' && c <= '7'; };
    std::string out;
    for (size_t i = 0; i < text.size(); ++i) {
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

std::vector<CgroupMount> parse_mountinfo(std::string_view text)
{
    std::vector<CgroupMount> mounts;
    for (const std::string_view line : split_lines(text)) {
        // 31 23 0:28 ROOT MOUNT_POINT OPTIONS [TAG...] - TYPE SOURCE SUPER_OPTIONS
        std::istringstream fields{std::string(line)};
        std::string skip;
        std::string root;
        std::string point;
        fields >> skip >> skip >> skip >> root >> point;
        while (fields >> skip && skip != "-") {
        }
        std::string type;
        std::string source;
        std::string options;
        fields >> type >> source >> options;
        if (!fields)
            continue;
        const std::string mount_point = unescape_mount(point);
        // Later lines lie on top of earlier ones at the same point.
        std::erase_if(mounts, [&](const CgroupMount &m) { return m.mount_point == mount_point; });
        if (type == "cgroup2") {
            mounts.push_back({Hierarchy::kV2, mount_point, unescape_mount(root)});
        } else if (type == "cgroup") {
            const bool freezer = has_option(options, "freezer");
            mounts.push_back({freezer ? Hierarchy::kV1Freezer : Hierarchy::kV1Other, mount_point,
                              unescape_mount(root)});
        }
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
