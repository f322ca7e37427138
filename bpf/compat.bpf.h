/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/*
 * The only file that knows that kernels differ.
 *
 * One accessor for each difference, with the version and commit that made it and when it can go.
 * Decided through CO-RE when the object is loaded, but for the one constant that the library sets.
 */
#ifndef FREEZERCTL_COMPAT_BPF_H
#define FREEZERCTL_COMPAT_BPF_H

#include "vmlinux/vmlinux.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "bpf/abi.h"

/*
 * Why the old variants below are functions that are not inlined: the compiler would move the offset
 * of a field that the kernel lacks out of its branch, and the kernel refuses a program that can reach
 * it.
 */

static __attribute__((noinline)) unsigned int fz_task_state_pre_v514(const struct task_struct *task)
{
	return BPF_CORE_READ((const struct task_struct___pre_v514 *)task, state);
}

/*
 * task_struct.__state: `volatile long state` before 2f064a59a11f (5.14).
 * Goes when 5.10 does.
 */
static __always_inline unsigned int fz_task_state(const struct task_struct *task)
{
	if (bpf_core_field_exists(task->__state))
		return BPF_CORE_READ(task, __state);
	return fz_task_state_pre_v514(task);
}

/*
 * Whether the v1 freezer holds the task: TASK_FROZEN since f5d39b020809 (6.1), PF_FROZEN before. No
 * kernel uses the other's bit for a task that can freeze (0x00010000 is kcompactd's since 6.7, which
 * never does), so both are tested. The flag goes when 5.15 does.
 */
static __always_inline bool fz_is_held_by_v1(__u32 state, __u32 flags)
{
	return (state & FZ_TASK_FROZEN) || ((flags & FZ_PF_FROZEN) && !(flags & FZ_PF_KTHREAD));
}

/*
 * Whether a v1 cgroup that freezes counts the task as frozen. Before 6.1 those in freezable sleeps,
 * stopped or traced are passed over instead of being held (freezer_should_skip()); the bit has no
 * other use since. Goes when 5.15 does.
 */
static __always_inline bool fz_counts_for_v1(__u32 state, __u32 flags)
{
	return fz_is_held_by_v1(state, flags) || (flags & FZ_PF_FREEZER_SKIP);
}

/* The task's cgroup in the v1 freezer's hierarchy; NULL where the kernel has no such controller. */
static __attribute__((noinline)) struct cgroup *fz_v1_cgroup_of(const struct css_set *cgroups)
{
	struct cgroup_subsys_state *css = NULL;
	__u64 index;

	if (!bpf_core_enum_value_exists(enum cgroup_subsys_id, freezer_cgrp_id))
		return NULL;
	index = bpf_core_enum_value(enum cgroup_subsys_id, freezer_cgrp_id);
	bpf_probe_read_kernel(&css, sizeof(css),
			      (const void *)cgroups + bpf_core_field_offset(struct css_set, subsys) +
				      index * sizeof(void *));
	return css ? BPF_CORE_READ(css, cgroup) : NULL;
}

/*
 * The id of a cgroup's ancestor at a level that is not below the cgroup's own.
 * cgroup.ancestor_ids[] before 7f203bc89eb6 (6.1), cgroup.ancestors[] since. Goes when 5.10 does.
 *
 * The offset is computed by hand because CO-RE takes constant indices only.
 */
static __attribute__((noinline)) __u64 fz_ancestor_id(const struct cgroup *cgrp, __u32 level)
{
	const struct cgroup *ancestor = NULL;

	bpf_probe_read_kernel(&ancestor, sizeof(ancestor),
			      (const void *)cgrp + bpf_core_field_offset(struct cgroup, ancestors) +
				      (__u64)level * sizeof(void *));
	return ancestor ? BPF_CORE_READ(ancestor, kn, id) : 0;
}

static __attribute__((noinline)) __u64 fz_ancestor_id_pre_v61(const struct cgroup *cgrp,
							      __u32 level)
{
	__u64 id = 0;

	bpf_probe_read_kernel(&id, sizeof(id),
			      (const void *)cgrp +
				      bpf_core_field_offset(struct cgroup___pre_v61, ancestor_ids) +
				      (__u64)level * sizeof(id));
	return id;
}

static __always_inline __u64 fz_cgroup_ancestor_id(const struct cgroup *cgrp, __u32 level)
{
	if (bpf_core_field_exists(cgrp->ancestors))
		return fz_ancestor_id(cgrp, level);
	return fz_ancestor_id_pre_v61(cgrp, level);
}

/*
 * When the cgroup was asked to freeze, or 0 where the kernel does not remember it.
 * cgroup_freezer_state.freeze_start_nsec since afa3701c0e45 (6.18), of CLOCK_MONOTONIC.
 */
static __attribute__((noinline)) __u64 fz_freeze_start_since_v618(const struct cgroup *cgrp)
{
	return BPF_CORE_READ(cgrp, freezer.freeze_start_nsec);
}

static __always_inline __u64 fz_cgroup_freeze_ns(const struct cgroup *cgrp)
{
	if (bpf_core_field_exists(cgrp->freezer.freeze_start_nsec))
		return fz_freeze_start_since_v618(cgrp);
	return 0;
}

