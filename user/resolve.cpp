// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "user/resolve.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdlib>

#include "user/cgroup_v2.h"
#include "user/files.h"

namespace freezer
{
namespace
{

// The part of `path` below `mount_point`, as "/a/b"; nullopt when it lies elsewhere.
std::optional<std::string> path_below(const std::string &mount_point, const std::string &path)
{
    if (mount_point == "/")
        return path;
    if (path == mount_point)
        return "/";
    if (path.starts_with(mount_point + "/"))
        return path.substr(mount_point.size());
    return std::nullopt;
}

const CgroupMount *mount_holding(const std::vector<CgroupMount> &mounts, const std::string &path)
{
    const CgroupMount *best = nullptr;
    for (const CgroupMount &mount : mounts) {
        if (path_below(mount.mount_point, path) &&
            (!best || mount.mount_point.size() > best->mount_point.size()))
            best = &mount;
    }
    return best;
}

// The kernel's cgroup.level of a path in a mount, unless a cgroup namespace hides what is above.
std::optional<std::uint32_t> level_of(const CgroupMount &mount, const std::string &path)
{
    // include/uapi/linux/nsfs.h: CGROUP_NS_INIT_INO, a fixed number since namespaces have inodes.
    constexpr ino_t kInitialCgroupNamespace = 0xEFFFFFFB;
    struct stat st {
    };
    if (::stat("/proc/self/ns/cgroup", &st) != 0 || st.st_ino != kInitialCgroupNamespace)
        return std::nullopt;
    const auto parts = [](const std::string &p) {
        return p == "/" ? 0 : static_cast<std::uint32_t>(std::count(p.begin(), p.end(), '/'));
    };
    return parts(mount.root) + parts(path);
}

Error no_such(const std::string &what)
{
    return Error{ErrorKind::kNoSuchCgroup, ENOENT, what};
}

// openat2() since 5.6: no symbolic link, no "..", no other mount can lead out.
Result<UniqueFd> open_beneath(int dir_fd, const std::string &relative)
{
    open_how how{};
    how.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV;
    UniqueFd fd(
        static_cast<int>(::syscall(SYS_openat2, dir_fd, relative.c_str(), &how, sizeof(how))));
    if (!fd)
        return Error::from_errno(errno, "open " + relative);
    return fd;
}

} // namespace

Result<std::string> normalize_path(const std::string &text)
{
    if (text.empty())
        return Error{ErrorKind::kInvalid, 0, "an empty path names no cgroup"};
    if (text.find('\0') != std::string::npos)
        return Error{ErrorKind::kInvalid, 0, "a path cannot contain a NUL byte"};
    std::string out;
    size_t begin = 0;
    while (begin <= text.size()) {
        const size_t end = std::min(text.find('/', begin), text.size());
        const std::string part = text.substr(begin, end - begin);
        if (part == "..")
            return Error{ErrorKind::kInvalid, 0,
                         "'..' is not allowed in a cgroup path: write the path without it"};
        if (!part.empty() && part != ".")
            out += "/" + part;
        begin = end + 1;
    }
    return out.empty() ? "/" : out;
}

std::optional<std::string> parse_proc_cgroup(std::string_view text)
{
    for (const std::string_view line : split_lines(text)) {
        if (!line.starts_with("0::"))
            continue;
        std::string_view path = line.substr(3);
        constexpr std::string_view kDeleted = " (deleted)";
        if (path.ends_with(kDeleted))
            path.remove_suffix(kDeleted.size());
        return std::string(path);
    }
    return std::nullopt;
}

Result<Resolver> Resolver::open()
{
    auto mounts = read_cgroup_mounts();
    if (!mounts)
        return std::move(mounts).error();
    const CgroupMount *mount = find_mount(*mounts, Hierarchy::kV2);
    if (!mount)
        return Error{ErrorKind::kUnsupported, 0,
                     "no cgroup2 file system is mounted: run 'mount -t cgroup2 none "
                     "/sys/fs/cgroup' (or /sys/fs/cgroup/unified beside v1 hierarchies)"};
    CgroupMount chosen = *mount;
    return Resolver(std::move(chosen), std::move(*mounts));
}

Result<std::unique_ptr<Cgroup>> Resolver::open_below(const CgroupMount &mount,
                                                     const std::string &path) const
{
    auto top = open_at(AT_FDCWD, mount.mount_point, O_PATH | O_DIRECTORY);
    if (!top)
        return std::move(top).error();
    auto fd = open_beneath(top->get(), path == "/" ? "." : path.substr(1));
    if (!fd) {
        switch (fd.error().sys_errno) {
        case ENOENT:
        case ENODEV:
            return no_such("no such cgroup: " + mount.mount_point + path + " does not exist");
        case ENOTDIR:
            return no_such("not a cgroup: " + mount.mount_point + path + " is not a directory");
        case ELOOP:
        case EXDEV:
            return no_such("not a cgroup: " + mount.mount_point + path +
                           " leads out of the cgroup2 mount");
        default:
            return std::move(fd).error();
        }
    }
    auto cgroup = CgroupV2::open(std::move(*fd), path, level_of(mount, path));
    if (!cgroup)
        return std::move(cgroup).error();
    return std::unique_ptr<Cgroup>(std::move(*cgroup));
}

Result<std::unique_ptr<Cgroup>> Resolver::by_path(const std::string &text) const
{
    auto normal = normalize_path(text);
    if (!normal)
        return std::move(normal).error();

    const bool absolute = text.front() == '/';
    if (absolute) {
        // "/sys/fs/cgroup/unified/a" is meant as it stands, even should "/sys" exist in the mount.
        const CgroupMount *mount = mount_holding(all_mounts_, *normal);
        if (mount && mount->hierarchy == Hierarchy::kV2)
            return open_below(*mount, *path_below(mount->mount_point, *normal));
        if (mount)
            return no_such("a cgroup v1 directory; name a cgroup below " + mount_.mount_point);
    }

    auto below = open_below(mount_, *normal);
    if (below || !absolute || below.error().sys_errno != ENOENT)
        return below;

    // Not below the mount; a path of the file system that leads to a cgroup will do as well.
    struct statfs fs {
    };
    if (::statfs(normal->c_str(), &fs) != 0)
        return below;
    if (fs.f_type == CGROUP_SUPER_MAGIC)
        return no_such("a cgroup v1 directory; name a cgroup below " + mount_.mount_point);
    if (fs.f_type != CGROUP2_SUPER_MAGIC)
        return no_such("not a cgroup: " + *normal + " lies outside the cgroup2 mount " +
                       mount_.mount_point);
    const std::unique_ptr<char, decltype(&::free)> real(::realpath(normal->c_str(), nullptr),
                                                        &::free);
    const CgroupMount *mount = real ? mount_holding(all_mounts_, real.get()) : nullptr;
    if (!mount)
        return below;
    return open_below(*mount, *path_below(mount->mount_point, real.get()));
}

Result<std::unique_ptr<Cgroup>> Resolver::by_pid(int pid) const
{
    const std::string name = "/proc/" + std::to_string(pid) + "/cgroup";
    auto text = read_file_at(AT_FDCWD, name);
    if (!text) {
        if (text.error().sys_errno == ENOENT || text.error().sys_errno == ESRCH)
            return no_such("no process has the id " + std::to_string(pid));
        return std::move(text).error();
    }
    auto path = parse_proc_cgroup(*text);
    if (!path)
        return no_such("process " + std::to_string(pid) + " is in no v2 cgroup");
    // Relative to the reader's cgroup namespace; one outside it begins with "/..".
    if (path->starts_with("/.."))
        return no_such("process " + std::to_string(pid) +
                       " is in a cgroup outside this cgroup namespace (" + *path + ")");
    if (mount_.root != "/") {
        const auto below = path_below(mount_.root, *path);
        if (!below)
            return no_such("the cgroup of process " + std::to_string(pid) + ", " + *path +
                           ", is not below what is mounted at " + mount_.mount_point);
        return open_below(mount_, *below);
    }
    return open_below(mount_, *path);
}

Result<std::unique_ptr<Cgroup>> Resolver::root() const
{
    return open_below(mount_, "/");
}

Status Resolver::check_harmless(const Cgroup &cgroup) const
{
    if (cgroup.path() == "/" && mount_.root == "/")
        return Error{ErrorKind::kRefused, 0,
                     "the root cgroup cannot be frozen or killed: name one below it"};

    // By id, not by name: the same cgroup has other paths in other mounts and namespaces.
    auto own = by_pid(::getpid());
    if (!own)
        return {}; // outside the mount, so nothing in the mount holds it
    auto fd = open_at(AT_FDCWD, mount_.mount_point + (*own)->path(), O_PATH | O_DIRECTORY);
    std::string path = (*own)->path();
    while (fd) {
        struct stat st {
        };
        if (::fstat(fd->get(), &st) == 0 && st.st_ino == cgroup.id())
            return Error{ErrorKind::kRefused, 0,
                         "it holds freezerctl itself, which would stop with it: run freezerctl "
                         "from a cgroup outside it"};
        if (path == "/")
            break;
        path = path.substr(0, path.rfind('/'));
        if (path.empty())
            path = "/";
        fd = open_at(fd->get(), "..", O_PATH | O_DIRECTORY);
    }
    return {};
}

} // namespace freezer
