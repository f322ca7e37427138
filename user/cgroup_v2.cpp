// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "user/cgroup_v2.h"

#include <fcntl.h>
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
constexpr const char *kKill = "cgroup.kill"; // 5.14
constexpr const char *kProcs = "cgroup.procs";
constexpr const char *kStatLocal = "cgroup.stat.local"; // frozen_usec: 6.18

} // namespace

CgroupV2::CgroupV2(Place place) : CgroupDirectory(std::move(place), kNames) {}

Result<std::unique_ptr<CgroupV2>> CgroupV2::open(UniqueFd directory, std::string path,
                                                 std::optional<std::uint32_t> level)
{
    auto place = place_at(std::move(directory), std::move(path), level);
    if (!place)
        return std::move(place).error();
    return std::unique_ptr<CgroupV2>(new CgroupV2(std::move(*place)));
}

Result<std::unique_ptr<Cgroup>> CgroupV2::open_child(UniqueFd directory, std::string path,
                                                     std::optional<std::uint32_t> level) const
{
    auto child = open(std::move(directory), std::move(path), level);
    if (!child)
        return std::move(child).error();
    return std::unique_ptr<Cgroup>(std::move(*child));
}

Result<Reading> CgroupV2::read()
{
    // The request first: a thaw that comes in between then shows as "asked to freeze, not frozen",
    // which is waited on, never as "frozen without a request".
    auto freeze = self_freezing();
    if (!freeze)
        return std::move(freeze).error();
    auto reading = read_marks();
    if (!reading)
        return reading;
    reading->self_freezing = *freeze;
    reading->asked = reading->self_freezing || reading->flagged;
    return reading;
}

Result<Reading> CgroupV2::read_marks()
{
    auto events =
        events_ ? read_record(events_.get(), kEvents) : read_record_at(directory(), kEvents);
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
    if (reading.flagged) {
        if (auto looked = look_below(reading); !looked)
            return std::move(looked).error();
    }
    return reading;
}

Result<bool> CgroupV2::self_freezing()
{
    if (!freeze_)
        return CgroupDirectory::self_freezing();
    auto text = read_record(freeze_.get(), kNames.own_request);
    if (!text)
        return std::move(text).error();
    return is_set(*text);
}

Status CgroupV2::request_freeze(bool freeze)
{
    if (!freeze_)
        return CgroupDirectory::request_freeze(freeze);
    return write_file(freeze_.get(), kNames.request, freeze ? kNames.freeze : kNames.thaw);
}

// The kernel calls a cgroup frozen when its own tasks are (cgroup_update_frozen()), and also when
// everything below it is (cgroup_propagate_frozen()): either is enough, up to 7.2 at least. Seen on
// 6.18: with a straggler in one of them, a parent that holds tasks of its own reads frozen 1. So a
// cgroup with children is frozen only if they all are; and of the own tasks of one that has both,
// no file tells.
Status CgroupV2::look_below(Reading &reading)
{
    auto below = children();
    if (!below)
        return std::move(below).error();
    reading.cgroups = 1;
    if (below->empty())
        return {};
    auto own = has_own_tasks();
    if (!own)
        return std::move(own).error();
    if (*own)
        reading.undecided.push_back(id());
    for (const auto &child : *below) {
        auto inner = static_cast<CgroupV2 &>(*child).read_marks();
        if (!inner) {
            if (inner.error().kind == ErrorKind::kNoSuchCgroup)
                continue;
            return std::move(inner).error();
        }
        reading.frozen = reading.frozen && inner->frozen;
        reading.cgroups += inner->cgroups;
        reading.undecided.insert(reading.undecided.end(), inner->undecided.begin(),
                                 inner->undecided.end());
    }
    return {};
}

bool CgroupV2::verdict_takes_tasks()
{
    auto below = children();
    if (!below || below->empty())
        return false;
    const auto own = has_own_tasks();
    return (own && *own) || std::any_of(below->begin(), below->end(), [](const auto &child) {
               return child->verdict_takes_tasks();
           });
}

Status CgroupV2::kill()
{
    auto status = write_file_at(directory(), kKill, "1");
    if (!status && status.error().sys_errno == ENOENT) {
        // Without the file the kernel is older than 5.14, or the whole cgroup has gone.
        if (::faccessat(directory(), kEvents, F_OK, 0) == 0)
            status.error().kind = ErrorKind::kUnsupported;
    }
    return status;
}

Result<std::vector<int>> CgroupV2::headless_processes()
{
    // cgroup.procs shows a process as long as one of its threads lives, cgroup.threads only what
    // lives (css_task_iter_advance() in kernel/cgroup/cgroup.c).
    auto processes = read_ids(kProcs);
    if (!processes && processes.error().sys_errno == EOPNOTSUPP)
        return own_tasks(); // threaded: its processes are not told, so any may be one
    auto threads = read_ids(kNames.tasks);
    if (!processes || !threads)
        return processes ? std::move(threads) : std::move(processes);
    std::sort(threads->begin(), threads->end());
    std::erase_if(*processes, [&](int process) {
        return std::binary_search(threads->begin(), threads->end(), process);
    });
    return processes;
}

std::optional<std::uint64_t> CgroupV2::total_freeze_ns()
{
    const auto text = read_file_at(directory(), kStatLocal);
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
        auto fd = open_at(directory(), kEvents, O_RDONLY);
        if (!fd)
            return std::move(fd).error();
        events_ = std::move(*fd);
        if (auto freeze = open_at(directory(), kNames.request, O_RDWR))
            freeze_ = std::move(*freeze);
    }
    return events_.get();
}

std::optional<WatchPath> CgroupV2::notify_path() const
{
    return WatchPath{proc_path() + "/" + kEvents, ""};
}

std::vector<WatchPath> CgroupV2::watch_paths_below()
{
    std::vector<WatchPath> watches;
    watched_below_.clear();
    auto all = walk(*this, watched_below_);
    if (!all)
        return watches;
    for (const auto &cgroup : watched_below_)
        watches.push_back(*cgroup->notify_path());
    return watches;
}

} // namespace freezer
