// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
/*
 * The trace: every request, arrival, departure, signal, birth, death and move in the watched cgroups,
 * or in every v2 cgroup, as one stream.
 *
 * The tracker (tracker.bpf.c) serves the verbs and sends as little as it can; this sends all that is
 * asked for. Each event has its own program, and the library loads only those that are wanted.
 *
 * How a task is seen to come and go (kernel/cgroup/freezer.c and get_signal(), 5.2 to 7.3):
 *
 *     in    it goes to sleep with `frozen` and JOBCTL_TRAP_FREEZE. The last task of a cgroup is told
 *           from cgroup_notify_frozen, which fires just before that, so that the word about the task
 *           precedes the word about its cgroup. A switch away that is not sleep does not count: a
 *           task that has not run between a thaw and a freeze has both bits and can be preempted
 *     out   it is woken with `frozen` and without JOBCTL_TRAP_FREEZE: the thaw has cleared the trap,
 *           and the task itself will clear `frozen`. If the trap is set again already, its record
 *           (compat.bpf.h) is older than the request. A task that is killed keeps the trap: it is out
 *           when it takes the signal, which get_signal() does before anything else
 *
 * sched_wakeup fires under the lock of the run queue, so strictly between two switches away. The
 * switch back would be as good, but there are kernels (a 6.18 with a scheduler for packed virtual CPUs)
 * where a CPU that leaves its idle task does not tell.
 *
 * A task that is woken for nothing makes no event, because its record says that it is inside. That
 * happens: a freeze wakes a task that went to sleep by itself just before (cgroup_leave_frozen() sets
 * the trap, too). If the thaw comes while such a task is awake, it goes its way and no tracepoint
 * fires. The same holds for the last task before its switch away. So tasks that are inside and awake
 * are open (fz_trace_open), and the thaw tells of the open ones that they left.
 *
 * Cost: a context switch or a wake-up of a task that is neither coming nor going costs two loads.
 */
#include "vmlinux/vmlinux.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "bpf/abi.h"
#include "bpf/compat.bpf.h"
#include "bpf/targets.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Policy, set by the library before loading. */
const volatile __u32 fz_trace_wanted = 0;     /* 1 << FZ_TR_*: what is sent */
const volatile bool fz_trace_all = false;     /* every v2 cgroup; else the targets */
const volatile bool fz_trace_freezing = false; /* signals, births and deaths only of tasks whose
						  cgroup is asked to freeze */

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024); /* the library sets the size */
} fz_trace_ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, FZ_TR_KINDS);
	__type(key, __u32);
	__type(value, __u64);
} fz_trace_drops SEC(".maps");

/* What was asked of each cgroup last. The oldest go first; then the kernel may still know. */
struct fz_trace_request {
	__u64 freeze_ns; /* 0: before the trace began, or never */
	__u64 thaw_ns;	 /* as well */
	__u64 inherited; /* the freeze was */
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64);
	__type(value, struct fz_trace_request);
} fz_trace_requests SEC(".maps");

/*
 * The tasks that are open, with a few places for each cgroup: as many as can be woken for nothing and
 * not yet asleep again. Whoever deletes an entry has the word about its task; the kernel lets one do it.
 */
enum { TRACE_OPEN_PLACES = 16 };

struct trace_open_key {
	__u64 cgroup_id;
	__u64 place; /* from 1 */
};

struct trace_open {
	struct fz_task task;
	__u64 arrived_ns;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, struct trace_open_key);
	__type(value, struct trace_open);
} fz_trace_open SEC(".maps");

static __always_inline void trace_drop(__u32 kind)
{
	__u64 *drops = bpf_map_lookup_elem(&fz_trace_drops, &kind);

	if (drops)
		*drops += 1;
}

static __always_inline bool is_wanted(__u32 kind)
{
	return fz_trace_wanted & (1U << kind);
}

static __always_inline void trace_task(struct fz_task *out, struct task_struct *task)
{
	out->tid = BPF_CORE_READ(task, pid);
	out->tgid = BPF_CORE_READ(task, tgid);
	out->uid = BPF_CORE_READ(task, real_cred, uid.val);
	BPF_CORE_READ_STR_INTO(&out->comm, task, comm);
}

