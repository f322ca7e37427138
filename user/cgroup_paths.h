// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#ifndef FREEZERCTL_USER_CGROUP_PATHS_H
#define FREEZERCTL_USER_CGROUP_PATHS_H

#include <cstdint>
#include <string>
#include <unordered_map>

#include "user/mounts.h"
#include "user/result.h"
#include "user/unique_fd.h"

namespace freezer
{

// Paths of v2 cgroups by id. Ids are never used again and v2 cgroups cannot be renamed, so what was
// once found holds for ever, and the name of a cgroup that is gone by now is still known.
class CgroupPaths
{
  public:
    // Looks up every cgroup that there is, and any later one when it is first asked for.
    static Result<CgroupPaths> open(const CgroupMount &mount);

    // Below the mount, "/a/b"; "" for a cgroup that is gone and was never seen, or that lies
    // outside the mount.
    const std::string &path_of(std::uint64_t id);
    // The path that the kernel told, from the root of the hierarchy. Taken where the mount begins
    // there too, else looked up.
    const std::string &path_of(std::uint64_t id, const std::string &kernel_path);

  private:
    CgroupPaths(UniqueFd mount_fd, std::string mount_point)
        : mount_fd_(std::move(mount_fd)), mount_point_(std::move(mount_point))
    {
    }
    [[nodiscard]] std::string look_up(std::uint64_t id) const;
    void walk(int dir_fd, const std::string &path, int depth);

    UniqueFd mount_fd_;
    std::string mount_point_;
    bool whole_ = false; // the mount shows the hierarchy from its root
    std::unordered_map<std::uint64_t, std::string> paths_;
};

} // namespace freezer

#endif
