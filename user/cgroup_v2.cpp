// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "user/cgroup_v2.h"

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

// Control files: Documentation/admin-guide/cgroup-v2.rst, "Core Interface Files".
constexpr const char *kEvents = "cgroup.events";
constexpr const char *kFreeze = "cgroup.freeze"; // 5.2
constexpr const char *kKill = "cgroup.kill";     // 5.14
constexpr const char *kProcs = "cgroup.procs";
constexpr const char *kStatLocal = "cgroup.stat.local"; // frozen_usec: 6.18
constexpr const char *kThreads = "cgroup.threads";

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

Result<std::unique_ptr<CgroupV2>> CgroupV2::open(UniqueFd directory, std::string path,
                                                 std::optional<std::uint32_t> level)
{
    struct stat st {
    };
    if (::fstat(directory.get(), &st) != 0)
        return Error::from_errno(errno, "stat");
    return std::unique_ptr<CgroupV2>(
        new CgroupV2(std::move(directory), std::move(path), st.st_ino, level));
}

Result<Reading> CgroupV2::read()
{
    // The request first: a thaw that comes in between then shows as "asked to freeze, not frozen",
    // which is waited on, never as "frozen without a request".
    auto freeze = read_file_at(directory_.get(), kFreeze);
    if (!freeze)
        return std::move(freeze).error();
    auto events =
        events_ ? read_all(events_.get(), kEvents) : read_file_at(directory_.get(), kEvents);
    if (!events)
        return std::move(events).error();

    const auto keys = parse_keyed(*events);
    const auto frozen = keys.find("frozen");
    const auto populated = keys.find("populated");
    if (frozen == keys.end() || populated == keys.end())
        return Error{ErrorKind::kUnsupported, 0,
                     "cgroup.events has no 'frozen': the kernel is older than 5.2"};
    Reading reading;
    reading.populated = populated->second != 0;
    reading.flagged = frozen->second != 0;
    reading.frozen = reading.flagged;
    reading.self_freezing = parse_number(*freeze).value_or(0) != 0;
    if (reading.flagged) {
        if (auto looked = look_below(reading); !looked)
            return std::move(looked).error();
    }
    return reading;
}

// The kernel calls a cgroup frozen when its own tasks are (cgroup_update_frozen()), and also when
// everything below it is (cgroup_propagate_frozen()): either is enough, up to 7.2 at least. Seen on
// 6.18: with a straggler in one of them, a parent that holds tasks of its own reads frozen 1. So a
// cgroup with children is frozen only if they all are; and of the own tasks of one that has both,
// no file tells.
Status CgroupV2::look_below(Reading &reading)
{
    struct stat st {
    };
    if (::fstat(directory_.get(), &st) != 0)
        return Error::from_errno(errno, "stat " + path_);
    if (st.st_nlink <= 2) // kernfs counts the directories in it, as file systems do
        return {};
    auto below = children();
    if (!below)
        return std::move(below).error();
    if (below->empty())
        return {};
    auto threads = open_at(directory_.get(), kThreads, O_RDONLY);
    if (!threads)
        return std::move(threads).error();
    char byte;
    if (::read(threads->get(), &byte, 1) == 1)
        reading.undecided.push_back(id_);
    for (const auto &child : *below) {
        auto inner = child->read();
        if (!inner) {
            if (inner.error().kind == ErrorKind::kNoSuchCgroup)
                continue;
            return std::move(inner).error();
        }
        reading.frozen = reading.frozen && inner->frozen;
        reading.undecided.insert(reading.undecided.end(), inner->undecided.begin(),
                                 inner->undecided.end());
    }
    return {};
}

Status CgroupV2::request_freeze(bool freeze)
{
    return write_file_at(directory_.get(), kFreeze, freeze ? "1" : "0");
}

Status CgroupV2::kill()
{
    auto status = write_file_at(directory_.get(), kKill, "1");
    if (!status && status.error().sys_errno == ENOENT) {
        // Without the file the kernel is older than 5.14, or the whole cgroup has gone.
        if (::faccessat(directory_.get(), kEvents, F_OK, 0) == 0)
            status.error().kind = ErrorKind::kUnsupported;
    }
    return status;
}