static __always_inline void trace_fill(struct fz_trace_event *event, __u32 kind, __u64 time_ns,
				       __u64 cgroup_id, struct task_struct *task,
				       struct task_struct *actor)
{
	__builtin_memset(event, 0, sizeof(*event));
	event->kind = kind;
	event->time_ns = time_ns;
	event->cgroup_id = cgroup_id;
	if (task)
		trace_task(&event->task, task);
	if (actor) {
		trace_task(&event->actor, actor);
		event->actor_cgroup_id = BPF_CORE_READ(actor, cgroups, dfl_cgrp, kn, id);
	}
}

/* An event of a task: filled but for what only some have; NULL, and counted, where no room is. */
static __always_inline struct fz_trace_event *trace_begin(__u32 kind, __u64 time_ns,
							  __u64 cgroup_id,
							  struct task_struct *task,
							  struct task_struct *actor)
{
	struct fz_trace_event *event = bpf_ringbuf_reserve(&fz_trace_ring, sizeof(*event), 0);

	if (!event) {
		trace_drop(kind);
		return NULL;
	}
	trace_fill(event, kind, time_ns, cgroup_id, task, actor);
	return event;
}

/* An event of a cgroup, in the context of its actor. */
static __always_inline void trace_cgroup(__u32 kind, __u64 time_ns, struct cgroup *cgrp,
					 const char *path, __u32 value, __u32 flags, bool has_actor)
{
	struct fz_trace_cgroup_event *event =
		bpf_ringbuf_reserve(&fz_trace_ring, sizeof(*event), 0);

	if (!event) {
		trace_drop(kind);
		return;
	}
	trace_fill(&event->event, kind, time_ns, BPF_CORE_READ(cgrp, kn, id), NULL,
		   has_actor ? fz_current() : NULL);
	event->event.value = value;
	event->event.flags = flags;
	/* A path that fills the room was cut: the library has to find it itself. */
	if (bpf_probe_read_kernel_str(event->path, sizeof(event->path), path) >=
	    (long)sizeof(event->path))
		event->path[0] = 0;
	bpf_ringbuf_submit(event, 0);
}

static __always_inline bool is_watched(struct cgroup *cgrp)
{
	return fz_trace_all || fz_is_watched(fz_address(cgrp), BPF_CORE_READ(cgrp, level), 0);
}

/* For the tracepoints of cgroups, which fire for the v1 hierarchies as well. */
static __always_inline bool is_watched_v2(struct cgroup *cgrp)
{
	return BPF_CORE_READ(cgrp, root, hierarchy_id) == 0 && is_watched(cgrp);
}

static __always_inline struct cgroup *cgroup_of(struct task_struct *task)
{
	return BPF_CORE_READ(task, cgroups, dfl_cgrp);
}

/* A copy, so that one look decides: the thaw comes at any time. */
static __always_inline struct fz_trace_request request_of(__u64 cgroup_id)
{
	struct fz_trace_request *found = bpf_map_lookup_elem(&fz_trace_requests, &cgroup_id);
	struct fz_trace_request none = {};

	return found ? *found : none;
}

/* The place to write to: an update would free the old one under its readers. */
static __always_inline struct fz_trace_request *request_make(__u64 cgroup_id)
{
	struct fz_trace_request *found = bpf_map_lookup_elem(&fz_trace_requests, &cgroup_id);
	struct fz_trace_request none = {};

	if (found)
		return found;
	bpf_map_update_elem(&fz_trace_requests, &cgroup_id, &none, BPF_ANY);
	return bpf_map_lookup_elem(&fz_trace_requests, &cgroup_id);
}

/* When the freeze was asked for that is under way. */
static __always_inline __u64 request_time(struct cgroup *cgrp,
					  const struct fz_trace_request *request)
{
	return request->freeze_ns ? request->freeze_ns : fz_cgroup_freeze_ns(cgrp);
}

/* Whether the thaw has been told, and no freeze since. */
static __always_inline bool is_thawed(const struct fz_trace_request *request)
{
	return request->thaw_ns > request->freeze_ns;
}

static __always_inline bool is_inside(struct task_struct *task)
{
	return BPF_CORE_READ_BITFIELD_PROBED(task, frozen) &&
	       (BPF_CORE_READ(task, jobctl) & FZ_JOBCTL_TRAP_FREEZE);
}

