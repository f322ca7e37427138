// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "user/tracker.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tracker.skel.h"
#include "user/bpf_errors.h"
#include "user/bpf_misses.h"
#include "user/mapped.h"
#include "user/pins.h"
#include "user/target_maps.h"
#include "user/task_storage.h"

namespace freezer
{
namespace
{

constexpr size_t kDropCounters = size_t{FZ_DROP_EVENTS} + FZ_CLIENTS_MAX;

struct SkeletonDeleter {
    void operator()(tracker_bpf *skeleton) const { tracker_bpf::destroy(skeleton); }
};
struct RingDeleter {
    void operator()(ring_buffer *ring) const { ring_buffer__free(ring); }
};

} // namespace

struct Tracker::Impl {
    // A process stays in its pid namespace.
    Impl() { (void)::stat("/proc/self/ns/pid", &own_ns); }

    // One of the two; the descriptors below belong to it.
    std::unique_ptr<tracker_bpf, SkeletonDeleter> skeleton;
    std::optional<PinnedTracker> pinned;
    int stats_fd = -1;
    int records_fd = -1;
    int exits_fd = -1; // the programs at births, deaths and moves
    int births_fd = -1;
    int moves_fd = -1;
    int deliveries_fd = -1;

    std::unique_ptr<ring_buffer, RingDeleter> ring;
    TargetMaps maps;
    Mapped<fz_target> targets; // of fz_targets those that are ours
    Mapped<std::uint64_t> drops;
    struct stat own_ns {
    };
    bool storage = false;
    bool silent_cgroups = false;
    bool deliveries = false;
    bool task_events = false;
    std::uint32_t max_targets = 0;
    std::uint32_t client = 0;
    std::uint32_t base = 0;            // the kernel's number of slot 0
    std::set<std::uint32_t> following; // slots of which FZ_FOLLOW_TASKS asks for arrivals
    std::set<std::uint32_t> counted;   // those of which it has asked since watch()
    const std::function<void(const fz_event &)> *handler = nullptr; // during drain()

    static int on_event(void *context, void *data, size_t size)
    {
        auto *self = static_cast<Impl *>(context);
        if (size < sizeof(fz_event))
            return 0;
        fz_event event = *static_cast<const fz_event *>(data);
        if (event.target != FZ_NO_TARGET)
            event.target -= self->base;
        (*self->handler)(event);
        return 0;
    }

    Status map_drops(int fd)
    {
        auto mapped = Mapped<std::uint64_t>::map(fd, kDropCounters, "counters");
        if (!mapped)
            return std::move(mapped).error();
        drops = std::move(*mapped);
        return {};
    }

    Status open_ring(int fd)
    {
        ring.reset(ring_buffer__new(fd, on_event, this, nullptr));
        if (!ring)
            return Error::from_errno(errno, "map the BPF ring buffer");
        return {};
    }

    // Takes back what an earlier process with this number left when it died.
    void clean_up()
    {
        for (std::uint32_t slot = 0; slot < max_targets; ++slot) {
            fz_target &left = targets[slot];
            if (left.cgroup_id == 0)
                continue;
            maps.remove(base + slot, {left.cgroup_id, 0, left.level});
            left = fz_target{};
        }
        maps.watch_moves(false);
        maps.follow_tasks(false);
    }

    void set_wake(std::uint32_t slot, std::uint32_t mask)
    {
        mask |= task_events ? FZ_TELL_TASKS : 0;
        // No arrival may be missed by a target that asks for them.
        const bool follows = mask & FZ_FOLLOW_TASKS;
        if (follows && following.insert(slot).second) {
            if (counted.insert(slot).second)
                clear_counts(slot);
            maps.follow_tasks(true);
        }
        __atomic_store_n(&targets[slot].wake, mask, __ATOMIC_RELAXED);
        if (!follows)
            stop_following(slot);
    }

    void clear_counts(std::uint32_t slot)
    {
        const std::uint32_t index = base + slot;
        const std::vector<fz_stats> zero(static_cast<size_t>(libbpf_num_possible_cpus()));
        // It fails only for a slot that is not there.
        (void)bpf_map_update_elem(stats_fd, &index, zero.data(), BPF_ANY);
    }

