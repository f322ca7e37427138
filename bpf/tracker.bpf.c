// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
/*
 * The tracker: who asked a watched cgroup to freeze, when each of its tasks reached the
 * refrigerator, and the moment the kernel counted the last one.
 *
 * The kernel (v2, kernel/cgroup/freezer.c) has no tracepoint where a task enters the refrigerator:
 *
 *     write cgroup.freeze 1      cgroup_freeze           in the writer, before any task is kicked
 *       kick every task          (nothing)
 *     do_freezer_trap()          (nothing)               task->frozen = 1, counted
 *       last one counted         cgroup_notify_frozen 1  in the last task: BEFORE its switch
 *       schedule()               sched_switch(prev)      prev->frozen and JOBCTL_TRAP_FREEZE
 *
 * So an arrival is a switch away from a task that has both bits; only such a switch costs more than
 * two loads. The bit `frozen` alone means nothing: stopped, traced and vfork-waiting tasks have it in
 * a cgroup that nobody froze. And since the last task's switch is still to come when the cgroup is
 * complete, on_notify_frozen counts `current` itself.
 *
 * The kernel counts the tasks that have arrived, so single arrivals are followed only where somebody asks
 * for them (FZ_FOLLOW_TASKS): for 10,000 tasks that was a tenth of the whole freeze. Where single tasks are
 * told of, each counts once for each request: its record keeps the time of its last first arrival, and an
 * arrival is a first one when that is older than the target's request. (Back to back, a task still carries
 * `frozen` from the freeze before and switches again; a spurious wake-up does the same.)
 *
 * What this cannot see, by design of the kernel: tasks that were stopped, traced or vfork-waiting at
 * the request are counted by the kernel without any event, and a task that migrates in while frozen
 * makes none either. The library completes its account with the task iterator (tasks.bpf.c). No
 * verdict hangs on anything counted here.
 *
 * v1 (kernel/cgroup/legacy_freezer.c) announces nothing: neither the request nor completion. What its
 * tasks do is all there is to see (on_sched_switch_v1), and the library, which knows from a snapshot
 * which of them are missing, does the counting (user/missing_tasks.h).
 *
 * Cost: nothing is allocated or sent for tasks outside the targets. Arrivals go to the ring buffer
 * only when asked for (FZ_TELL_TASKS) and never wake the reader; what completes a target does,
 * once. Every event that finds no room is counted in fz_drops.
 */
#include "vmlinux/vmlinux.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "bpf/abi.h"
#include "bpf/compat.bpf.h"
#include "bpf/targets.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/*
 * Set by the library before loading: whether several processes will use this tracker at the same
 * time, each with slots and a ring buffer of its own.
 */
const volatile bool fz_shared = false;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* as all maps by slot: the library sets the size */
	__type(key, __u32);
	__type(value, struct fz_target);
} fz_targets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct fz_stats);
} fz_target_stats SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024); /* the library sets the size */
} fz_events SEC(".maps");

struct fz_ring {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024);
};

/* Instead of fz_events when shared: the ring buffer of each client. The library puts them in. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, FZ_CLIENTS_MAX);
	__type(key, __u32);
	__array(values, struct fz_ring);
} fz_client_events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, FZ_DROP_EVENTS + FZ_CLIENTS_MAX);
	__type(key, __u32);
	__type(value, __u64);
} fz_drops SEC(".maps");

static __always_inline __u32 client_of(__u32 slot)
{
	return fz_shared ? slot / FZ_CLIENT_SLOTS : 0;
}

static __always_inline void count_drop(__u32 index)
{
	__u64 *drops = bpf_map_lookup_elem(&fz_drops, &index);

	if (drops)
		__sync_fetch_and_add(drops, 1);
}

static __always_inline void describe_task(struct fz_task *out, struct task_struct *task)
{
	out->tid = BPF_CORE_READ(task, pid);
	out->tgid = BPF_CORE_READ(task, tgid);
	out->uid = BPF_CORE_READ(task, real_cred, uid.val);
	BPF_CORE_READ_STR_INTO(&out->comm, task, comm);
}

/* True in the context of the process that watches the target, whatever pid namespace it lives in. */
static __always_inline bool current_is_owner(const struct fz_target *target)
{
	struct bpf_pidns_info self = {};

	/* 5.7 (b4490c5c4e02) */
	if (bpf_get_ns_current_pid_tgid(target->owner_ns_dev, target->owner_ns_ino, (void *)&self,
					sizeof(self)))
		return false;
	return self.tgid == target->owner_tgid;
}

