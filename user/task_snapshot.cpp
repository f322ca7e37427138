// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "user/task_snapshot.h"

#include <bpf/libbpf.h>

#include <algorithm>
#include <cerrno>

#include "tasks.skel.h"
#include "user/bpf_errors.h"
#include "user/bpf_iterator.h"
#include "user/pins.h"
#include "user/target_maps.h"
#include "user/tracker.h"

namespace freezer
{
namespace
{

struct SkeletonDeleter {
    void operator()(tasks_bpf *skeleton) const { tasks_bpf::destroy(skeleton); }
};

} // namespace

struct TaskSnapshot::Impl {
    std::unique_ptr<tasks_bpf, SkeletonDeleter> skeleton; // none beside a pinned tracker
    std::vector<int> links;
    TargetMaps maps;
    bool silent = false;
    // The kernel's numbers of the slots that are ours.
    std::uint32_t first_slot = 0;
    std::uint32_t slots = 0;
};

TaskSnapshot::TaskSnapshot(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
TaskSnapshot::TaskSnapshot(TaskSnapshot &&) noexcept = default;
TaskSnapshot &TaskSnapshot::operator=(TaskSnapshot &&) noexcept = default;
TaskSnapshot::~TaskSnapshot() = default;

Result<TaskSnapshot> TaskSnapshot::beside(const Tracker &tracker)
{
    if (const PinnedTracker *const pinned = tracker.pinned()) {
        auto impl = std::make_unique<Impl>();
        impl->links.push_back(pinned->iterator.get());
        impl->first_slot = tracker.first_slot();
        impl->slots = tracker.max_targets();
        return TaskSnapshot(std::move(impl));
    }
    return load(&tracker, tracker.max_targets(), tracker.watches_silent_cgroups());
}

Result<TaskSnapshot> TaskSnapshot::open(std::uint32_t max_targets, bool silent)
{
    return load(nullptr, max_targets, silent);
}

Result<TaskSnapshot> TaskSnapshot::load(const Tracker *tracker, std::uint32_t max_targets,
                                        bool silent)
{
    const LibbpfSilence silence;
    auto impl = std::make_unique<Impl>();
    impl->skeleton.reset(tasks_bpf::open());
    if (!impl->skeleton)
        return bpf_error(errno, "open the BPF task iterator");
    auto &maps = impl->skeleton->maps;

    // Without a tracker there are no records; the hash, which every kernel has, stays empty.
    const bool storage = tracker && tracker->records_in_storage();
    impl->skeleton->rodata->fz_use_storage = storage;
    impl->skeleton->rodata->fz_watch_v1 = silent;
    bpf_program__set_autoload(impl->skeleton->progs.dump_task_v1, silent);
    bpf_map__set_autocreate(maps.fz_record_storage, storage);
    bpf_map__set_autocreate(maps.fz_record_hash, !storage);
    bpf_map__set_max_entries(maps.fz_target_index, std::max(max_targets, 1U));
    if (tracker) {
        const TargetMaps &shared = tracker->targets();
        int rc = bpf_map__reuse_fd(maps.fz_config, shared.config_fd());
        if (rc == 0)
            rc = bpf_map__reuse_fd(maps.fz_target_index, shared.index_fd());
        if (rc == 0)
            rc = bpf_map__reuse_fd(storage ? maps.fz_record_storage : maps.fz_record_hash,
                                   tracker->records_fd());
        if (rc != 0)
            return bpf_error(-rc, "share the tracker's maps");
    }
    if (const int rc = tasks_bpf::load(impl->skeleton.get()); rc != 0)
        return bpf_error(-rc, "load the BPF task iterator");
    if (const int rc = tasks_bpf::attach(impl->skeleton.get()); rc != 0)
        return bpf_error(-rc, "attach the BPF task iterator");
    auto targets = TargetMaps::map(bpf_map__fd(maps.fz_config), bpf_map__fd(maps.fz_target_index));
    if (!targets)
        return std::move(targets).error();
    impl->maps = std::move(*targets);
    impl->silent = silent;
    impl->slots = std::max(max_targets, 1U);
    const auto &links = impl->skeleton->links;
    for (const bpf_link *const link : {links.dump_task, links.dump_task_v1}) {
        if (link) // asked for
            impl->links.push_back(bpf_link__fd(link));
    }
    return TaskSnapshot(std::move(impl));
}

bool TaskSnapshot::watches_silent_cgroups() const
{
    return impl_->silent;
}

Status TaskSnapshot::watch(std::uint32_t slot, const Cgroup &cgroup)
{
    return impl_->maps.watch(slot, cgroup);
}

void TaskSnapshot::unwatch(std::uint32_t slot)
{
    impl_->maps.unwatch(slot);
}

Result<std::vector<fz_task_row>> TaskSnapshot::take() const
{
    std::vector<fz_task_row> rows;
    const Impl &impl = *impl_;
    for (const int link : impl.links) {
        auto done = for_each_row<fz_task_row>(link, "task iterator", [&](const fz_task_row &row) {
            if (row.target - impl.first_slot >= impl.slots)
                return; // another client's
            rows.push_back(row);
            rows.back().target -= impl.first_slot;
        });
        if (!done)
            return std::move(done).error();
    }
    return rows;
}

Status TaskSnapshot::pin(const TrackerPins &pins) const
{
    return pins.pin(TrackerPins::kIterator, impl_->links.front());
}

} // namespace freezer
