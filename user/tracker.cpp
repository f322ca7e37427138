// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "user/tracker.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <string>
#include <vector>

#include "tracker.skel.h"
#include "user/bpf_errors.h"
#include "user/bpf_misses.h"
#include "user/target_maps.h"
#include "user/task_storage.h"

namespace freezer
{
namespace
{

struct SkeletonDeleter {
    void operator()(tracker_bpf *skeleton) const { tracker_bpf::destroy(skeleton); }
};
struct RingDeleter {
    void operator()(ring_buffer *ring) const { ring_buffer__free(ring); }
};

} // namespace

struct Tracker::Impl {
    std::unique_ptr<tracker_bpf, SkeletonDeleter> skeleton;
    std::unique_ptr<ring_buffer, RingDeleter> ring;
    TargetMaps maps;
    bool storage = false;
    bool silent_cgroups = false;
    bool deliveries = false;
    std::uint32_t max_targets = 0;
    fz_target *targets = nullptr; // fz_targets, mapped
    size_t targets_bytes = 0;
    const std::function<void(const fz_event &)> *handler = nullptr; // during drain()

    Impl() = default;
    Impl(const Impl &) = delete;
    Impl &operator=(const Impl &) = delete;
    ~Impl()
    {
        if (targets)
            ::munmap(targets, targets_bytes);
    }