static __always_inline struct fz_event *reserve_event(__u32 client)
{
	if (!fz_shared)
		return bpf_ringbuf_reserve(&fz_events, sizeof(struct fz_event), 0);

	void *ring = bpf_map_lookup_elem(&fz_client_events, &client);

	return ring ? bpf_ringbuf_reserve(ring, sizeof(struct fz_event), 0) : NULL;
}

/* False where the ring buffer has no room, which is counted. */
static __always_inline bool send_to(__u32 client, __u32 kind, __u32 slot, __u64 time_ns,
				    __u64 cgroup_id, __u32 value, __u32 flags,
				    struct task_struct *task, bool wake)
{
	struct fz_event *event = reserve_event(client);

	if (!event) {
		count_drop(FZ_DROP_EVENTS + client);
		return false;
	}
	*event = (struct fz_event){
		.kind = kind,
		.target = slot,
		.time_ns = time_ns,
		.cgroup_id = cgroup_id,
		.value = value,
		.flags = flags,
	};
	describe_task(&event->task, task);
	bpf_ringbuf_submit(event, wake ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP);
	return true;
}

/* To whose target it is. */
static __always_inline bool send_event(__u32 kind, __u32 slot, __u64 time_ns, __u64 cgroup_id,
				       __u32 value, __u32 flags, struct task_struct *task,
				       bool wake)
{
	return send_to(client_of(slot), kind, slot, time_ns, cgroup_id, value, flags, task, wake);
}

/* Whether such an event of a cgroup's marks wakes the sleeper. */
static __always_inline bool wakes(const struct fz_target *target, __u32 event)
{
	__u32 wake = target->wake;

	return (wake & event) && !(wake & FZ_WAKE_LATER);
}

/* For what must not get lost unnoticed. */
static __always_inline void send_or_mark(struct fz_target *target, __u32 kind, __u32 slot,
					 __u64 cgroup_id, __u64 now, struct task_struct *task,
					 bool wake)
{
	if (!send_event(kind, slot, now, cgroup_id, 0, 0, task, wake))
		__sync_fetch_and_add(&target->lost, 1);
}

/*
 * Counts an arrival in one target, if it is the task's first since the request as far as is remembered;
 * returns its time if that is to be remembered, or 0.
 * That is never before the request, which may have come between the caller's reading of the clock and
 * this: a record older than the request would let the task be counted again at its next switch.
 * `task` is an address; global for the verifier's sake, see fz_target_above().
 */
__attribute__((noinline)) __u64 credit_arrival(__u32 slot, __u64 task, __u64 cgroup_id, __u64 now,
					       __u64 arrived_before)
{
	struct fz_target *target = bpf_map_lookup_elem(&fz_targets, &slot);
	struct fz_stats *stats = bpf_map_lookup_elem(&fz_target_stats, &slot);

	if (!target || !stats)
		return 0;

	__u64 request_ns = target->request_ns;

	/* Woken for nothing, and back: who looked meanwhile found it missing. */
	bool again = arrived_before >= request_ns;
	bool wake = target->wake & (again ? FZ_WAKE_MISSING : FZ_WAKE_TASKS | FZ_WAKE_MISSING);

	if (!request_ns || !(target->wake & FZ_FOLLOW_TASKS) || (again && !wake))
		return 0;
	if (now < request_ns)
		now = request_ns;
	if (!again) {
		stats->arrived++;
		stats->slowest_ns = now;
		describe_task(&stats->slowest, (struct task_struct *)task);
	}
	if (wake || (target->wake & FZ_TELL_TASKS))
		send_or_mark(target, FZ_EV_ARRIVED, slot, cgroup_id, now, (struct task_struct *)task,
			     wake);
	/* To allocate the records costs more than all the rest. Without one a task that is woken for nothing
	 * arrives twice; the last is the last all the same.
	 */
	return again || !(target->wake & FZ_ABOUT_TASKS) ? 0 : now;
}

