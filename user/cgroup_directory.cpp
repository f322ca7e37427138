// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "user/cgroup_directory.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "user/files.h"

namespace freezer
{
namespace
{

std::string child_path(const std::string &parent, const std::string &name)
{
    return (parent == "/" ? parent : parent + "/") + name;
}

std::string parent_path(const std::string &path)
{
    const size_t slash = path.rfind('/');
    return slash == 0 ? "/" : path.substr(0, slash);
}

} // namespace

Result<CgroupDirectory::Place> CgroupDirectory::place_at(UniqueFd directory, std::string path,
                                                         std::optional<std::uint32_t> level)
{
    struct stat st {
    };
    if (::fstat(directory.get(), &st) != 0)
        return Error::from_errno(errno, "stat");
    return Place{std::move(directory), std::move(path), st.st_ino, level};
}

std::string CgroupDirectory::proc_path() const
{
    return "/proc/self/fd/" + std::to_string(directory_.get());
}

Result<bool> CgroupDirectory::read_flag(const char *file) const
{
    auto text = read_record_at(directory_.get(), file);
    if (!text)
        return std::move(text).error();
    return is_set(*text);
}

bool CgroupDirectory::is_set(std::string_view flag)
{
    return parse_number(flag).value_or(0) != 0;
}

Result<UniqueFd> CgroupDirectory::open_tasks() const
{
    return open_at(directory_.get(), names_.tasks, O_RDONLY);
}

Result<bool> CgroupDirectory::lists_any(int tasks_fd) const
{
    char byte;
    const ssize_t n = ::pread(tasks_fd, &byte, 1, 0);
    if (n < 0)
        return Error::from_errno(errno, std::string("read ") + names_.tasks);
    return n == 1;
}

Result<bool> CgroupDirectory::has_own_tasks() const
{
    auto tasks = open_tasks();
    if (!tasks)
        return std::move(tasks).error();
    return lists_any(tasks->get());
}

Result<bool> CgroupDirectory::self_freezing()
{
    return read_flag(names_.own_request);
}

Status CgroupDirectory::request_freeze(bool freeze)
{
    return write_file_at(directory_.get(), names_.request, freeze ? names_.freeze : names_.thaw);
}

Status CgroupDirectory::remove()
{
    auto parent = open_at(directory_.get(), "..", O_PATH | O_DIRECTORY);
    if (!parent)
        return std::move(parent).error();
    const std::string name = path_.substr(path_.rfind('/') + 1);
    // Only if the name still means this cgroup.
    struct stat st {
    };
    if (::fstatat(parent->get(), name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0)
        return Error::from_errno(errno, "stat " + name);
    if (st.st_ino != id_)
        return Error::from_errno(ENOENT, "remove");
    if (::unlinkat(parent->get(), name.c_str(), AT_REMOVEDIR) != 0)
        return Error::from_errno(errno, "remove");
    return {};
}

Result<std::optional<std::string>> CgroupDirectory::freezing_ancestor()
{
    std::string path = path_;
    UniqueFd above;
    int here = directory_.get();
    while (path != "/") {
        auto next = open_at(here, "..", O_PATH | O_DIRECTORY);
        if (!next)
            return std::move(next).error();
        above = std::move(*next);
        here = above.get();
        path = parent_path(path);
        auto freeze = read_record_at(here, names_.own_request);
        if (!freeze) {
            // The hierarchy's root has no such file; nor may every ancestor be readable.
            if (freeze.error().sys_errno == ENOENT || freeze.error().kind == ErrorKind::kPermission)
                continue;
            return std::move(freeze).error();
        }
        if (is_set(*freeze))
            return std::optional(path);
    }
    return std::optional<std::string>();
}

Result<std::unique_ptr<Cgroup>> CgroupDirectory::open_below(const std::string &relative) const
{
    auto fd = open_directory_beneath(directory_.get(), relative.empty() ? "." : relative);
    if (!fd)
        return std::move(fd).error();
    if (relative.empty())
        return open_child(std::move(*fd), path_, level_);
    const auto depth = 1 + std::count(relative.begin(), relative.end(), '/');
    return open_child(std::move(*fd), child_path(path_, relative),
                      level_ ? std::optional(*level_ + static_cast<std::uint32_t>(depth))
                             : std::nullopt);
}

Result<std::vector<std::unique_ptr<Cgroup>>> CgroupDirectory::children()
{
    std::vector<std::unique_ptr<Cgroup>> children;
    const auto any = has_directories(directory_.get());
    if (!any)
        return any.error();
    if (!*any)
        return children;
    auto names = list_directories_at(directory_.get());
    if (!names)
        return std::move(names).error();
    for (const std::string &name : *names) {
        auto child = open_below(name);
        if (!child) {
            if (child.error().kind == ErrorKind::kNoSuchCgroup)
                continue;
            return std::move(child).error();
        }
        children.push_back(std::move(*child));
    }
    return children;
}

Result<std::unique_ptr<Cgroup>> CgroupDirectory::make_child(const std::string &name)
{
    if (::mkdirat(directory_.get(), name.c_str(), 0755) != 0)
        return Error::from_errno(errno, "make the cgroup " + child_path(path_, name));
    return open_below(name);
}

Result<std::vector<int>> CgroupDirectory::own_tasks()
{
    return read_ids(names_.tasks);
}

Result<std::vector<int>> CgroupDirectory::read_ids(const char *file)
{
    auto text = read_file_at(directory_.get(), file);
    if (!text)
        return std::move(text).error();
    std::vector<int> ids;
    for (const std::string_view line : split_lines(*text)) {
        // 0 stands for a task of another pid namespace.
        if (const auto id = parse_number(line); id && *id != 0)
            ids.push_back(static_cast<int>(*id));
    }
    return ids;
}

std::vector<WatchPath> CgroupDirectory::watch_paths() const
{
    // Requests, and the removal of an empty cgroup. An ancestor's request changes this cgroup's
    // state in the same way.
    const std::string self = proc_path();
    std::vector<WatchPath> watches{{self + "/" + names_.request, ""},
                                   {self + "/..", path_.substr(path_.rfind('/') + 1)}};
    std::string up = self;
    for (std::string path = parent_path(path_); path != "/"; path = parent_path(path)) {
        up += "/..";
        watches.push_back({up + "/" + names_.request, ""});
    }
    return watches;
}

} // namespace freezer