/* When the task reached the refrigerator; 1: before the trace began, see on_task(). */
static __always_inline __u64 told_arrival(__u64 arrived_ns)
{
	return arrived_ns > 1 ? arrived_ns : 0;
}

/* Takes a free place; the number of it, 0 if there is none. Global: see fz_target_above(). */
__attribute__((noinline)) __u64 open_take(__u64 task_address, __u64 cgroup_id, __u64 arrived_ns)
{
	struct trace_open open = {.arrived_ns = arrived_ns};

	trace_task(&open.task, (struct task_struct *)task_address);
	for (__u64 place = 1; place <= TRACE_OPEN_PLACES; place++) {
		struct trace_open_key key = {.cgroup_id = cgroup_id, .place = place};

		if (bpf_map_update_elem(&fz_trace_open, &key, &open, BPF_NOEXIST) == 0)
			return place;
	}
	return 0;
}

/* Whether it was there, and is the caller's now. The lock of the map may not be to be had, either (a
 * rqspinlock since 6.15, which gives up after a quarter of a second; kernel/bpf/hashtab.c): then nobody
 * has the word yet.
 */
enum { TRACE_REMOVE_TRIES = 3, TRACE_ENOENT = 2 };

static __always_inline bool open_remove(struct trace_open_key *key)
{
	for (int i = 0; i < TRACE_REMOVE_TRIES; i++) {
		/* Before 6.4 (d7ba4cc900bf) only the lower half of it is set. */
		int error = bpf_map_delete_elem(&fz_trace_open, key);

		if (error == 0 || error == -TRACE_ENOENT)
			return error == 0;
	}
	trace_drop(FZ_TR_LEFT);
	return false;
}

/*
 * Of two sides that each write, call this, and then read what the other writes, one at least sees the
 * other: both take the one lock of the ring buffer, even where it is full. BPF has no barrier for this,
 * and its atomic operations order nothing else on every architecture (before 5.12 on none but x86).
 */
static __always_inline void trace_fence(void)
{
	void *nothing = bpf_ringbuf_reserve(&fz_trace_ring, sizeof(__u64), 0);

	/* A reader who has come this far is woken: nothing behind it would do that (bpf_ringbuf_commit(),
	 * kernel/bpf/ringbuf.c).
	 */
	if (nothing)
		bpf_ringbuf_discard(nothing, 0);
}

/* Closes a task whose record is of the freeze under way: an older one may name a place that is another
 * task's by now. False: it was open, and the thaw has just told that it left.
 */
static __always_inline bool close(struct fz_record *record)
{
	struct trace_open_key key = {.cgroup_id = record->open_cgroup, .place = record->open_place};

	record->open_place = 0;
	return !key.place || open_remove(&key);
}

/* Whether the record is of the freeze that is under way. */
static __always_inline bool is_recorded(const struct fz_record *record,
					const struct fz_trace_request *request)
{
	return record->arrived_ns && record->arrived_ns >= request->thaw_ns;
}

static __always_inline void tell_left(struct task_struct *task, const struct fz_record *record)
{
	if (!is_wanted(FZ_TR_LEFT))
		return;

	struct fz_trace_event *event =
		trace_begin(FZ_TR_LEFT, bpf_ktime_get_ns(),
			    BPF_CORE_READ(task, cgroups, dfl_cgrp, kn, id), task, NULL);

	if (!event)
		return;
	event->since_ns = told_arrival(record->arrived_ns);
	bpf_ringbuf_submit(event, 0);
}

static __always_inline void handle_left(struct task_struct *task)
{
	struct fz_record *record = fz_record_peek(task);

	if (!record || !record->arrived_ns)
		return;

	struct fz_trace_request request = request_of(BPF_CORE_READ(task, cgroups, dfl_cgrp, kn, id));

	/* The thaw finds every task that was open when it came. */
	if (is_recorded(record, &request) ? close(record) : !record->open_place)
		tell_left(task, record);
	record->arrived_ns = 0;
	record->open_place = 0;
}

