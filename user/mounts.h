// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#ifndef FREEZERCTL_USER_MOUNTS_H
#define FREEZERCTL_USER_MOUNTS_H

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "user/result.h"

namespace freezer
{

enum class Hierarchy {
    kV2,        // cgroup2
    kV1Freezer, // cgroup with the freezer controller
    kV1Other,   // any other cgroup v1 hierarchy
};

struct CgroupMount {
    Hierarchy hierarchy = Hierarchy::kV2;
    std::string mount_point; // where it is, octal escapes resolved
    std::string root;        // the directory of the hierarchy that is mounted there, "/" for all
};

// A path of mountinfo as it is: the kernel writes space, tab, newline and backslash as \ooo
// (fs/proc_namespace.c, mangle()).
std::string unescape_mount(std::string_view text);

// One line of a text of the form of /proc/PID/mountinfo (proc(5)).
struct MountEntry {
    std::uint64_t id = 0;
    std::uint64_t parent = 0; // the id of the mount that it lies on
    std::uint32_t major = 0;
    std::uint32_t minor = 0;
    std::string root; // the directory of the file system that is mounted there
    std::string point;
    std::string type;
    std::string source;
    std::string options; // of the file system
};
// In the order of the text; what is no such line is passed over.
std::vector<MountEntry> parse_mounts(std::string_view text);

// The cgroup mounts among them that can be reached: none that another mount covers, at its point or
// above it.
std::vector<CgroupMount> parse_mountinfo(std::string_view text);

// The mounts of this process. `path` is a seam for tests.
Result<std::vector<CgroupMount>>
read_cgroup_mounts(const std::string &path = "/proc/self/mountinfo");

// The first mount of the hierarchy, or NULL. One that shows the whole hierarchy is preferred.
const CgroupMount *find_mount(const std::vector<CgroupMount> &mounts, Hierarchy hierarchy);

} // namespace freezer

#endif