Status CgroupV2::remove()
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

Result<std::optional<std::string>> CgroupV2::freezing_ancestor()
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
        auto freeze = read_file_at(here, kFreeze);
        if (!freeze) {
            // The hierarchy's root has no such file; nor may every ancestor be readable.
            if (freeze.error().sys_errno == ENOENT || freeze.error().kind == ErrorKind::kPermission)
                continue;
            return std::move(freeze).error();
        }
        if (parse_number(*freeze).value_or(0) != 0)
            return std::optional(path);
    }
    return std::optional<std::string>();
}

Result<std::vector<std::unique_ptr<Cgroup>>> CgroupV2::children()
{
    auto names = list_directories_at(directory_.get());
    if (!names)
        return std::move(names).error();
    const auto level = level_ ? std::optional(*level_ + 1) : std::nullopt;
    std::vector<std::unique_ptr<Cgroup>> children;
    for (const std::string &name : *names) {
        auto fd = open_at(directory_.get(), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
        if (!fd) {
            if (fd.error().kind == ErrorKind::kNoSuchCgroup)
                continue;
            return std::move(fd).error();
        }
        auto child = open(std::move(*fd), child_path(path_, name), level);
        if (!child)
            return std::move(child).error();
        children.push_back(std::move(*child));
    }
    return children;
}

Result<std::vector<int>> CgroupV2::own_tasks()
{
    return read_ids(kThreads);
}

Result<std::vector<int>> CgroupV2::headless_processes()
{
    // cgroup.procs shows a process as long as one of its threads lives, cgroup.threads only what
    // lives (css_task_iter_advance() in kernel/cgroup/cgroup.c).
    auto processes = read_ids(kProcs);
    if (!processes && processes.error().sys_errno == EOPNOTSUPP)
        return own_tasks(); // threaded: its processes are not told, so any may be one
    auto threads = read_ids(kThreads);
    if (!processes || !threads)
        return processes ? std::move(threads) : std::move(processes);
    std::sort(threads->begin(), threads->end());
    std::erase_if(*processes, [&](int process) {
        return std::binary_search(threads->begin(), threads->end(), process);
    });
    return processes;
}

Result<std::vector<int>> CgroupV2::read_ids(const char *file)
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

std::optional<std::uint64_t> CgroupV2::total_freeze_ns()
{
    const auto text = read_file_at(directory_.get(), kStatLocal);
    if (!text)
        return std::nullopt;
    const auto keys = parse_keyed(*text);
    const auto usec = keys.find("frozen_usec");
    if (usec == keys.end())
        return std::nullopt;
    return usec->second * 1000;
}

Result<int> CgroupV2::notify_fd()
{
    if (!events_) {
        auto fd = open_at(directory_.get(), kEvents, O_RDONLY);
        if (!fd)
            return std::move(fd).error();
        events_ = std::move(*fd);
    }
    return events_.get();
}

std::vector<WatchPath> CgroupV2::watch_paths() const
{
    // Silent on cgroup.events: a foreign thaw of a freeze that was not finished, and the removal of
    // an empty cgroup. An ancestor's request changes this cgroup's state in the same way.
    const std::string self = "/proc/self/fd/" + std::to_string(directory_.get());
    std::vector<WatchPath> watches{{self + "/" + kFreeze, ""},
                                   {self + "/..", path_.substr(path_.rfind('/') + 1)}};
    std::string up = self;
    for (std::string path = parent_path(path_); path != "/"; path = parent_path(path)) {
        up += "/..";
        watches.push_back({up + "/" + kFreeze, ""});
    }
    return watches;
}

std::vector<WatchPath> CgroupV2::watch_paths_below()
{
    std::vector<WatchPath> watches;
    watched_below_.clear();
    auto all = walk(*this, watched_below_);
    if (!all)
        return watches;
    for (const auto &cgroup : watched_below_) {
        const auto &v2 = static_cast<const CgroupV2 &>(*cgroup);
        const std::string self = "/proc/self/fd/" + std::to_string(v2.directory_.get());
        watches.push_back({self + "/" + kEvents, ""});
    }
    return watches;
}

} // namespace freezer
