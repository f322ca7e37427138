// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "user/cgroup_paths.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "user/files.h"

namespace freezer
{
namespace
{

// fs/kernfs/kernfs-internal.h: the root's id, in each kernfs.
constexpr std::uint64_t kRootId = 1;
// include/linux/exportfs.h: the handle is the node's id (kernfs since 5.5, fe0f726c9ee3).
constexpr int kFileIdKernfs = 0xfe;
// cgroup.max.depth has no limit; this is against a loop that cannot be.
constexpr int kDepthMax = 1024;

} // namespace

Result<CgroupPaths> CgroupPaths::open(const CgroupMount &mount)
{
    auto fd = open_at(AT_FDCWD, mount.mount_point, O_RDONLY | O_DIRECTORY);
    if (!fd)
        return std::move(fd).error();
    CgroupPaths paths(std::move(*fd), mount.mount_point);
    struct stat st {
    };
    paths.whole_ = ::fstat(paths.mount_fd_.get(), &st) == 0 && st.st_ino == kRootId;
    paths.walk(paths.mount_fd_.get(), "/", 0);
    return paths;
}

void CgroupPaths::walk(int dir_fd, const std::string &path, int depth)
{
    struct stat st {
    };
    if (::fstat(dir_fd, &st) == 0)
        paths_[st.st_ino] = path;
    const auto names = list_directories_at(dir_fd);
    if (!names || depth > kDepthMax)
        return;
    const std::string prefix = path == "/" ? path : path + "/";
    for (const std::string &name : *names) {
        // One that is removed meanwhile is left out.
        if (const auto child = open_at(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW))
            walk(child->get(), prefix + name, depth + 1);
    }
}

std::string CgroupPaths::look_up(std::uint64_t id) const
{
    alignas(file_handle) std::array<unsigned char, sizeof(file_handle) + sizeof(id)> buffer{};
    auto *const handle = reinterpret_cast<file_handle *>(buffer.data());
    handle->handle_bytes = sizeof(id);
    handle->handle_type = kFileIdKernfs;
    std::memcpy(buffer.data() + sizeof(file_handle), &id, sizeof(id));
    // It takes CAP_DAC_READ_SEARCH; without it the names of later cgroups stay unknown.
    const UniqueFd fd(::open_by_handle_at(mount_fd_.get(), handle, O_PATH | O_CLOEXEC));
    if (!fd)
        return "";
    const std::string target = link_target("/proc/self/fd/" + std::to_string(fd.get()));
    std::string_view path = target;
    constexpr std::string_view kDeleted = " (deleted)";
    if (path.ends_with(kDeleted))
        path.remove_suffix(kDeleted.size());
    if (!path.starts_with(mount_point_))
        return "";
    path.remove_prefix(mount_point_.size());
    return path.empty() ? "/" : std::string(path);
}

const std::string &CgroupPaths::path_of(std::uint64_t id)
{
    const auto found = paths_.find(id);
    if (found != paths_.end() && !found->second.empty())
        return found->second;
    return paths_[id] = look_up(id);
}

const std::string &CgroupPaths::path_of(std::uint64_t id, const std::string &kernel_path)
{
    if (!whole_ || kernel_path.empty())
        return path_of(id);
    std::string &path = paths_[id];
    if (path.empty())
        path = kernel_path;
    return path;
}

} // namespace freezer