    static int on_event(void *context, void *data, size_t size)
    {
        auto *self = static_cast<Impl *>(context);
        if (size >= sizeof(fz_event))
            (*self->handler)(*static_cast<const fz_event *>(data));
        return 0;
    }
};

Tracker::Tracker(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Tracker::Tracker(Tracker &&) noexcept = default;
Tracker &Tracker::operator=(Tracker &&) noexcept = default;
Tracker::~Tracker() = default;

Result<Tracker> Tracker::open(const TrackerOptions &options)
{
    const LibbpfSilence silence;
    auto impl = std::make_unique<Impl>();
    impl->skeleton.reset(tracker_bpf::open());
    if (!impl->skeleton)
        return bpf_error(errno, "open the BPF object");
    tracker_bpf &skeleton = *impl->skeleton;

    impl->storage = task_storage_is_safe();
    impl->max_targets = std::max(options.max_targets, 1U);
    impl->silent_cgroups = options.silent_cgroups;
    impl->deliveries = options.deliveries;
    skeleton.rodata->fz_use_storage = impl->storage;
    skeleton.rodata->fz_watch_v1 = options.silent_cgroups;
    skeleton.rodata->fz_task_events = options.task_events;
    skeleton.rodata->fz_owner_tgid = static_cast<std::uint32_t>(::getpid());
    struct stat ns {
    };
    if (::stat("/proc/self/ns/pid", &ns) == 0) {
        skeleton.rodata->fz_owner_ns_dev = ns.st_dev;
        skeleton.rodata->fz_owner_ns_ino = ns.st_ino;
    }
    const auto page = static_cast<std::uint32_t>(::sysconf(_SC_PAGESIZE));
    const std::uint32_t ring_bytes = std::bit_ceil(std::max(options.ring_bytes, page));
    bpf_map__set_max_entries(skeleton.maps.fz_events, ring_bytes);
    bpf_map__set_max_entries(skeleton.maps.fz_target_index, impl->max_targets);
    bpf_map__set_max_entries(skeleton.maps.fz_targets, impl->max_targets);
    bpf_map__set_max_entries(skeleton.maps.fz_target_stats, impl->max_targets);
    bpf_map__set_max_entries(skeleton.maps.fz_record_hash, options.max_tasks);
    bpf_map__set_autocreate(skeleton.maps.fz_record_storage, impl->storage);
    bpf_map__set_autocreate(skeleton.maps.fz_record_hash, !impl->storage);

    bpf_program__set_autoload(skeleton.progs.on_sched_switch_v1, options.silent_cgroups);
    bpf_program__set_autoload(skeleton.progs.on_signal_deliver, options.deliveries);

    if (const int rc = tracker_bpf::load(&skeleton); rc != 0)
        return bpf_error(-rc, "load the BPF programs");
    impl->maps = TargetMaps(bpf_map__fd(skeleton.maps.fz_config),
                            bpf_map__fd(skeleton.maps.fz_target_index));

    impl->targets_bytes = impl->max_targets * sizeof(fz_target);
    void *mapped = ::mmap(nullptr, impl->targets_bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
                          bpf_map__fd(skeleton.maps.fz_targets), 0);
    if (mapped == MAP_FAILED)
        return Error::from_errno(errno, "map the BPF targets");
    impl->targets = static_cast<fz_target *>(mapped);

    impl->ring.reset(ring_buffer__new(bpf_map__fd(skeleton.maps.fz_events), Impl::on_event,
                                      impl.get(), nullptr));
    if (!impl->ring)
        return Error::from_errno(errno, "map the BPF ring buffer");

    if (const int rc = tracker_bpf::attach(&skeleton); rc != 0)
        return bpf_error(-rc, "attach the BPF programs");
    return Tracker(std::move(impl));
}

std::vector<std::string> Tracker::tracepoints()
{
    constexpr std::string_view kSection = "tp_btf/";
    std::vector<std::string> names;
    const LibbpfSilence silence;
    const std::unique_ptr<tracker_bpf, SkeletonDeleter> skeleton(tracker_bpf::open());
    if (!skeleton)
        return names;
    bpf_program *program = nullptr;
    bpf_object__for_each_program(program, skeleton->obj)
    {
        const std::string_view section = bpf_program__section_name(program);
        if (section.starts_with(kSection))
            names.emplace_back(section.substr(kSection.size()));
    }
    return names;
}

Status Tracker::watch(std::uint32_t slot, const Cgroup &cgroup)
{
    if (slot >= impl_->max_targets)
        return Error{ErrorKind::kInvalid, 0,
                     "the tracker was opened for " + std::to_string(impl_->max_targets) +
                         " cgroups"};
    impl_->targets[slot] = fz_target{};
    const std::vector<fz_stats> zero(static_cast<size_t>(libbpf_num_possible_cpus()));
    const int stats = bpf_map__fd(impl_->skeleton->maps.fz_target_stats);
    if (const int rc = bpf_map_update_elem(stats, &slot, zero.data(), BPF_ANY); rc != 0)
        return Error::from_errno(-rc, "clear the BPF counters");
    return impl_->maps.watch(slot, cgroup);
}

void Tracker::unwatch(std::uint32_t slot)
{
    impl_->maps.unwatch(slot);
}

void Tracker::set_wake(std::uint32_t slot, std::uint32_t mask)
{
    __atomic_store_n(&impl_->targets[slot].wake, mask, __ATOMIC_RELAXED);
}

Status Tracker::watch_moves(bool on)
{
    return impl_->maps.watch_moves(on);
}

Status Tracker::watch_signal(std::uint32_t signal)
{
    return impl_->maps.watch_signal(signal);
}

void Tracker::begin_request(std::uint32_t slot, std::uint64_t at_ns)
{
    __atomic_store_n(&impl_->targets[slot].request_ns, at_ns, __ATOMIC_RELAXED);
}

std::uint32_t Tracker::lost(std::uint32_t slot) const
{
    const auto &programs = impl_->skeleton->progs;
    return __atomic_load_n(&impl_->targets[slot].lost, __ATOMIC_RELAXED) +
           static_cast<std::uint32_t>(missed_runs(programs.on_fork) +
                                      missed_runs(programs.on_attach_task));
}

int Tracker::event_fd() const
{
    return ring_buffer__epoll_fd(impl_->ring.get());
}

void Tracker::drain(const std::function<void(const fz_event &)> &handler)
{
    impl_->handler = &handler;
    // Not ring_buffer__poll(): events without a wake-up are to be read as well.
    (void)ring_buffer__consume(impl_->ring.get());
    impl_->handler = nullptr;
}

fz_target Tracker::target(std::uint32_t slot) const
{
    return slot < impl_->max_targets ? impl_->targets[slot] : fz_target{};
}

Result<TargetCounts> Tracker::counts(std::uint32_t slot) const
{
    std::vector<fz_stats> per_cpu(static_cast<size_t>(libbpf_num_possible_cpus()));
    const int fd = bpf_map__fd(impl_->skeleton->maps.fz_target_stats);
    if (const int rc = bpf_map_lookup_elem(fd, &slot, per_cpu.data()); rc != 0)
        return Error::from_errno(-rc, "read the BPF counters");
    TargetCounts sum;
    for (const fz_stats &cpu : per_cpu) {
        sum.arrived += cpu.arrived;
        sum.forked += cpu.forked;
        sum.exited += cpu.exited;
        if (cpu.slowest_ns > sum.slowest_ns) {
            sum.slowest_ns = cpu.slowest_ns;
            sum.slowest = cpu.slowest;
        }
    }
    return sum;
}

std::uint64_t Tracker::dropped() const
{
    const auto cpus = static_cast<size_t>(libbpf_num_possible_cpus());
    const int fd = bpf_map__fd(impl_->skeleton->maps.fz_drops);
    std::uint64_t sum = 0;
    for (std::uint32_t kind = 0; kind < FZ_EV_KINDS; ++kind) {
        std::vector<std::uint64_t> per_cpu(cpus);
        if (bpf_map_lookup_elem(fd, &kind, per_cpu.data()) != 0)
            continue;
        for (const std::uint64_t drops : per_cpu)
            sum += drops;
    }
    return sum;
}

std::uint64_t Tracker::missed_exits() const
{
    return missed_runs(impl_->skeleton->progs.on_exit);
}

const TargetMaps &Tracker::targets() const
{
    return impl_->maps;
}

bool Tracker::records_in_storage() const
{
    return impl_->storage;
}

int Tracker::records_fd() const
{
    const auto &maps = impl_->skeleton->maps;
    return bpf_map__fd(impl_->storage ? maps.fz_record_storage : maps.fz_record_hash);
}

bool Tracker::watches_silent_cgroups() const
{
    return impl_->silent_cgroups;
}

bool Tracker::watches_deliveries() const
{
    return impl_->deliveries;
}

std::uint32_t Tracker::max_targets() const
{
    return impl_->max_targets;
}

} // namespace freezer