/*
 * When the scheduler last put the task on a CPU, and since when it waits for one (0: it does not);
 * by the scheduler's clock. 0 on kernels without CONFIG_SCHED_INFO (neither CONFIG_SCHEDSTATS nor
 * CONFIG_TASK_DELAY_ACCT).
 */
static __attribute__((noinline)) __u64 fz_sched_info_arrival(const struct task_struct *task)
{
	return BPF_CORE_READ(task, sched_info.last_arrival);
}

static __attribute__((noinline)) __u64 fz_sched_info_queued(const struct task_struct *task)
{
	return BPF_CORE_READ(task, sched_info.last_queued);
}

static __always_inline __u64 fz_sched_arrival(const struct task_struct *task)
{
	if (bpf_core_field_exists(task->sched_info.last_arrival))
		return fz_sched_info_arrival(task);
	return 0;
}

static __always_inline __u64 fz_sched_queued(const struct task_struct *task)
{
	if (bpf_core_field_exists(task->sched_info.last_queued))
		return fz_sched_info_queued(task);
	return 0;
}

/*
 * task_struct.on_cpu: on every kernel since 6.17 (cac5cefbade9), before only with CONFIG_SMP.
 *
 * It and on_rq are int, and u8 side by side on 7.3, where a read of an int takes its neighbours along:
 * read with the size that the kernel's types name, which the macro for bit fields does.
 */
static __attribute__((noinline)) bool fz_on_cpu_smp(const struct task_struct *task)
{
	return BPF_CORE_READ_BITFIELD_PROBED(task, on_cpu) != 0;
}

static __always_inline bool fz_task_on_cpu(const struct task_struct *task)
{
	if (bpf_core_field_exists(task->on_cpu))
		return fz_on_cpu_smp(task);
	return false;
}

/* task_struct.on_rq. */
static __always_inline bool fz_task_on_rq(const struct task_struct *task)
{
	return BPF_CORE_READ_BITFIELD_PROBED(task, on_rq) != 0;
}

/*
 * Where a task's record lives.
 *
 * Task storage needs an allocation, and the place that makes records is sched_switch, under the run
 * queue's lock. Before 08a7ce384e33 (6.4) that allocation was kmalloc(GFP_ATOMIC), which may wake
 * kswapd and so take a run queue's lock itself; 5.10 has no task storage for tracing programs at all
 * (a10787e6d58c, 5.13). Since f484f4a3e058 (6.19) it is kmalloc_nolock(), which always fails where the
 * machine has no compare-and-exchange of two words (mm/slub.c: __CMPXCHG_DOUBLE): no record was ever
 * made on ppc64le with 7.2. So: storage where the allocation works, a preallocated hash by tid
 * elsewhere. The library decides (user/task_storage.cpp) and creates only the map that is used.
 * The hash stays for such machines when 6.1 has gone.
 */
const volatile bool fz_use_storage = true;

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct fz_record);
} fz_record_storage SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1); /* the library sets the size */
	__type(key, __u32);
	__type(value, struct fz_record);
} fz_record_hash SEC(".maps");

/*
 * The running task. bpf_get_current_task_btf() is of 5.11; the plain address will do for the hash,
 * and storage, which wants a typed pointer, is not used before 6.4. Goes with the hash.
 */
static __always_inline struct task_struct *fz_current(void)
{
	if (fz_use_storage)
		return bpf_get_current_task_btf();
	return (struct task_struct *)bpf_get_current_task();
}

/* The task's record, or NULL. */
static __always_inline struct fz_record *fz_record_peek(struct task_struct *task)
{
	if (fz_use_storage)
		return bpf_task_storage_get(&fz_record_storage, task, NULL, 0);

	__u32 tid = BPF_CORE_READ(task, pid);
	struct fz_record *record = bpf_map_lookup_elem(&fz_record_hash, &tid);

	if (record && record->start_ns != BPF_CORE_READ(task, start_time))
		return NULL;
	return record;
}

/* The task's record, made when there is none, or NULL where there is no room for it. */
static __always_inline struct fz_record *fz_record_make(struct task_struct *task)
{
	struct fz_record *record = fz_record_peek(task);

	if (record)
		return record;

	struct fz_record fresh = {.start_ns = BPF_CORE_READ(task, start_time)};

	if (fz_use_storage)
		return bpf_task_storage_get(&fz_record_storage, task, &fresh,
					    BPF_LOCAL_STORAGE_GET_F_CREATE);

	__u32 tid = BPF_CORE_READ(task, pid);

	bpf_map_update_elem(&fz_record_hash, &tid, &fresh, BPF_ANY);
	return bpf_map_lookup_elem(&fz_record_hash, &tid);
}

/* Forgets an exiting task. Storage goes with its task by itself. */
static __always_inline void fz_record_forget(struct task_struct *task)
{
	if (fz_use_storage)
		return;

	__u32 tid = BPF_CORE_READ(task, pid);

	bpf_map_delete_elem(&fz_record_hash, &tid);
}

#endif