    void stop_following(std::uint32_t slot)
    {
        if (following.erase(slot) != 0 && following.empty())
            maps.follow_tasks(false);
    }
};

Tracker::Tracker(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Tracker::Tracker(Tracker &&) noexcept = default;
Tracker &Tracker::operator=(Tracker &&) noexcept = default;
Tracker::~Tracker()
{
    if (impl_ && impl_->pinned)
        impl_->clean_up();
}

Result<Tracker> Tracker::open(const TrackerOptions &options)
{
    const LibbpfSilence silence;
    auto impl = std::make_unique<Impl>();
    impl->skeleton.reset(tracker_bpf::open());
    if (!impl->skeleton)
        return bpf_error(errno, "open the BPF object");
    tracker_bpf &skeleton = *impl->skeleton;
    const auto &maps = skeleton.maps;

    impl->storage = task_storage_is_safe();
    constexpr std::uint32_t kSharedSlots = FZ_CLIENTS_MAX * FZ_CLIENT_SLOTS;
    impl->max_targets = options.shared ? kSharedSlots : std::max(options.max_targets, 1U);
    impl->silent_cgroups = options.silent_cgroups;
    impl->deliveries = options.deliveries;
    impl->task_events = options.task_events;
    skeleton.rodata->fz_use_storage = impl->storage;
    skeleton.rodata->fz_watch_v1 = options.silent_cgroups;
    skeleton.rodata->fz_shared = options.shared;
    const auto page = static_cast<std::uint32_t>(::sysconf(_SC_PAGESIZE));
    const std::uint32_t ring_bytes = std::bit_ceil(std::max(options.ring_bytes, page));
    bpf_map__set_max_entries(maps.fz_events, ring_bytes);
    bpf_map__set_autocreate(maps.fz_events, !options.shared);
    bpf_map__set_autocreate(maps.fz_client_events, options.shared);
    bpf_map__set_max_entries(maps.fz_target_index, impl->max_targets);
    bpf_map__set_max_entries(maps.fz_targets, impl->max_targets);
    bpf_map__set_max_entries(maps.fz_target_stats, impl->max_targets);
    bpf_map__set_max_entries(maps.fz_record_hash, options.max_tasks);
    bpf_map__set_autocreate(maps.fz_record_storage, impl->storage);
    bpf_map__set_autocreate(maps.fz_record_hash, !impl->storage);

    bpf_program__set_autoload(skeleton.progs.on_sched_switch_v1, options.silent_cgroups);
    bpf_program__set_autoload(skeleton.progs.on_signal_deliver, options.deliveries);

    if (const int rc = tracker_bpf::load(&skeleton); rc != 0)
        return bpf_error(-rc, "load the BPF programs");
    impl->stats_fd = bpf_map__fd(maps.fz_target_stats);
    impl->records_fd = bpf_map__fd(impl->storage ? maps.fz_record_storage : maps.fz_record_hash);
    impl->exits_fd = bpf_program__fd(skeleton.progs.on_exit);
    impl->births_fd = bpf_program__fd(skeleton.progs.on_fork);
    impl->moves_fd = bpf_program__fd(skeleton.progs.on_attach_task);
    if (options.deliveries)
        impl->deliveries_fd = bpf_program__fd(skeleton.progs.on_signal_deliver);
    auto target_maps =
        TargetMaps::map(bpf_map__fd(maps.fz_config), bpf_map__fd(maps.fz_target_index));
    if (!target_maps)
        return std::move(target_maps).error();
    impl->maps = std::move(*target_maps);
    auto targets =
        Mapped<fz_target>::map(bpf_map__fd(maps.fz_targets), impl->max_targets, "targets");
    if (!targets)
        return std::move(targets).error();
    impl->targets = std::move(*targets);
    if (auto mapped = impl->map_drops(bpf_map__fd(maps.fz_drops)); !mapped)
        return std::move(mapped).error();
    if (!options.shared) {
        if (auto opened = impl->open_ring(bpf_map__fd(maps.fz_events)); !opened)
            return std::move(opened).error();
    }
    if (const int rc = tracker_bpf::attach(&skeleton); rc != 0)
        return bpf_error(-rc, "attach the BPF programs");
    return Tracker(std::move(impl));
}

Status Tracker::pin(const TrackerPins &pins, std::uint32_t ring_bytes) const
{
    const tracker_bpf &skeleton = *impl_->skeleton;
    const auto &maps = skeleton.maps;
    const std::pair<const char *, int> objects[] = {
        {TrackerPins::kConfig, bpf_map__fd(maps.fz_config)},
        {TrackerPins::kIndex, bpf_map__fd(maps.fz_target_index)},
        {TrackerPins::kTargets, bpf_map__fd(maps.fz_targets)},
        {TrackerPins::kStats, impl_->stats_fd},
        {TrackerPins::kDrops, bpf_map__fd(maps.fz_drops)},
        {impl_->storage ? TrackerPins::kRecordsInStorage : TrackerPins::kRecords,
         impl_->records_fd},
        {TrackerPins::kExits, impl_->exits_fd},
    };
    for (const auto &[name, fd] : objects) {
        if (auto pinned = pins.pin(name, fd); !pinned)
            return pinned;
    }
    for (std::uint32_t client = 0; client < FZ_CLIENTS_MAX; ++client) {
        const UniqueFd ring(
            bpf_map_create(BPF_MAP_TYPE_RINGBUF, "fz_ring", 0, 0, ring_bytes, nullptr));
        if (!ring)
            return bpf_error(errno, "make a BPF ring buffer");
        const int fd = ring.get();
        const int rings = bpf_map__fd(maps.fz_client_events);
        if (const int rc = bpf_map_update_elem(rings, &client, &fd, BPF_ANY); rc != 0)
            return bpf_error(-rc, "hand over a BPF ring buffer");
        if (auto pinned = pins.pin_ring(client, fd); !pinned)
            return pinned;
    }
    for (int i = 0; i < skeleton.skeleton->prog_cnt; ++i) {
        const bpf_prog_skeleton &program = skeleton.skeleton->progs[i];
        if (!*program.link)
            continue; // not asked for
        if (auto pinned = pins.pin_link(program.name, bpf_link__fd(*program.link)); !pinned)
            return pinned;
    }
    return {};
}

Result<Tracker> Tracker::open_pinned(PinnedTracker pinned, const TrackerOptions &options)
{
    auto impl = std::make_unique<Impl>();
    impl->pinned = std::move(pinned);
    const PinnedTracker &from = *impl->pinned;
    impl->storage = from.records_in_storage;
    impl->task_events = options.task_events;
    impl->max_targets = FZ_CLIENT_SLOTS;
    impl->client = from.client;
    impl->base = from.client * FZ_CLIENT_SLOTS;
    impl->stats_fd = from.stats.get();
    impl->records_fd = from.records.get();
    impl->exits_fd = from.exits.get();
    auto maps = TargetMaps::map(from.config.get(), from.index.get(), from.lock.get(), from.client);
    if (!maps)
        return std::move(maps).error();
    impl->maps = std::move(*maps);
    auto targets =
        Mapped<fz_target>::map(from.targets.get(), impl->max_targets, "targets", impl->base);
    if (!targets)
        return std::move(targets).error();
    impl->targets = std::move(*targets);
    if (auto mapped = impl->map_drops(from.drops.get()); !mapped)
        return std::move(mapped).error();
    if (auto opened = impl->open_ring(from.ring.get()); !opened)
        return std::move(opened).error();
    impl->clean_up();
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
    unwatch(slot);
    const std::uint32_t index = impl_->base + slot;
    impl_->counted.erase(slot);
    const TargetMaps::Entry entry = TargetMaps::entry_of(cgroup);
    fz_target fresh{};
    fresh.owner_tgid = static_cast<std::uint32_t>(::getpid());
    fresh.owner_ns_dev = static_cast<std::uint32_t>(impl_->own_ns.st_dev);
    fresh.owner_ns_ino = impl_->own_ns.st_ino;
    fresh.cgroup_id = entry.id;
    fresh.level = entry.level;
    impl_->targets[slot] = fresh;
    impl_->set_wake(slot, 0);
    auto watched = impl_->maps.watch(index, cgroup);
    if (!watched)
        unwatch(slot); // another's entry stays
    return watched;
}

TargetMaps::Lock Tracker::lock_targets()
{
    return impl_->maps.lock();
}

void Tracker::unwatch(std::uint32_t slot)
{
    impl_->maps.unwatch(impl_->base + slot);
    impl_->targets[slot].cgroup_id = 0;
    impl_->stop_following(slot);
}

void Tracker::set_wake(std::uint32_t slot, std::uint32_t mask)
{
    impl_->set_wake(slot, mask);
}

void Tracker::stop_wakes(std::uint32_t slot)
{
    impl_->set_wake(slot, impl_->following.contains(slot) ? FZ_COUNT_TASKS : 0);
}

void Tracker::watch_moves(bool on)
{
    impl_->maps.watch_moves(on);
}

void Tracker::watch_signal(std::uint32_t signal)
{
    impl_->maps.watch_signal(signal);
}

void Tracker::begin_request(std::uint32_t slot, std::uint64_t at_ns)
{
    __atomic_store_n(&impl_->targets[slot].request_ns, at_ns, __ATOMIC_RELAXED);
}

std::uint32_t Tracker::lost(std::uint32_t slot) const
{
    return __atomic_load_n(&impl_->targets[slot].lost, __ATOMIC_RELAXED) +
           static_cast<std::uint32_t>(missed_runs(impl_->births_fd) + missed_runs(impl_->moves_fd));
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
    if (!impl_->counted.contains(slot))
        return TargetCounts();
    const std::uint32_t index = impl_->base + slot;
    std::vector<fz_stats> per_cpu(static_cast<size_t>(libbpf_num_possible_cpus()));
    if (const int rc = bpf_map_lookup_elem(impl_->stats_fd, &index, per_cpu.data()); rc != 0)
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
    const auto at = [&](std::uint32_t index) {
        return __atomic_load_n(&impl_->drops[index], __ATOMIC_RELAXED);
    };
    return at(FZ_DROP_RECORDS) + at(FZ_DROP_EVENTS + impl_->client);
}

std::uint64_t Tracker::missed_exits() const
{
    return missed_runs(impl_->exits_fd);
}

std::uint64_t Tracker::missed_deliveries() const
{
    return missed_runs(impl_->deliveries_fd) + dropped();
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
    return impl_->records_fd;
}

const PinnedTracker *Tracker::pinned() const
{
    return impl_->pinned ? &*impl_->pinned : nullptr;
}

std::uint32_t Tracker::first_slot() const
{
    return impl_->base;
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
