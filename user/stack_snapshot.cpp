// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "user/stack_snapshot.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "stacks.skel.h"
#include "user/bpf_errors.h"
#include "user/bpf_iterator.h"
#include "user/target_maps.h"

namespace freezer
{
namespace
{

struct SkeletonDeleter {
    void operator()(stacks_bpf *skeleton) const { stacks_bpf::destroy(skeleton); }
};

constexpr size_t kStackBytes = FZ_STACK_DEPTH * sizeof(std::uint64_t);

} // namespace

struct StackSnapshot::Impl {
    std::unique_ptr<stacks_bpf, SkeletonDeleter> skeleton;
    TargetMaps maps;
    std::vector<std::uint32_t> candidates;
};

StackSnapshot::StackSnapshot(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
StackSnapshot::StackSnapshot(StackSnapshot &&) noexcept = default;
StackSnapshot &StackSnapshot::operator=(StackSnapshot &&) noexcept = default;
StackSnapshot::~StackSnapshot() = default;

Result<StackSnapshot> StackSnapshot::open(bool silent)
{
    const LibbpfSilence silence;
    auto impl = std::make_unique<Impl>();
    impl->skeleton.reset(stacks_bpf::open());
    if (!impl->skeleton)
        return bpf_error(errno, "open the BPF stack iterator");
    auto &maps = impl->skeleton->maps;
    impl->skeleton->rodata->fz_watch_v1 = silent;
    // The records of compat.bpf.h are the tracker's: nothing here looks at them.
    bpf_map__set_autocreate(maps.fz_record_storage, false);
    bpf_map__set_autocreate(maps.fz_record_hash, false);
    bpf_map__set_max_entries(maps.fz_target_index, 1);
    if (const int rc = stacks_bpf::load(impl->skeleton.get()); rc != 0)
        return bpf_error(-rc, "load the BPF stack iterator");
    if (const int rc = stacks_bpf::attach(impl->skeleton.get()); rc != 0)
        return bpf_error(-rc, "attach the BPF stack iterator");
    auto targets = TargetMaps::map(bpf_map__fd(maps.fz_config), bpf_map__fd(maps.fz_target_index));
    if (!targets)
        return std::move(targets).error();
    impl->maps = std::move(*targets);
    return StackSnapshot(std::move(impl));
}

Status StackSnapshot::watch(const Cgroup &cgroup)
{
    impl_->maps.unwatch(0);
    return impl_->maps.watch(0, cgroup);
}

Status StackSnapshot::set_candidates(std::span<const std::uint32_t> tids)
{
    const int fd = bpf_map__fd(impl_->skeleton->maps.fz_candidates);
    for (const std::uint32_t tid : std::exchange(impl_->candidates, {}))
        (void)bpf_map_delete_elem(fd, &tid);
    for (const std::uint32_t tid : tids) {
        const std::uint32_t value = 1;
        if (const int rc = bpf_map_update_elem(fd, &tid, &value, BPF_ANY); rc != 0)
            return Error::from_errno(-rc, "name the tasks to look at");
        impl_->candidates.push_back(tid);
    }
    return {};
}

Result<StackSnapshot::Pass> StackSnapshot::take(const Options &options) const
{
    impl_->skeleton->bss->fz_candidates_only = options.candidates_only;
    impl_->skeleton->bss->fz_frozen_stacks = options.frozen_stacks;
    Pass pass;
    auto done =
        run_iterator(bpf_link__fd(impl_->skeleton->links.dump_stack), "stack iterator",
                     [&](std::span<const char> bytes) {
                         size_t at = 0;
                         while (bytes.size() - at >= sizeof(fz_stack_row)) {
                             Row row{{}, pass.addresses.size()};
                             std::memcpy(&row.row, bytes.data() + at, sizeof(row.row));
                             const bool stack = row.row.bits & FZ_STACK_FOLLOWS;
                             const size_t size = sizeof(row.row) + (stack ? kStackBytes : 0);
                             if (bytes.size() - at < size)
                                 break;
                             row.row.depth = std::min<unsigned>(row.row.depth, FZ_STACK_DEPTH);
                             if (stack && row.row.depth > 0) {
                                 pass.addresses.resize(row.first_address + row.row.depth);
                                 std::memcpy(&pass.addresses[row.first_address],
                                             bytes.data() + at + sizeof(row.row),
                                             row.row.depth * sizeof(std::uint64_t));
                             }
                             pass.rows.push_back(row);
                             at += size;
                         }
                         return at;
                     });
    if (!done)
        return std::move(done).error();
    return pass;
}

Result<std::vector<fz_open_file>> StackSnapshot::open_files() const
{
    std::vector<fz_open_file> files;
    auto done = for_each_row<fz_open_file>(bpf_link__fd(impl_->skeleton->links.dump_holder),
                                           "file iterator",
                                           [&](const fz_open_file &row) { files.push_back(row); });
    if (!done)
        return std::move(done).error();
    return files;
}

} // namespace freezer