/* Counts an arrival in every target that holds the place; returns the latest time to remember, or 0. */
static __always_inline __u64 credit_arrivals(struct task_struct *task, const struct fz_place *place,
					     __u32 level_count, __u64 now, __u64 arrived_before)
{
	__u64 address = fz_address(task);
	__u64 arrived = 0;

	fz_for_each_target_slot(slot, place->cgrp, place->level, level_count, place->hierarchy) {
		__u64 credited = credit_arrival(slot, address, place->id, now, arrived_before);

		if (credited > arrived)
			arrived = credited;
	}
	return arrived;
}

/* The task has both bits of an arrival. */
static __always_inline void handle_arrival(struct task_struct *task)
{
	const struct fz_config *config = fz_get_config();

	/* Nobody asks for single arrivals. */
	if (!config || !config->follow_tasks)
		return;

	__u32 level_count = config->level_count;
	struct fz_place place;
	struct fz_record *record = fz_record_peek(task);
	__u64 now = bpf_ktime_get_ns();
	__u64 arrived;

	fz_place_v2(&place, task);
	arrived = credit_arrivals(task, &place, level_count, now, record ? record->arrived_ns : 0);
	if (!arrived)
		return;
	record = fz_record_make(task);
	if (record)
		record->arrived_ns = arrived;
	else
		count_drop(FZ_DROP_RECORDS);
}

static __always_inline bool has_arrived(struct task_struct *task)
{
	return BPF_CORE_READ_BITFIELD_PROBED(task, frozen) &&
	       (BPF_CORE_READ(task, jobctl) & FZ_JOBCTL_TRAP_FREEZE);
}

SEC("tp_btf/sched_switch")
int BPF_PROG(on_sched_switch, bool preempt, struct task_struct *prev)
{
	/* Direct loads: this line runs at every context switch of the machine. */
	if (!BPF_CORE_READ_BITFIELD(prev, frozen) || !(prev->jobctl & FZ_JOBCTL_TRAP_FREEZE))
		return 0;
	handle_arrival(prev);
	return 0;
}

__attribute__((noinline)) int tell_missing(__u32 slot, __u32 kind, __u64 task, __u64 cgroup_id)
{
	struct fz_target *target = bpf_map_lookup_elem(&fz_targets, &slot);

	if (target && (target->wake & FZ_WAKE_MISSING))
		send_or_mark(target, kind, slot, cgroup_id, bpf_ktime_get_ns(),
			     (struct task_struct *)task, true);
	return 0;
}

/*
 * Loaded for v1 targets alone. The library asks for FZ_WAKE_MISSING from its request
 * until completion, and in that time every task that is not frozen is a missing one.
 */
SEC("?tp_btf/sched_switch")
int BPF_PROG(on_sched_switch_v1, bool preempt, struct task_struct *prev)
{
	__u32 state = fz_task_state(prev);
	bool arrived = fz_counts_for_v1(state, prev->flags);
	__u32 level_count;

	if (!arrived && !(state & (FZ_TASK_FROZEN_BY_WRITE | FZ_TASK_DEAD)))
		return 0;
	level_count = fz_level_count();
	if (!level_count)
		return 0;

	struct fz_place place;

	fz_place_v1(&place, prev);
	if (!place.cgrp)
		return 0;
	if (!arrived) {
		__u32 kind = state & FZ_TASK_DEAD ? FZ_EV_LEFT : FZ_EV_ASLEEP;
		__u64 address = fz_address(prev);

		fz_for_each_target_slot(slot, place.cgrp, place.level, level_count, place.hierarchy)
			tell_missing(slot, kind, address, place.id);
		return 0;
	}

	struct fz_record *record = fz_record_peek(prev);
	__u64 now = bpf_ktime_get_ns();

	now = credit_arrivals(prev, &place, level_count, now, record ? record->arrived_v1_ns : 0);
	if (!now)
		return 0;
	record = fz_record_make(prev);
	if (record)
		record->arrived_v1_ns = now;
	else
		count_drop(FZ_DROP_RECORDS);
	return 0;
}

/* The target that this very cgroup is, with its slot, or NULL. */
static __always_inline struct fz_target *target_of_cgroup(const struct cgroup *cgrp, __u32 *slot)
{
	__u32 *found = fz_target_of_cgroup(cgrp);

	if (!found)
		return NULL;
	*slot = *found;
	return bpf_map_lookup_elem(&fz_targets, slot);
}

