// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "user/trace_session.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <poll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <unordered_map>
#include <unordered_set>

#include "trace.skel.h"
#include "user/bpf_errors.h"
#include "user/bpf_iterator.h"
#include "user/cgroup_paths.h"
#include "user/files.h"
#include "user/target_maps.h"
#include "user/task_storage.h"
#include "user/unique_fd.h"

namespace freezer
{
namespace
{

constexpr std::uint32_t bit(fz_trace_kind kind)
{
    return 1U << kind;
}

struct SkeletonDeleter {
    void operator()(trace_bpf *skeleton) const { trace_bpf::destroy(skeleton); }
};
struct RingDeleter {
    void operator()(ring_buffer *ring) const { ring_buffer__free(ring); }
};

TraceTask task_of(const fz_task &task)
{
    const auto *const comm = reinterpret_cast<const char *>(task.comm);
    return {task.tid, task.tgid, task.uid, std::string(comm, ::strnlen(comm, FZ_COMM_LEN))};
}

// Where each known task is, so that a move, which names only its goal, can be told from where.
class Membership
{
  public:
    void put(std::uint32_t tid, std::uint32_t tgid, std::uint64_t cgroup_id)
    {
        where_[tid] = cgroup_id;
        threads_[tgid].insert(tid);
    }
    void remove(std::uint32_t tid, std::uint32_t tgid)
    {
        where_.erase(tid);
        const auto threads = threads_.find(tgid);
        if (threads == threads_.end())
            return;
        threads->second.erase(tid);
        if (threads->second.empty())
            threads_.erase(threads);
    }
    // Where the task was, 0 if that is not known.
    std::uint64_t move(std::uint32_t tid, std::uint32_t tgid, bool process, std::uint64_t to)
    {
        const auto found = where_.find(tid);
        const std::uint64_t from = found == where_.end() ? 0 : found->second;
        put(tid, tgid, to);
        if (process) {
            for (const std::uint32_t thread : threads_[tgid])
                where_[thread] = to;
        }
        return from;
    }

  private:
    std::unordered_map<std::uint32_t, std::uint64_t> where_;
    std::unordered_map<std::uint32_t, std::unordered_set<std::uint32_t>> threads_;
};

} // namespace

std::uint64_t total(const TraceDrops &drops)
{
    std::uint64_t sum = 0;
    for (const std::uint64_t n : drops)
        sum += n;
    return sum;
}

struct TraceSession::Impl {
    explicit Impl(CgroupPaths found) : paths(std::move(found)) {}

    UniqueFd stats; // the kernel measures while this is open
    std::unique_ptr<trace_bpf, SkeletonDeleter> skeleton;
    std::unique_ptr<ring_buffer, RingDeleter> ring;
    TargetMaps maps;
    CgroupPaths paths;
    std::vector<std::string> tops; // paths of the targets; empty: all
    std::uint32_t events = 0;      // what the caller wants; more may be sent
    bool knows_all_tasks = false;  // every birth and death is told
    Membership membership;
    std::vector<TraceEvent> members;
    UniqueFd timer;
    const std::function<bool(const TraceEvent &)> *handler = nullptr; // during drain()

    TraceEvent translate(const fz_trace_event &raw, const std::string &kernel_path)
    {
        TraceEvent event;
        event.kind = static_cast<fz_trace_kind>(raw.kind);
        event.flags = raw.flags;
        event.time_ns = raw.time_ns;
        event.cgroup = {raw.cgroup_id, paths.path_of(raw.cgroup_id, kernel_path)};
        event.since_ns = raw.since_ns;
        event.value = raw.value;
        event.result = raw.result;
        event.task = task_of(raw.task);
        event.actor = task_of(raw.actor);
        if (raw.actor_cgroup_id != 0)
            event.actor_cgroup = {raw.actor_cgroup_id, paths.path_of(raw.actor_cgroup_id)};
        return event;
    }

    [[nodiscard]] bool is_target(const std::string &path) const
    {
        return tops.empty() ||
               (!path.empty() && std::any_of(tops.begin(), tops.end(), [&](const std::string &top) {
                   return is_at_or_below(path, top);
               }));
    }

    // Follows who is where. False: the event is none of the caller's.
    bool follow(TraceEvent &event)
    {
        const TraceTask &task = event.task;
        switch (event.kind) {
        case FZ_TR_FORK:
            if (knows_all_tasks)
                membership.put(task.tid, task.tgid, event.cgroup.id);
            break;
        case FZ_TR_EXIT:
            if (knows_all_tasks)
                membership.remove(task.tid, task.tgid);
            break;
        case FZ_TR_MOVED: {
            const bool in = is_target(event.cgroup.path);
            if (!knows_all_tasks)
                return in;
            const std::uint64_t from = membership.move(
                task.tid, task.tgid, (event.flags & FZ_TRF_GROUP) != 0, event.cgroup.id);
            if (from != 0)
                event.from = {from, paths.path_of(from)};
            if (!in && !tops.empty())
                membership.remove(task.tid, task.tgid);
            return in || is_target(event.from.path);
        }
        default:
            break;
        }
        return true;
    }

