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
constexpr const char *kStat = "cgroup.stat";            // 4.14
constexpr const char *kStatLocal = "cgroup.stat.local"; // frozen_usec: 6.18

constexpr const char *kFrozen = "frozen";

bool is_marked_frozen(std::string_view events)
{
    const auto keys = parse_keyed(events);
    const auto found = keys.find(kFrozen);
    return found != keys.end() && found->second != 0;
}

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
    auto events =
        events_ ? read_record(events_.get(), kEvents) : read_record_at(directory(), kEvents);
    if (!events)
        return std::move(events).error();

    const auto keys = parse_keyed(*events);
    const auto frozen = keys.find(kFrozen);
    const auto populated = keys.find("populated");
    if (frozen == keys.end() || populated == keys.end())
        return Error{ErrorKind::kUnsupported, 0,
                     "cgroup.events has no 'frozen': the kernel is older than 5.2"};
    Reading reading;
    reading.self_freezing = *freeze;
    reading.populated = populated->second != 0;
    reading.flagged = frozen->second != 0;
    reading.asked = reading.self_freezing || reading.flagged;
    if (!reading.flagged)
        return reading;

    auto below = look_below();
    if (!below)
        return std::move(below).error();
    reading.frozen = below->frozen;
    reading.cgroups = 1 + below->cgroups;
    reading.undecided = std::move(below->undecided);
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

Result<bool> CgroupV2::is_flagged() const
{
    auto events = read_record_at(directory(), kEvents);
    if (!events)
        return std::move(events).error();
    return is_marked_frozen(*events);
}

// The kernel calls a cgroup frozen when its own tasks are (cgroup_update_frozen()), and also when
// everything below it is (cgroup_propagate_frozen()): either is enough, up to 7.2 at least. Seen on
// 6.18: with a straggler in one of them, a parent that holds tasks of its own reads frozen 1. So a
// cgroup with children is frozen only if they all are; and of the own tasks of one that has both,
// no file tells.
Status CgroupV2::add_marks(Below &sum, const Member &member)
{
    CgroupV2 &cgroup = *member.cgroup;
    bool frozen = true;
    if (member.has_children) {
        auto own = cgroup.lists_any(member.file.get());
        if (!own)
            return std::move(own).error();
        if (*own) {
            auto flagged = cgroup.is_flagged();
            if (!flagged)
                return std::move(flagged).error();
            frozen = *flagged;
            sum.undecided.push_back(cgroup.id());
        }
    } else {
        auto events = read_record(member.file.get(), kEvents);
        if (!events)
            return std::move(events).error();
        frozen = is_marked_frozen(*events);
    }
    sum.frozen = sum.frozen && frozen;
    ++sum.cgroups;
    return {};
}

Status CgroupV2::add_tasks(Below &sum, const Member &member)
{
    CgroupV2 &cgroup = *member.cgroup;
    size_t tasks = 0;
    auto any = member.has_children ? cgroup.lists_any(member.file.get()) : true;
    if (!any)
        return std::move(any).error();
    if (*any) {
        auto ids = cgroup.own_tasks();
        if (!ids)
            return std::move(ids).error();
        tasks = ids->size();
    }
    sum.tasks += tasks;
    ++sum.cgroups;
    return {};
}

void CgroupV2::keep_below(size_t most)
{
    keep_most_ = most;
    if (kept_.size() > most)
        kept_.clear();
}

Result<CgroupV2::Below> CgroupV2::look_below()
{
    auto below = add_up(add_marks);
    if (!below || below->cgroups == 0)
        return below;
    auto own = has_own_tasks();
    if (!own)
        return std::move(own).error();
    if (*own)
        below->undecided.push_back(id());
    return below;
}

Result<CgroupV2::Below> CgroupV2::add_up(Add add)
{
    const auto any = has_directories(directory());
    if (!any)
        return any.error();
    if (!*any) {
        kept_.clear();
        return Below();
    }
    bool keep = false;
    if (keep_most_ != 0) {
        auto cgroups = count_below();
        if (!cgroups)
            return std::move(cgroups).error();
        auto sum = add_up_kept(add, *cgroups);
        if (!sum)
            return std::move(sum).error();
        if (*sum)
            return std::move(**sum);
        keep = *cgroups <= keep_most_;
    }
    kept_.clear();
    Below sum;
    if (auto added = add_children_of(*this, add, sum, keep); !added)
        return std::move(added).error();
    return sum;
}

// A cgroup that is removed stays so, and its files cannot be read any more. So if there were as
// many as are open, and then every one of these can be read, they were the same.
Result<std::optional<CgroupV2::Below>> CgroupV2::add_up_kept(Add add, std::uint64_t cgroups) const
{
    std::optional<Below> sum;
    if (kept_.size() != cgroups)
        return sum;
    sum.emplace();
    for (const Member &member : kept_) {
        if (auto added = add(*sum, member); !added) {
            if (added.error().kind != ErrorKind::kNoSuchCgroup)
                return std::move(added).error();
            sum.reset();
            break;
        }
    }
    return sum;
}

// Opens one after the other: there may be more of them than there may be descriptors.
Status CgroupV2::add_children_of(CgroupV2 &parent, Add add, Below &sum, bool keep)
{
    auto names = list_directories_at(parent.directory());
    if (!names)
        return std::move(names).error();
    for (const std::string &name : *names) {
        auto member = parent.open_member(name);
        Status added = member ? add(sum, *member) : Status(member.error());
        if (added && member->has_children)
            added = add_children_of(*member->cgroup, add, sum, keep);
        if (!added && added.error().kind != ErrorKind::kNoSuchCgroup)
            return added;
        if (added && keep)
            kept_.push_back(std::move(*member));
    }
    return {};
}

Result<CgroupV2::Member> CgroupV2::open_member(const std::string &name) const
{
    auto child = open_below(name);
    if (!child)
        return std::move(child).error();
    std::unique_ptr<CgroupV2> cgroup(static_cast<CgroupV2 *>(child->release()));
    const auto any = has_directories(cgroup->directory());
    if (!any)
        return any.error();
    auto file = *any ? cgroup->open_tasks() : open_at(cgroup->directory(), kEvents, O_RDONLY);
    if (!file)
        return std::move(file).error();
    return Member{std::move(cgroup), *any, std::move(*file)};
}

Result<std::uint64_t> CgroupV2::count_below() const
{
    auto stat = read_record_at(directory(), kStat);
    if (!stat)
        return std::move(stat).error();
    const auto keys = parse_keyed(*stat);
    const auto count = keys.find("nr_descendants");
    if (count == keys.end())
        return Error{ErrorKind::kUnsupported, 0, "cgroup.stat has no 'nr_descendants'"};
    return count->second;
}

bool CgroupV2::verdict_takes_tasks()
{
    const auto below = look_below();
    return below && !below->undecided.empty();
}

Result<TreeSize> CgroupV2::size()
{
    auto below = add_up(add_tasks);
    if (!below)
        return std::move(below).error();
    auto own = own_tasks();
    if (!own)
        return std::move(own).error();
    return TreeSize{1 + below->cgroups, own->size() + below->tasks};
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