/* The task has both bits, and goes to sleep; or, `early`, is about to. */
static __always_inline void handle_reached(struct task_struct *task, bool early)
{
	struct cgroup *cgrp = cgroup_of(task);

	if (!is_watched(cgrp))
		return;

	__u64 cgroup_id = BPF_CORE_READ(cgrp, kn, id);
	struct fz_trace_request request = request_of(cgroup_id);

	/* The thaw has been told and has not got to this task yet; or the next freeze has, and wakes it
	 * once more.
	 */
	if (is_thawed(&request)) {
		handle_left(task);
		return;
	}

	__u64 requested = request_time(cgrp, &request);
	struct fz_record *record = fz_record_make(task);

	if (!record) {
		trace_drop(FZ_TRACE_DROP_RECORD);
		return;
	}
	if (is_recorded(record, &request)) {
		if (!early && !close(record))
			record->arrived_ns = 0;
		return;
	}

	__u64 now = bpf_ktime_get_ns();

	record->arrived_ns = 0;
	record->open_place = 0;
	if (early) {
		record->open_cgroup = cgroup_id;
		record->open_place = open_take(fz_address(task), cgroup_id, now);
		if (!record->open_place)
			return; /* its sleep will tell */
		/* The thaw says so before it looks for open tasks. */
		trace_fence();
		request = request_of(cgroup_id);
		if (is_thawed(&request) && close(record))
			return;
	}
	record->arrived_ns = now;
	if (!is_wanted(FZ_TR_REACHED))
		return;

	struct fz_trace_event *event = trace_begin(FZ_TR_REACHED, now, cgroup_id, task, NULL);

	if (!event)
		return;
	event->since_ns = requested;
	bpf_ringbuf_submit(event, 0);
}

/* The task has both bits, and wakes up. */
static __always_inline void handle_woken(struct task_struct *task)
{
	struct fz_record *record = fz_record_peek(task);

	if (!record || !record->arrived_ns || record->open_place)
		return;

	__u64 cgroup_id = BPF_CORE_READ(task, cgroups, dfl_cgrp, kn, id);
	struct fz_trace_request request = request_of(cgroup_id);

	/* Thawed, and perhaps asked to freeze again, before it was woken. */
	if (!is_recorded(record, &request)) {
		handle_left(task);
		return;
	}
	record->open_cgroup = cgroup_id;
	record->open_place = open_take(fz_address(task), cgroup_id, record->arrived_ns);
	trace_fence();
	/* Without a place it is told to leave now, and to reach the refrigerator anew. */
	request = request_of(cgroup_id);
	if (record->open_place && !is_thawed(&request))
		return;
	if (close(record))
		tell_left(task, record);
	record->arrived_ns = 0;
}

SEC("?tp_btf/sched_switch")
int BPF_PROG(trace_switch, bool preempt, struct task_struct *prev)
{
	/* Direct loads: this line runs at every context switch of the machine. */
	if (BPF_CORE_READ_BITFIELD(prev, frozen) && (prev->jobctl & FZ_JOBCTL_TRAP_FREEZE) &&
	    !preempt && fz_task_state(prev) != FZ_TASK_RUNNING)
		handle_reached(prev, false);
	return 0;
}

SEC("?tp_btf/sched_wakeup")
int BPF_PROG(trace_wakeup, struct task_struct *task)
{
	/* A direct load: this line runs at every wake-up of the machine. */
	if (!BPF_CORE_READ_BITFIELD(task, frozen))
		return 0;
	if (task->jobctl & FZ_JOBCTL_TRAP_FREEZE)
		handle_woken(task);
	else
		handle_left(task);
	return 0;
}

SEC("?tp_btf/cgroup_freeze")
int BPF_PROG(trace_freeze, struct cgroup *cgrp, const char *path)
{
	if (!is_watched_v2(cgrp))
		return 0;

	__u64 id = BPF_CORE_READ(cgrp, kn, id);
	__u64 now = bpf_ktime_get_ns();
	struct fz_trace_request *request = request_make(id);
	bool inherited = !BPF_CORE_READ(cgrp, freezer.freeze);

	if (request) {
		request->inherited = inherited;
		request->freeze_ns = now;
	}
	if (is_wanted(FZ_TR_FREEZE))
		trace_cgroup(FZ_TR_FREEZE, now, cgrp, path, 0,
			     inherited ? FZ_TRF_INHERITED : 0, true);
	return 0;
}

