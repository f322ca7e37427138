// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#ifndef FREEZERCTL_USER_RESOLVE_H
#define FREEZERCTL_USER_RESOLVE_H

#include <memory>
#include <string>
#include <vector>

#include "user/cgroup.h"
#include "user/mounts.h"
#include "user/result.h"

namespace freezer
{

// Finds cgroups by what a user calls them.
class Resolver
{
  public:
    // Reads the mounts. kUnsupported where no cgroup2 is mounted.
    static Result<Resolver> open();

    // `text` is a path below the mount ("/a/b" or "a/b") or an absolute path in the file system
    // that leads to a cgroup2 directory. A path with "..", or one that leaves the mount by a
    // symbolic link, is refused.
    [[nodiscard]] Result<std::unique_ptr<Cgroup>> by_path(const std::string &text) const;
    // The v2 cgroup of a process.
    [[nodiscard]] Result<std::unique_ptr<Cgroup>> by_pid(int pid) const;
    // The mount's own root: a place to walk from, not a cgroup that can be frozen.
    [[nodiscard]] Result<std::unique_ptr<Cgroup>> root() const;

    // kRefused when freezing or killing the cgroup would hit the caller or the whole machine: it is
    // the root, or holds the calling process.
    [[nodiscard]] Status check_harmless(const Cgroup &cgroup) const;

    [[nodiscard]] const CgroupMount &mount() const { return mount_; }

  private:
    explicit Resolver(CgroupMount mount, std::vector<CgroupMount> all)
        : mount_(std::move(mount)), all_mounts_(std::move(all))
    {
    }
    [[nodiscard]] Result<std::unique_ptr<Cgroup>> open_below(const CgroupMount &mount,
                                                             const std::string &path) const;

    CgroupMount mount_;
    std::vector<CgroupMount> all_mounts_;
};

// "/a/b" from "a//b/./": one leading slash, no empty or "." parts. kInvalid for "" and for "..".
Result<std::string> normalize_path(const std::string &text);

// The path in the line of hierarchy 0 of a text of the form of /proc/PID/cgroup (cgroups(7)),
// without the " (deleted)" that a removed cgroup has. nullopt where there is no such line.
std::optional<std::string> parse_proc_cgroup(std::string_view text);

} // namespace freezer

#endif