SEC("tp_btf/cgroup_freeze")
int BPF_PROG(on_cgroup_freeze, struct cgroup *cgrp)
{
	__u32 slot;
	struct fz_target *target = target_of_cgroup(cgrp, &slot);

	if (!target)
		return 0;

	__u64 now = bpf_ktime_get_ns();
	bool own = current_is_owner(target);

	target->request_ns = now;
	target->below_again = 0;
	target->below = 0;
	send_event(FZ_EV_FREEZE, slot, now, BPF_CORE_READ(cgrp, kn, id), 1,
		   own ? FZ_EVF_OWN : 0, fz_current(), !own && (target->wake & FZ_WAKE_FREEZE));
	return 0;
}

/* One more cgroup below the target, with so many frozen tasks of its own. Both in one number, which a
 * request on another CPU may set to nothing meanwhile.
 */
static __always_inline void count_below(struct fz_target *target, __u64 cgroup_id, __u32 tasks)
{
	if (cgroup_id != target->cgroup_id)
		__sync_fetch_and_add(&target->below, (1ULL << 32) | tasks);
}

__attribute__((noinline)) int credit_thaw(__u32 slot, __u64 cgroup_id, __u32 tasks)
{
	struct fz_target *target = bpf_map_lookup_elem(&fz_targets, &slot);

	if (target && (target->wake & FZ_WAKE_UNFROZEN))
		count_below(target, cgroup_id, tasks);
	return 0;
}

SEC("tp_btf/cgroup_unfreeze")
int BPF_PROG(on_cgroup_unfreeze, struct cgroup *cgrp)
{
	__u32 level_count = fz_level_count();
	__u32 level = BPF_CORE_READ(cgrp, level);
	__u64 cgroup_id = BPF_CORE_READ(cgrp, kn, id);
	__u64 address = fz_address(cgrp);
	/* Before the first is woken; of a frozen cgroup it is how many tasks it has of its own. */
	__u32 tasks = BPF_CORE_READ(cgrp, freezer.nr_frozen_tasks);

	fz_for_each_target_slot(above, address, level, level_count, 0)
		credit_thaw(above, cgroup_id, tasks);

	__u32 slot;
	struct fz_target *target = target_of_cgroup(cgrp, &slot);

	if (!target)
		return 0;

	bool own = current_is_owner(target);

	/* The kernel goes down from the cgroup of the request (cgroup_freeze()), so none has told yet. */
	target->below_again = 0;
	target->below = 0;
	send_event(FZ_EV_THAW, slot, bpf_ktime_get_ns(), cgroup_id, tasks, own ? FZ_EVF_OWN : 0,
		   fz_current(), !own && (target->wake & FZ_WAKE_THAW));
	return 0;
}

/* A cgroup below the target: of interest where the target's own mark says nothing of those below. */
__attribute__((noinline)) int credit_below(__u32 slot, __u64 cgroup_id, __u32 frozen, __u32 tasks)
{
	struct fz_target *target = bpf_map_lookup_elem(&fz_targets, &slot);

	if (!target)
		return 0;
	/* css_set_lock is held: no two at a time. */
	if (!frozen)
		target->below_again = 1;
	else if (target->wake & FZ_WAKE_FROZEN)
		count_below(target, cgroup_id, tasks);
	if (!(target->wake & FZ_WAKE_BELOW))
		return 0;
	send_event(FZ_EV_BELOW, slot, bpf_ktime_get_ns(), cgroup_id, frozen, 0,
		   (struct task_struct *)bpf_get_current_task(), true);
	return 0;
}