/* Tells of the open task at this place, if there is one, that it left. Global: see fz_target_above(). */
__attribute__((noinline)) int open_leave(__u64 cgroup_id, __u64 place, __u64 now)
{
	struct trace_open_key key = {.cgroup_id = cgroup_id, .place = place};
	struct trace_open *found = bpf_map_lookup_elem(&fz_trace_open, &key);

	if (!found)
		return 0;

	struct trace_open open = *found;

	if (!open_remove(&key) || !is_wanted(FZ_TR_LEFT))
		return 0;

	struct fz_trace_event *event = trace_begin(FZ_TR_LEFT, now, cgroup_id, NULL, NULL);

	if (!event)
		return 0;
	event->task = open.task;
	event->since_ns = told_arrival(open.arrived_ns);
	bpf_ringbuf_submit(event, 0);
	return 0;
}

SEC("?tp_btf/cgroup_unfreeze")
int BPF_PROG(trace_thaw, struct cgroup *cgrp, const char *path)
{
	if (!is_watched_v2(cgrp))
		return 0;

	/* Both kinds read "not asked" by now: what the freeze was, the thaw is. */
	__u64 id = BPF_CORE_READ(cgrp, kn, id);
	__u64 now = bpf_ktime_get_ns();
	struct fz_trace_request *request = request_make(id);
	bool inherited = request && request->inherited;

	if (request)
		request->thaw_ns = now;
	if (is_wanted(FZ_TR_THAW)) /* an event is a fence, too */
		trace_cgroup(FZ_TR_THAW, now, cgrp, path, 0, inherited ? FZ_TRF_INHERITED : 0,
			     true);
	else
		trace_fence();
	for (__u64 place = 1; place <= TRACE_OPEN_PLACES; place++)
		open_leave(id, place, now);
	return 0;
}

SEC("?tp_btf/cgroup_notify_frozen")
int BPF_PROG(trace_notify_frozen, struct cgroup *cgrp, const char *path, int frozen)
{
	if (!is_watched_v2(cgrp))
		return 0;

	struct task_struct *current = fz_current();

	if (frozen && is_wanted(FZ_TR_REACHED) && is_inside(current))
		handle_reached(current, true);
	if (is_wanted(FZ_TR_FROZEN))
		trace_cgroup(FZ_TR_FROZEN, bpf_ktime_get_ns(), cgrp, path, frozen, 0, false);
	return 0;
}

SEC("?tp_btf/cgroup_notify_populated")
int BPF_PROG(trace_notify_populated, struct cgroup *cgrp, const char *path, int populated)
{
	if (is_watched_v2(cgrp))
		trace_cgroup(FZ_TR_POPULATED, bpf_ktime_get_ns(), cgrp, path, populated, 0, false);
	return 0;
}

SEC("?tp_btf/cgroup_mkdir")
int BPF_PROG(trace_mkdir, struct cgroup *cgrp, const char *path)
{
	if (is_watched_v2(cgrp))
		trace_cgroup(FZ_TR_MADE, bpf_ktime_get_ns(), cgrp, path, 0, 0, true);
	return 0;
}

SEC("?tp_btf/cgroup_rmdir")
int BPF_PROG(trace_rmdir, struct cgroup *cgrp, const char *path)
{
	if (is_watched_v2(cgrp))
		trace_cgroup(FZ_TR_REMOVED, bpf_ktime_get_ns(), cgrp, path, 0, 0, true);
	return 0;
}

/* The source of a move is not told: the library knows who was where. So all moves are sent. */
SEC("?tp_btf/cgroup_attach_task")
int BPF_PROG(trace_attach, struct cgroup *dst, const char *path, struct task_struct *task,
	     bool threadgroup)
{
	if (BPF_CORE_READ(dst, root, hierarchy_id) != 0)
		return 0;

	struct fz_trace_event *event =
		trace_begin(FZ_TR_MOVED, bpf_ktime_get_ns(), BPF_CORE_READ(dst, kn, id), task,
			    fz_current());

	if (!event)
		return 0;
	event->flags = threadgroup ? FZ_TRF_GROUP : 0;
	bpf_ringbuf_submit(event, 0);
	return 0;
}

