// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "user/resolve.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdlib>

#include "user/cgroup_v1.h"
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

// The kernel's cgroup.level of a path in a mount, where no cgroup namespace hides what is above.
std::uint32_t level_of(const CgroupMount &mount, const std::string &path)
{
    const auto parts = [](const std::string &p) {
        return p == "/" ? 0 : static_cast<std::uint32_t>(std::count(p.begin(), p.end(), '/'));
    };
    return parts(mount.root) + parts(path);
}

bool in_initial_cgroup_namespace()
{
    // include/uapi/linux/nsfs.h: CGROUP_NS_INIT_INO, a fixed number since namespaces have inodes.
    constexpr ino_t kInitialCgroupNamespace = 0xEFFFFFFB;
    struct stat st {
    };
    return ::stat("/proc/self/ns/cgroup", &st) == 0 && st.st_ino == kInitialCgroupNamespace;
}

Error no_such(const std::string &what)
{
    return Error{ErrorKind::kNoSuchCgroup, ENOENT, what};
}

// A line of /proc/PID/cgroup: "6:freezer,cpu:/a/b".
struct ProcCgroupLine {
    std::uint32_t hierarchy;
    std::string_view controllers;
    std::string_view path;
};

std::optional<ProcCgroupLine> parse_proc_cgroup_line(std::string_view line)
{
    const size_t first = line.find(':');
    const size_t second = first == std::string_view::npos ? first : line.find(':', first + 1);
    if (second == std::string_view::npos)
        return std::nullopt;
    const auto number = parse_number(line.substr(0, first));
    if (!number)
        return std::nullopt;
    return ProcCgroupLine{static_cast<std::uint32_t>(*number),
                          line.substr(first + 1, second - first - 1), line.substr(second + 1)};
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

std::optional<std::string> parse_proc_cgroup(std::string_view text, std::uint32_t hierarchy)
{
    for (const std::string_view line : split_lines(text)) {
        const auto parsed = parse_proc_cgroup_line(line);
        if (!parsed || parsed->hierarchy != hierarchy)
            continue;
        std::string_view path = parsed->path;
        constexpr std::string_view kDeleted = " (deleted)";
        if (path.ends_with(kDeleted))
            path.remove_suffix(kDeleted.size());
        return std::string(path);
    }
    return std::nullopt;
}

std::optional<std::uint32_t> parse_v1_hierarchy(std::string_view text, std::string_view controller)
{
    for (const std::string_view line : split_lines(text)) {
        const auto parsed = parse_proc_cgroup_line(line);
        if (!parsed || parsed->hierarchy == 0)
            continue;
        if (has_word(parsed->controllers, controller))
            return parsed->hierarchy;
    }
    return std::nullopt;
}

Resolver::Resolver(std::vector<CgroupMount> all)
    : all_mounts_(std::move(all)), knows_levels_(in_initial_cgroup_namespace())
{
    if (const CgroupMount *const mount = find_mount(all_mounts_, Hierarchy::kV2))
        v2_ = *mount;
    if (const CgroupMount *const mount = find_mount(all_mounts_, Hierarchy::kV1Freezer)) {
        const auto text = read_record_at(AT_FDCWD, "/proc/self/cgroup");
        const auto number = text ? parse_v1_hierarchy(*text, "freezer") : std::nullopt;
        if (number) {
            v1_ = *mount;
            v1_hierarchy_ = *number;
        }
    }
    for (const auto &mount : {v2_, v1_}) {
        if (!mount)
            continue;
        // Where it fails, the first that is looked for below it says why.
        if (auto top = open_at(AT_FDCWD, mount->mount_point, O_PATH | O_DIRECTORY))
            tops_.emplace(mount->mount_point, std::move(*top));
    }
}

Result<Resolver> Resolver::open()
{
    auto mounts = read_cgroup_mounts();
    if (!mounts)
        return std::move(mounts).error();
    Resolver resolver(std::move(*mounts));
    if (!resolver.v2_ && !resolver.v1_)
        return Error{ErrorKind::kUnsupported, 0,
                     "neither cgroup2 nor the v1 freezer is mounted: run 'mount -t cgroup2 none "
                     "/sys/fs/cgroup' (or /sys/fs/cgroup/unified beside v1 hierarchies)"};
    return resolver;
}

Result<const CgroupMount *> Resolver::mount_for(HierarchyChoice choice) const
{
    if (choice != HierarchyChoice::kV1 && v2_)
        return &*v2_;
    if (choice != HierarchyChoice::kV2 && v1_)
        return &*v1_;
    if (choice == HierarchyChoice::kV1)
        return Error{ErrorKind::kUnsupported, 0,
                     "no v1 freezer is mounted: run 'mkdir /sys/fs/cgroup/freezer; mount -t cgroup "
                     "-o freezer none /sys/fs/cgroup/freezer', or use v2"};
    return Error{ErrorKind::kUnsupported, 0,
                 "no cgroup2 file system is mounted: run 'mount -t cgroup2 none "
                 "/sys/fs/cgroup/unified', or use v1"};
}

const CgroupMount *Resolver::mount_of(const Cgroup &cgroup) const
{
    const auto &mount = cgroup.hierarchy_id() == 0 ? v2_ : v1_;
    return mount ? &*mount : nullptr;
}

// Why a directory of this mount is no target.
Error Resolver::not_usable(const CgroupMount &mount) const
{
    if (mount.hierarchy == Hierarchy::kV1Other)
        return no_such("the v1 hierarchy at " + mount.mount_point +
                       " has no freezer: name a cgroup below " +
                       (v1_   ? v1_->mount_point + " (v1)" + (v2_ ? " or " : "")
                        : v2_ ? ""
                              : "a mounted freezer") +
                       (v2_ ? v2_->mount_point + " (v2)" : ""));
    const bool v2 = mount.hierarchy == Hierarchy::kV2;
    return no_such(mount.mount_point + " is of " + (v2 ? "v2" : "v1") + ", and a " +
                   (v2 ? "v1" : "v2") + " cgroup is asked for");
}

Result<std::unique_ptr<Cgroup>> Resolver::open_below(const CgroupMount &mount,
                                                     const std::string &path) const
{
    const auto open = tops_.find(mount.mount_point);
    UniqueFd other;
    if (open == tops_.end()) {
        auto top = open_at(AT_FDCWD, mount.mount_point, O_PATH | O_DIRECTORY);
        if (!top)
            return std::move(top).error();
        other = std::move(*top);
    }
    auto fd = open_directory_beneath(open != tops_.end() ? open->second.get() : other.get(),
                                     path == "/" ? "." : path.substr(1));
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
                           " leads out of the cgroup mount");
        default:
            return std::move(fd).error();
        }
    }
    const auto level = knows_levels_ ? std::optional(level_of(mount, path)) : std::nullopt;
    if (mount.hierarchy == Hierarchy::kV1Freezer) {
        auto cgroup = CgroupV1::open(std::move(*fd), path, level, v1_hierarchy_);
        if (!cgroup)
            return std::move(cgroup).error();
        return std::unique_ptr<Cgroup>(std::move(*cgroup));
    }
    auto cgroup = CgroupV2::open(std::move(*fd), path, level);
    if (!cgroup)
        return std::move(cgroup).error();
    return std::unique_ptr<Cgroup>(std::move(*cgroup));
}