    static int on_event(void *context, void *data, size_t size)
    {
        auto *self = static_cast<Impl *>(context);
        if (size < sizeof(fz_trace_event))
            return 0;
        const auto &raw = *static_cast<const fz_trace_event *>(data);
        if (raw.kind >= FZ_TR_KINDS)
            return 0;
        std::string path;
        if (size >= sizeof(fz_trace_cgroup_event)) {
            const auto &with_path = *static_cast<const fz_trace_cgroup_event *>(data);
            path.assign(with_path.path, ::strnlen(with_path.path, sizeof(with_path.path)));
        }
        TraceEvent event = self->translate(raw, path);
        if (!self->follow(event) || !(self->events & bit(event.kind)))
            return 0;
        return (*self->handler)(event) ? 0 : -ECANCELED;
    }

    // Loads only what is wanted, and what that stands on.
    void choose_programs(std::uint32_t sent)
    {
        const auto &programs = skeleton->progs;
        const bool tasks = (sent & (bit(FZ_TR_REACHED) | bit(FZ_TR_LEFT))) != 0;
        const auto load = [](bpf_program *program, bool wanted) {
            bpf_program__set_autoload(program, wanted);
        };
        load(programs.trace_switch, tasks);
        load(programs.trace_wakeup, tasks);
        load(programs.trace_freeze, tasks || (sent & (bit(FZ_TR_FREEZE) | bit(FZ_TR_THAW))));
        load(programs.trace_thaw, tasks || (sent & bit(FZ_TR_THAW)));
        load(programs.trace_notify_frozen, (sent & (bit(FZ_TR_FROZEN) | bit(FZ_TR_REACHED))) != 0);
        load(programs.trace_notify_populated, sent & bit(FZ_TR_POPULATED));
        load(programs.trace_mkdir, sent & bit(FZ_TR_MADE));
        load(programs.trace_rmdir, sent & bit(FZ_TR_REMOVED));
        load(programs.trace_attach, sent & bit(FZ_TR_MOVED));
        load(programs.trace_signal, sent & bit(FZ_TR_SIGNAL));
        load(programs.trace_deliver, tasks || (sent & bit(FZ_TR_DELIVER)));
        load(programs.trace_fork, sent & bit(FZ_TR_FORK));
        load(programs.trace_exit, tasks || (sent & bit(FZ_TR_EXIT)));
        load(programs.on_task, true);
    }

    Status load(std::span<const Cgroup *const> targets, const TraceOptions &options)
    {
        std::uint32_t sent = options.events;
        // To tell a move out, those inside must be known.
        if ((sent & bit(FZ_TR_MOVED)) && !targets.empty())
            sent |= bit(FZ_TR_FORK) | bit(FZ_TR_EXIT);
        knows_all_tasks =
            (sent & bit(FZ_TR_FORK)) && (sent & bit(FZ_TR_EXIT)) && !options.only_freezing_life;
        events = options.events;

        skeleton.reset(trace_bpf::open());
        if (!skeleton)
            return bpf_error(errno, "open the BPF object");
        const bool storage = task_storage_is_safe();
        skeleton->rodata->fz_use_storage = storage;
        skeleton->rodata->fz_trace_wanted = sent;
        skeleton->rodata->fz_trace_all = targets.empty();
        skeleton->rodata->fz_trace_freezing = options.only_freezing_life;
        choose_programs(sent);
        const auto &bpf_maps = skeleton->maps;
        const auto page = static_cast<std::uint32_t>(::sysconf(_SC_PAGESIZE));
        // More than this is not a ring buffer that the kernel gives (kernel/bpf/ringbuf.c).
        const std::uint32_t most = 1U << 30;
        bpf_map__set_max_entries(bpf_maps.fz_trace_ring,
                                 std::bit_ceil(std::clamp(options.ring_bytes, page, most)));
        bpf_map__set_max_entries(bpf_maps.fz_target_index,
                                 std::max<std::uint32_t>(targets.size(), 1));
        bpf_map__set_max_entries(bpf_maps.fz_record_hash, options.max_tasks);
        bpf_map__set_autocreate(bpf_maps.fz_record_storage, storage);
        bpf_map__set_autocreate(bpf_maps.fz_record_hash, !storage);
        if (const int rc = trace_bpf::load(skeleton.get()); rc != 0)
            return bpf_error(-rc, "load the BPF programs");

        auto mapped =
            TargetMaps::map(bpf_map__fd(bpf_maps.fz_config), bpf_map__fd(bpf_maps.fz_target_index));
        if (!mapped)
            return std::move(mapped).error();
        maps = std::move(*mapped);
        std::uint32_t slot = 0;
        for (const Cgroup *const target : targets) {
            tops.push_back(target->path());
            if (auto watched = maps.watch(slot++, *target); !watched)
                return std::move(watched).error();
        }
        ring.reset(ring_buffer__new(bpf_map__fd(bpf_maps.fz_trace_ring), on_event, this, nullptr));
        if (!ring)
            return Error::from_errno(errno, "map the BPF ring buffer");
        if (const int rc = trace_bpf::attach(skeleton.get()); rc != 0)
            return bpf_error(-rc, "attach the BPF programs");
        return look_around();
    }