/* Whether signals, births and deaths of the task are to be told. */
static __always_inline bool is_life_watched(struct task_struct *task, struct cgroup *cgrp)
{
	if (fz_trace_freezing && !(BPF_CORE_READ(task, jobctl) & FZ_JOBCTL_TRAP_FREEZE))
		return false;
	return is_watched(cgrp);
}

SEC("?tp_btf/signal_generate")
int BPF_PROG(trace_signal, int sig, void *info, struct task_struct *task, int group, int result)
{
	struct cgroup *cgrp = cgroup_of(task);

	if (!is_life_watched(task, cgrp))
		return 0;

	struct fz_trace_event *event =
		trace_begin(FZ_TR_SIGNAL, bpf_ktime_get_ns(), BPF_CORE_READ(cgrp, kn, id), task,
			    fz_current());

	if (!event)
		return 0;
	event->value = sig;
	event->result = result;
	/* SEND_SIG_PRIV, include/linux/signal_types.h: no siginfo, from the kernel itself. */
	event->flags = (group ? FZ_TRF_GROUP : 0) |
		       (fz_address(info) == 1 ? FZ_TRF_KERNEL : 0);
	bpf_ringbuf_submit(event, 0);
	return 0;
}

SEC("?tp_btf/signal_deliver")
int BPF_PROG(trace_deliver, int sig)
{
	struct task_struct *task = fz_current();

	if (is_inside(task))
		handle_left(task);
	if (!is_wanted(FZ_TR_DELIVER))
		return 0;

	struct cgroup *cgrp = cgroup_of(task);

	if (!is_life_watched(task, cgrp))
		return 0;

	struct fz_trace_event *event = trace_begin(FZ_TR_DELIVER, bpf_ktime_get_ns(),
						   BPF_CORE_READ(cgrp, kn, id), task, NULL);

	if (!event)
		return 0;
	event->value = sig;
	bpf_ringbuf_submit(event, 0);
	return 0;
}

SEC("?tp_btf/sched_process_fork")
int BPF_PROG(trace_fork, struct task_struct *parent, struct task_struct *child)
{
	struct cgroup *cgrp = cgroup_of(child);

	if (!is_life_watched(child, cgrp))
		return 0;

	struct fz_trace_event *event = trace_begin(FZ_TR_FORK, bpf_ktime_get_ns(),
						   BPF_CORE_READ(cgrp, kn, id), child, parent);

	if (event)
		bpf_ringbuf_submit(event, 0);
	return 0;
}

SEC("?tp_btf/sched_process_exit")
int BPF_PROG(trace_exit, struct task_struct *task)
{
	struct cgroup *cgrp = cgroup_of(task);

	handle_left(task);
	fz_record_forget(task);
	if (!is_wanted(FZ_TR_EXIT) || !is_life_watched(task, cgrp))
		return 0;

	struct fz_trace_event *event = trace_begin(FZ_TR_EXIT, bpf_ktime_get_ns(),
						   BPF_CORE_READ(cgrp, kn, id), task, NULL);

	if (!event)
		return 0;
	event->value = BPF_CORE_READ(task, exit_code);
	bpf_ringbuf_submit(event, 0);
	return 0;
}

/*
 * Who is there when the trace begins: run once, after everything else is attached. Gives those who
 * are in the refrigerator a record, so that they are seen to leave it.
 */
SEC("?iter/task")
int on_task(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;

	if (!task)
		return 0;

	struct cgroup *cgrp = cgroup_of(task);

	if (!is_watched(cgrp))
		return 0;

	struct fz_trace_event event;
	__u64 cgroup_id = BPF_CORE_READ(cgrp, kn, id);

	trace_fill(&event, FZ_TR_MEMBER, bpf_ktime_get_ns(), cgroup_id, task, NULL);
	if (is_inside(task)) {
		struct fz_record *record = fz_record_make(task);

		if (record && !record->arrived_ns)
			record->arrived_ns = 1;
		event.flags = FZ_TRF_INSIDE;
		struct fz_trace_request request = request_of(cgroup_id);

		event.since_ns = request_time(cgrp, &request);
	}
	bpf_seq_write(ctx->meta->seq, &event, sizeof(event));
	return 0;
}