Result<std::unique_ptr<Cgroup>> Resolver::by_path(const std::string &text,
                                                  HierarchyChoice choice) const
{
    auto normal = normalize_path(text);
    if (!normal)
        return std::move(normal).error();
    const auto open_in = [&](const CgroupMount &mount,
                             const std::string &path) -> Result<std::unique_ptr<Cgroup>> {
        const bool wanted =
            (mount.hierarchy == Hierarchy::kV2 && choice != HierarchyChoice::kV1) ||
            (mount.hierarchy == Hierarchy::kV1Freezer && v1_ && choice != HierarchyChoice::kV2);
        if (!wanted)
            return not_usable(mount);
        return open_below(mount, *path_below(mount.mount_point, path));
    };

    const bool absolute = text.front() == '/';
    if (absolute) {
        // "/sys/fs/cgroup/unified/a" is meant as it stands, even should "/sys" exist in the mount.
        if (const CgroupMount *const mount = mount_holding(all_mounts_, *normal))
            return open_in(*mount, *normal);
    }

    auto mount = mount_for(choice);
    if (!mount)
        return std::move(mount).error();
    auto below = open_below(**mount, *normal);
    if (below || below.error().sys_errno != ENOENT)
        return below;
    if (choice == HierarchyChoice::kAny && is_hybrid()) {
        if (auto in_v1 = open_below(*v1_, *normal))
            return in_v1;
    }
    if (!absolute)
        return below;

    // Not below the mount; a path of the file system that leads to a cgroup will do as well.
    struct statfs fs {
    };
    if (::statfs(normal->c_str(), &fs) != 0)
        return below;
    if (fs.f_type != CGROUP2_SUPER_MAGIC && fs.f_type != CGROUP_SUPER_MAGIC)
        return no_such("not a cgroup: " + *normal + " lies outside the cgroup mount " +
                       (*mount)->mount_point);
    const std::unique_ptr<char, decltype(&::free)> real(::realpath(normal->c_str(), nullptr),
                                                        &::free);
    const CgroupMount *const holding = real ? mount_holding(all_mounts_, real.get()) : nullptr;
    if (!holding)
        return below;
    return open_in(*holding, real.get());
}

Result<std::unique_ptr<Cgroup>> Resolver::by_pid(int pid, HierarchyChoice choice) const
{
    auto mount = mount_for(choice);
    if (!mount)
        return std::move(mount).error();
    auto found = by_pid_in(**mount, pid);
    if (choice != HierarchyChoice::kAny || !is_hybrid())
        return found;
    // Every process has a v2 cgroup, on a hybrid host often the root.
    if (found && (*found)->path() != "/")
        return found;
    auto in_v1 = by_pid_in(*v1_, pid);
    return in_v1 && (*in_v1)->path() != "/" ? std::move(in_v1) : std::move(found);
}

