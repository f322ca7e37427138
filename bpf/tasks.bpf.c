// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
/*
 * The task snapshot: one fz_task_row for every task in a watched cgroup, in one pass.
 *
 * It is the only place where the kernel shows whether a v2 task is frozen (no file in /proc does),
 * and it completes the tracker's account with the tasks that made no event. When it runs beside a
 * tracker the library makes the two share fz_config, fz_target_index and the records, so that a row
 * carries the task's time of arrival.
 */
#include "vmlinux/vmlinux.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "bpf/abi.h"
#include "bpf/compat.bpf.h"
#include "bpf/targets.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

SEC("iter/task")
int dump_task(struct bpf_iter__task *ctx)
{
	struct seq_file *seq = ctx->meta->seq;
	struct task_struct *task = ctx->task;
	__u32 level_count = fz_level_count();

	if (!task || !level_count)
		return 0;

	struct cgroup *cgrp = BPF_CORE_READ(task, cgroups, dfl_cgrp);
	__u32 level = BPF_CORE_READ(cgrp, level);

	/* Most tasks of a machine are not: nothing else is read of those. */
	if (!fz_is_watched((__u64)cgrp, level))
		return 0;

	struct fz_record *record = fz_record_peek(task);
	struct fz_task_row row = {
		.task.tid = task->pid,
		.task.tgid = task->tgid,
		.task.uid = BPF_CORE_READ(task, real_cred, uid.val),
		.cgroup_id = BPF_CORE_READ(cgrp, kn, id),
		.cgroup_freeze_ns = fz_cgroup_freeze_ns(cgrp),
		.start_ns = task->start_time,
		.arrived_ns = record ? record->arrived_ns : 0,
		.jobctl = task->jobctl,
		.parent_tgid = BPF_CORE_READ(task, real_parent, tgid),
		.state = fz_task_state(task),
		.exit_state = task->exit_state,
		.flags = task->flags,
		.ptrace = task->ptrace,
	};

	BPF_CORE_READ_STR_INTO(&row.task.comm, task, comm);
	if (BPF_CORE_READ_BITFIELD_PROBED(task, frozen))
		row.bits |= FZ_ROW_FROZEN;
	if (row.jobctl & FZ_JOBCTL_TRAP_FREEZE)
		row.bits |= FZ_ROW_TRAP_FREEZE;
	if (task->vfork_done)
		row.bits |= FZ_ROW_VFORK;

	fz_for_each_target_slot(slot, cgrp, level, level_count) {
		row.target = slot;
		/* A full buffer makes the kernel show this task again after it was read out. */
		bpf_seq_write(seq, &row, sizeof(row));
	}
	return 0;
}
