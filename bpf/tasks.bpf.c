// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
/*
 * The task snapshot: one fz_task_row for every task in a watched cgroup, in one pass.
 *
 * It is the only place where the kernel shows whether a v2 task is frozen (no file in /proc does),
 * and it completes the tracker's account with the tasks that made no event. A row tells the task's
 * state in its target's hierarchy. When it runs beside a tracker the library makes the two share
 * fz_config, fz_target_index and the records, so that a row carries the task's time of arrival.
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
 * fz_task_row.bits of a task, an address. Global, so that what it returns has no history for the
 * verifier, which else goes through the loop of dump() for every combination of bits.
 */
__attribute__((noinline)) __u32 fz_row_bits(__u64 address, __u32 state, __u32 flags, __u32 on_v1)
{
	struct task_struct *task = (struct task_struct *)address;
	bool held = fz_is_held_by_v1(state, flags);
	__u32 bits = BPF_CORE_READ(task, vfork_done) ? FZ_ROW_VFORK : 0;

	if (on_v1) {
		if (fz_counts_for_v1(state, flags))
			bits |= FZ_ROW_FROZEN;
		if (held)
			bits |= FZ_ROW_TRAP_FREEZE;
		return bits;
	}
	if (BPF_CORE_READ_BITFIELD_PROBED(task, frozen))
		bits |= FZ_ROW_FROZEN;
	if (BPF_CORE_READ(task, jobctl) & FZ_JOBCTL_TRAP_FREEZE)
		bits |= FZ_ROW_TRAP_FREEZE;
	if (held)
		bits |= FZ_ROW_HELD_BY_V1;
	return bits;
}

/* A row for each target that holds the task's cgroup of one hierarchy. */
static __always_inline int dump(struct bpf_iter__task *ctx, bool on_v1)
{
	struct seq_file *seq = ctx->meta->seq;
	struct task_struct *task = ctx->task;
	__u32 level_count = fz_level_count();
	struct fz_place place;

	if (!task || !level_count)
		return 0;
	if (on_v1)
		fz_place_v1(&place, task);
	else
		fz_place_v2(&place, task);

	/* Most tasks of a machine are not: nothing else is read of those. */
	if (!fz_holds(&place))
		return 0;

	struct fz_record *record = fz_record_peek(task);
	struct fz_task_row row = {
		.task.tid = task->pid,
		.task.tgid = task->tgid,
		.task.uid = BPF_CORE_READ(task, real_cred, uid.val),
		.cgroup_id = place.id,
		.start_ns = task->start_time,
		.jobctl = task->jobctl,
		.parent_tgid = BPF_CORE_READ(task, real_parent, tgid),
		.state = fz_task_state(task),
		.exit_state = task->exit_state,
		.flags = task->flags,
		.ptrace = task->ptrace,
	};

	row.bits = fz_row_bits(fz_address(task), row.state, row.flags, on_v1);
	BPF_CORE_READ_STR_INTO(&row.task.comm, task, comm);
	if (on_v1) {
		/* v1 does not remember when it was asked to freeze. */
		row.arrived_ns = record ? record->arrived_v1_ns : 0;
	} else {
		row.arrived_ns = record ? record->arrived_ns : 0;
		row.cgroup_freeze_ns = fz_cgroup_freeze_ns(place.cgrp);
	}

	__u64 address = fz_address(place.cgrp);

	/* A full buffer makes the kernel show this task again after it was read out. */
	fz_for_each_target_slot(slot, address, place.level, level_count, place.hierarchy) {
		row.target = slot;
		bpf_seq_write(seq, &row, sizeof(row));
	}
	return 0;
}

SEC("iter/task")
int dump_task(struct bpf_iter__task *ctx)
{
	return dump(ctx, false);
}

/* A pass of its own: rows of both in one would multiply the ways that the verifier goes through. */
SEC("?iter/task")
int dump_task_v1(struct bpf_iter__task *ctx)
{
	return dump(ctx, true);
}