    // Runs the iterator: who is there, and who is frozen already.
    Status look_around()
    {
        return for_each_row<fz_trace_event>(
            bpf_link__fd(skeleton->links.on_task), "task iterator", [&](const fz_trace_event &row) {
                members.push_back(translate(row, ""));
                membership.put(row.task.tid, row.task.tgid, row.cgroup_id);
            });
    }
};

TraceSession::TraceSession(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
TraceSession::TraceSession(TraceSession &&) noexcept = default;
TraceSession &TraceSession::operator=(TraceSession &&) noexcept = default;
TraceSession::~TraceSession() = default;

Result<TraceSession> TraceSession::open(const CgroupMount &mount,
                                        std::span<const Cgroup *const> tops,
                                        const TraceOptions &options)
{
    const LibbpfSilence silence;
    auto paths = CgroupPaths::open(mount);
    if (!paths)
        return std::move(paths).error();
    auto impl = std::make_unique<Impl>(std::move(*paths));
    if (options.measure) {
        // 5.8 (d46edd671a14)
        impl->stats = UniqueFd(bpf_enable_stats(BPF_STATS_RUN_TIME));
        if (!impl->stats)
            return bpf_error(errno, "measure the BPF programs");
    }
    impl->timer = UniqueFd(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
    if (!impl->timer)
        return Error::from_errno(errno, "make a timer");
    if (auto loaded = impl->load(tops, options); !loaded)
        return std::move(loaded).error();
    return TraceSession(std::move(impl));
}

const std::vector<TraceEvent> &TraceSession::members() const
{
    return impl_->members;
}

Result<TraceSession::Wake> TraceSession::wait(std::optional<std::uint64_t> deadline_ns,
                                              std::span<const int> readable, int output)
{
    constexpr std::uint64_t kSecond = 1'000'000'000;
    itimerspec spec{}; // zero disarms
    if (deadline_ns) {
        spec.it_value.tv_sec = static_cast<time_t>(*deadline_ns / kSecond);
        // Zero would disarm it: 1 ns after boot is as much in the past.
        spec.it_value.tv_nsec =
            static_cast<long>(std::max<std::uint64_t>(*deadline_ns % kSecond, *deadline_ns == 0));
    }
    if (::timerfd_settime(impl_->timer.get(), TFD_TIMER_ABSTIME, &spec, nullptr) != 0)
        return Error::from_errno(errno, "set a timer");

    // The ring itself, not libbpf's epoll set of it: what is asked here is whether anything lies in
    // it. An epoll set only remembers that it was woken, and a wake can be lost: libbpf publishes
    // its place and then looks for more without a full barrier, so that a record committed in
    // between finds the reader "not there yet" and wakes nobody, while the reader does not see the
    // record.
    std::vector<pollfd> set{{bpf_map__fd(impl_->skeleton->maps.fz_trace_ring), POLLIN, 0},
                            {impl_->timer.get(), POLLIN, 0},
                            {output, 0, 0}}; // POLLERR comes unasked
    for (const int fd : readable)
        set.push_back({fd, POLLIN, 0});
    while (::poll(set.data(), set.size(), -1) < 0) {
        const int error = errno;
        if (error != EINTR)
            return Error::from_errno(error, "wait for events");
    }
    Wake wake;
    wake.events = set[0].revents != 0;
    wake.deadline = set[1].revents != 0;
    wake.hangup = set[2].revents != 0;
    for (size_t i = 0; i < readable.size() && !wake.descriptor; ++i) {
        if (set[3 + i].revents != 0)
            wake.descriptor = i;
    }
    return wake;
}

void TraceSession::drain(const std::function<bool(const TraceEvent &)> &handler)
{
    impl_->handler = &handler;
    (void)ring_buffer__consume(impl_->ring.get());
    impl_->handler = nullptr;
}

TraceDrops TraceSession::drops() const
{
    const auto cpus = static_cast<size_t>(libbpf_num_possible_cpus());
    const int fd = bpf_map__fd(impl_->skeleton->maps.fz_trace_drops);
    TraceDrops drops{};
    for (std::uint32_t kind = 0; kind < FZ_TR_KINDS; ++kind) {
        std::vector<std::uint64_t> per_cpu(cpus);
        if (bpf_map_lookup_elem(fd, &kind, per_cpu.data()) != 0)
            continue;
        for (const std::uint64_t n : per_cpu)
            drops[kind] += n;
    }
    return drops;
}

std::vector<ProgramCost> TraceSession::costs() const
{
    std::vector<ProgramCost> costs;
    bpf_program *program = nullptr;
    bpf_object__for_each_program(program, impl_->skeleton->obj)
    {
        const int fd = bpf_program__fd(program);
        bpf_prog_info info{};
        __u32 length = sizeof(info);
        if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &length) != 0)
            continue;
        costs.push_back({bpf_program__name(program), info.run_cnt, info.run_time_ns});
    }
    return costs;
}

} // namespace freezer