Result<std::unique_ptr<Cgroup>> Resolver::by_pid_in(const CgroupMount &mount, int pid) const
{
    auto text = read_record_at(AT_FDCWD, "/proc/" + std::to_string(pid) + "/cgroup");
    if (!text) {
        if (text.error().sys_errno == ENOENT || text.error().sys_errno == ESRCH)
            return no_such("no process has the id " + std::to_string(pid));
        return std::move(text).error();
    }
    auto path = path_from(*text, pid, mount.hierarchy);
    if (!path)
        return std::move(path).error();
    return open_below(mount, *path);
}

Result<std::string> Resolver::path_from(std::string_view proc_cgroup, int pid,
                                        Hierarchy hierarchy) const
{
    const bool v2 = hierarchy == Hierarchy::kV2;
    auto mount = mount_for(v2 ? HierarchyChoice::kV2 : HierarchyChoice::kV1);
    if (!mount)
        return std::move(mount).error();
    auto path = parse_proc_cgroup(proc_cgroup, v2 ? 0 : v1_hierarchy_);
    if (!path)
        return no_such("process " + std::to_string(pid) + " is in no " +
                       (v2 ? "v2" : "v1 freezer") + " cgroup");
    // Relative to the reader's cgroup namespace; one outside it begins with "/..".
    if (path->starts_with("/.."))
        return no_such("process " + std::to_string(pid) +
                       " is in a cgroup outside this cgroup namespace (" + *path + ")");
    const std::string &root = (*mount)->root;
    if (root == "/")
        return std::move(*path);
    auto below = path_below(root, *path);
    if (!below)
        return no_such("the cgroup of process " + std::to_string(pid) + ", " + *path +
                       ", is not below what is mounted at " + (*mount)->mount_point);
    return std::move(*below);
}

std::vector<CgroupMount> Resolver::mounts() const
{
    std::vector<CgroupMount> mounts;
    for (const auto &mount : {v2_, v1_}) {
        if (mount)
            mounts.push_back(*mount);
    }
    return mounts;
}

Result<std::vector<std::unique_ptr<Cgroup>>> Resolver::roots() const
{
    std::vector<std::unique_ptr<Cgroup>> roots;
    for (const CgroupMount &mount : mounts()) {
        auto root = open_below(mount, "/");
        if (!root)
            return std::move(root).error();
        roots.push_back(std::move(*root));
    }
    return roots;
}

bool Resolver::any_v1_request() const
{
    if (!v1_)
        return false;
    auto root = open_below(*v1_, "/");
    if (!root)
        return false;
    std::vector<std::unique_ptr<Cgroup>> storage;
    auto all = walk(**root, storage);
    if (!all)
        return false;
    return std::any_of(all->begin(), all->end(), [](Cgroup *cgroup) {
        const auto asks = cgroup->self_freezing();
        return asks && *asks;
    });
}

std::string Resolver::v1_path_of(std::uint32_t tid) const
{
    const auto text = read_record_at(AT_FDCWD, "/proc/" + std::to_string(tid) + "/cgroup");
    if (!text || !v1_)
        return "";
    return parse_proc_cgroup(*text, v1_hierarchy_).value_or("");
}

// By id, not by name: the same cgroup has other paths in other mounts and namespaces.
std::vector<std::uint64_t> Resolver::own_cgroups(const Cgroup &like) const
{
    std::vector<std::uint64_t> ids;
    const CgroupMount *const mount = mount_of(like);
    if (!mount)
        return ids;
    const auto own = by_pid_in(*mount, ::getpid());
    if (!own)
        return ids; // outside the mount, so nothing in the mount holds it
    ids.push_back((*own)->id());
    const std::string &path = (*own)->path();
    const auto above = path == "/" ? 0 : std::count(path.begin(), path.end(), '/');
    UniqueFd parent;
    for (auto i = above; i > 0; --i) {
        auto next =
            open_at(parent ? parent.get() : (*own)->directory(), "..", O_PATH | O_DIRECTORY);
        struct stat st {
        };
        if (!next || ::fstat(next->get(), &st) != 0)
            break;
        ids.push_back(st.st_ino);
        parent = std::move(*next);
    }
    return ids;
}

Status Resolver::check_harmless(const Cgroup &cgroup, const std::vector<std::uint64_t> &own) const
{
    const CgroupMount *const mount = mount_of(cgroup);
    if (!mount)
        return {};
    if (cgroup.path() == "/" && mount->root == "/")
        return Error{ErrorKind::kRefused, 0,
                     "the root cgroup cannot be frozen or killed: name one below it"};
    if (std::find(own.begin(), own.end(), cgroup.id()) != own.end())
        return Error{ErrorKind::kRefused, 0,
                     "it holds freezerctl itself, which would stop with it: run freezerctl "
                     "from a cgroup outside it"};
    return {};
}

} // namespace freezer
