// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "user/cgroup_v1.h"

#include <cerrno>

#include "user/files.h"

namespace freezer
{
namespace
{

constexpr const char *kParent = "freezer.parent_freezing"; // 3.8

} // namespace

CgroupV1::CgroupV1(Place place, std::uint32_t hierarchy_id)
    : CgroupDirectory(std::move(place), kNames), hierarchy_id_(hierarchy_id)
{
}

Result<std::unique_ptr<CgroupV1>> CgroupV1::open(UniqueFd directory, std::string path,
                                                 std::optional<std::uint32_t> level,
                                                 std::uint32_t hierarchy_id)
{
    auto place = place_at(std::move(directory), std::move(path), level);
    if (!place)
        return std::move(place).error();
    return std::unique_ptr<CgroupV1>(new CgroupV1(std::move(*place), hierarchy_id));
}

Result<std::unique_ptr<Cgroup>> CgroupV1::open_child(UniqueFd directory, std::string path,
                                                     std::optional<std::uint32_t> level) const
{
    auto child = open(std::move(directory), std::move(path), level, hierarchy_id_);
    if (!child)
        return std::move(child).error();
    return std::unique_ptr<Cgroup>(std::move(*child));
}

Result<Reading> CgroupV1::read()
{
    Reading reading;
    auto self = self_freezing();
    if (!self)
        return std::move(self).error();
    auto parent = read_flag(kParent);
    if (!parent)
        return std::move(parent).error();
    auto populated = is_populated();
    if (!populated)
        return std::move(populated).error();
    reading.self_freezing = *self;
    reading.asked = *self || *parent;
    reading.populated = *populated;
    // Without a request it is THAWED. freezer.state is not read for that: a read walks all tasks,
    // and kernels with 254a142007 ("cgroup_freezing: Check if not frozen") may let go a task that
    // freezes while somebody reads.
    if (reading.asked) {
        auto state = read_file_at(directory(), kNames.request);
        if (!state)
            return std::move(state).error();
        // freezer_read() looks at everything below as well, children first.
        reading.flagged = *state == "FROZEN\n";
        reading.frozen = reading.flagged;
    }
    return reading;
}

// No file tells, but the tasks. (In a pid namespace they leave out the tasks of others.)
Result<bool> CgroupV1::is_populated()
{
    auto own = has_own_tasks();
    if (!own || *own)
        return own;
    auto below = children();
    if (!below)
        return std::move(below).error();
    for (const auto &child : *below) {
        auto populated = static_cast<CgroupV1 &>(*child).is_populated();
        if (populated && *populated)
            return true;
        if (!populated && populated.error().kind != ErrorKind::kNoSuchCgroup)
            return populated;
    }
    return false;
}

Result<TreeSize> CgroupV1::size()
{
    std::vector<std::unique_ptr<Cgroup>> storage;
    auto all = walk(*this, storage);
    if (!all)
        return std::move(all).error();
    TreeSize size{all->size(), 0};
    for (Cgroup *const cgroup : *all) {
        if (const auto tasks = cgroup->own_tasks())
            size.tasks += tasks->size();
    }
    return size;
}

Status CgroupV1::kill()
{
    return Error{ErrorKind::kUnsupported, 0, "v1 has no request to kill"};
}

Result<std::optional<std::string>> CgroupV1::freezing_ancestor()
{
    auto found = CgroupDirectory::freezing_ancestor();
    if (!found || *found)
        return found;
    auto parent = read_flag(kParent);
    if (!parent) {
        if (parent.error().sys_errno == ENOENT)
            return found; // the root
        return std::move(parent).error();
    }
    if (!*parent)
        return found;
    return std::optional<std::string>("(outside this mount)");
}

} // namespace freezer