SEC("tp_btf/cgroup_notify_frozen")
int BPF_PROG(on_notify_frozen, struct cgroup *cgrp, const char *path, int frozen)
{
	__u32 level_count = fz_level_count();
	__u32 level = BPF_CORE_READ(cgrp, level);
	__u64 cgroup_id = BPF_CORE_READ(cgrp, kn, id);
	__u64 address = fz_address(cgrp);
	__u32 tasks = BPF_CORE_READ(cgrp, freezer.nr_frozen_tasks);

	fz_for_each_target_slot(above, address, level, level_count, 0)
		credit_below(above, cgroup_id, frozen, tasks);

	struct task_struct *current = fz_current();
	bool arrived = frozen && has_arrived(current);

	/* Its switch is still to come. The target may lie above. */
	if (arrived)
		handle_arrival(current);

	__u32 slot;
	struct fz_target *target = target_of_cgroup(cgrp, &slot);

	if (!target)
		return 0;
	if (!frozen) {
		send_event(FZ_EV_UNFROZEN, slot, bpf_ktime_get_ns(), cgroup_id, 0, 0, current,
			   wakes(target, FZ_WAKE_UNFROZEN));
		return 0;
	}
	target->frozen_ns = bpf_ktime_get_ns();
	/* css_set_lock is held, and it is frozen because this is the number of its tasks. */
	send_event(FZ_EV_FROZEN, slot, target->frozen_ns, cgroup_id, tasks,
		   arrived ? FZ_EVF_ARRIVED : 0, current, wakes(target, FZ_WAKE_FROZEN));
	return 0;
}

SEC("tp_btf/cgroup_notify_populated")
int BPF_PROG(on_notify_populated, struct cgroup *cgrp, const char *path, int populated)
{
	__u32 slot;
	struct fz_target *target = target_of_cgroup(cgrp, &slot);

	if (!target)
		return 0;

	__u64 now = bpf_ktime_get_ns();

	if (!populated)
		target->empty_ns = now;
	send_event(FZ_EV_POPULATED, slot, now, BPF_CORE_READ(cgrp, kn, id), populated, 0,
		   fz_current(),
		   wakes(target, populated ? FZ_WAKE_POPULATED : FZ_WAKE_EMPTY));
	return 0;
}

SEC("tp_btf/cgroup_rmdir")
int BPF_PROG(on_cgroup_rmdir, struct cgroup *cgrp)
{
	__u32 slot;
	struct fz_target *target = target_of_cgroup(cgrp, &slot);

	if (!target)
		return 0;

	bool own = current_is_owner(target);

	send_event(FZ_EV_REMOVED, slot, bpf_ktime_get_ns(), BPF_CORE_READ(cgrp, kn, id), 0,
		   own ? FZ_EVF_OWN : 0, fz_current(), target->wake & FZ_WAKE_REMOVED);
	return 0;
}

/* Global for the verifier's sake, see fz_target_above(). */
__attribute__((noinline)) int tell_move(__u32 client, __u64 cgroup_id, __u32 flags, __u64 task)
{
	send_to(client, FZ_EV_MOVED, FZ_NO_TARGET, bpf_ktime_get_ns(), cgroup_id, 0, flags,
		(struct task_struct *)task, true);
	return 0;
}

SEC("tp_btf/cgroup_attach_task")
int BPF_PROG(on_attach_task, struct cgroup *dst, const char *path, struct task_struct *task)
{
	const struct fz_config *config = fz_get_config();

	/* Where it came from is not told: whoever misses a task has to look. */
	if (!config || !config->watch_moves)
		return 0;

	struct fz_place v2;
	struct fz_place v1;

	fz_place_v2(&v2, task);
	fz_place_v1(&v1, task);

	bool into = fz_holds(&v2) || fz_holds(&v1);

	__u32 clients = config->watch_moves;
	__u32 flags = into ? FZ_EVF_INTO : 0;
	__u64 cgroup_id = BPF_CORE_READ(dst, kn, id);
	__u64 address = fz_address(task);

	for (__u32 client = 0; client < FZ_CLIENTS_MAX; client++)
		if (clients & (1U << client))
			tell_move(client, cgroup_id, flags, address);
	return 0;
}

/* One event for a sender's whole sweep: cgroup.kill signals every process. */
__attribute__((noinline)) int credit_kill(__u32 slot, __u64 cgroup_id, __u32 sender)
{
	struct fz_target *target = bpf_map_lookup_elem(&fz_targets, &slot);

	if (!target || target->killer == sender)
		return 0;
	target->killer = sender;
	send_event(FZ_EV_KILL, slot, bpf_ktime_get_ns(), cgroup_id, 9,
		   current_is_owner(target) ? FZ_EVF_OWN : 0,
		   (struct task_struct *)bpf_get_current_task(), false);
	return 0;
}

/* In each target that holds the cgroup. Global for the verifier's sake, see fz_target_above(). */
__attribute__((noinline)) int credit_kills(__u64 cgroup)
{
	struct fz_place place;
	__u32 sender = bpf_get_current_pid_tgid() >> 32;

	fz_place_at(&place, (struct cgroup *)cgroup);
	fz_for_each_target_slot(slot, cgroup, place.level, fz_level_count(), place.hierarchy)
		credit_kill(slot, place.id, sender);
	return 0;
}

SEC("tp_btf/signal_generate")
int BPF_PROG(on_signal_generate, int sig, void *info, struct task_struct *task)
{
	if (sig != 9 || !fz_level_count())
		return 0;
	credit_kills(fz_address(fz_v2_cgroup(task)));

	struct cgroup *v1 = fz_v1_cgroup(task);

	if (v1)
		credit_kills(fz_address(v1));
	return 0;
}

/*
 * What became of a signal. A default action that kills shows as SIGKILL, into which the kernel turns
 * it when it is sent (complete_signal() in kernel/signal.c).
 */
SEC("?tp_btf/signal_deliver")
int BPF_PROG(on_signal_deliver, int sig, void *info, struct k_sigaction *action)
{
	const struct fz_config *config = fz_get_config();

	if (!config || !config->watch_signal || ((__u32)sig != config->watch_signal && sig != 9))
		return 0;

	struct task_struct *task = fz_current();
	struct fz_place v2;
	struct fz_place v1;

	fz_place_v2(&v2, task);
	fz_place_v1(&v1, task);
	if (!fz_holds(&v2) && !fz_holds(&v1))
		return 0;

	/* SIG_DFL and SIG_IGN are 0 and 1 everywhere. */
	__u64 handler = (__u64)BPF_CORE_READ(action, sa.sa_handler);

	/* Never when shared: see TrackerOptions::deliveries. */
	send_to(0, FZ_EV_DELIVERED, FZ_NO_TARGET, bpf_ktime_get_ns(), 0, sig,
		handler > 1 ? FZ_EVF_HANDLED : 0, task, true);
	return 0;
}

__attribute__((noinline)) int credit_life(__u32 slot, __u32 kind, __u64 task, __u64 cgroup_id)
{
	struct fz_stats *stats = bpf_map_lookup_elem(&fz_target_stats, &slot);
	struct fz_target *target = bpf_map_lookup_elem(&fz_targets, &slot);

	if (!stats || !target || !(target->wake & FZ_FOLLOW_TASKS))
		return 0;

	bool wake = kind == FZ_EV_EXIT && (target->wake & FZ_WAKE_TASKS);
	/* The child of a missing task is one, too: it is told of before it can do anything. */
	bool missing = kind == FZ_EV_FORK && (target->wake & FZ_WAKE_MISSING);

	/* Atomic, though the counter is its CPU's own: these programs may be preempted (since 7.0). */
	if (kind == FZ_EV_FORK)
		__sync_fetch_and_add(&stats->forked, 1);
	else
		__sync_fetch_and_add(&stats->exited, 1);
	if (wake || missing || (target->wake & FZ_TELL_TASKS))
		send_or_mark(target, kind, slot, cgroup_id, bpf_ktime_get_ns(),
			     (struct task_struct *)task, wake);
	return 0;
}

/* In each target that holds the cgroup. Global for the verifier's sake, see fz_target_above(). */
__attribute__((noinline)) int credit_lives(__u64 cgroup, __u32 kind, __u64 task)
{
	struct fz_place place;

	fz_place_at(&place, (struct cgroup *)cgroup);
	fz_for_each_target_slot(slot, cgroup, place.level, fz_level_count(), place.hierarchy)
		credit_life(slot, kind, task, place.id);
	return 0;
}

/* Counts a birth or a death in each target that holds the task, and sends it when asked to. */
static __always_inline void handle_life(__u32 kind, struct task_struct *task)
{
	if (!fz_level_count())
		return;
	credit_lives(fz_address(fz_v2_cgroup(task)), kind, fz_address(task));

	struct cgroup *v1 = fz_v1_cgroup(task);

	if (v1)
		credit_lives(fz_address(v1), kind, fz_address(task));
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(on_fork, struct task_struct *parent, struct task_struct *child)
{
	handle_life(FZ_EV_FORK, child);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(on_exit, struct task_struct *task)
{
	handle_life(FZ_EV_EXIT, task);
	fz_record_forget(task);
	return 0;
}
