// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
/*
 * The stack snapshot: one fz_stack_row for every task in a watched cgroup, with the kernel stack of
 * those that a freeze or a kill may be waiting for.
 *
 * It is for `why`, which looks several times within milliseconds; so a row is written once even for
 * a task below several targets (the library knows the cgroups), and one that needs no stack is
 * short. A task that runs on another CPU right now has no stack that could be walked: its depth is
 * 0.
 */
#include "vmlinux/vmlinux.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "bpf/abi.h"
#include "bpf/compat.bpf.h"
#include "bpf/targets.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* The library sets these between passes. */
__u32 fz_only_tid;     /* this task alone, wherever it is; 0: those of the watched cgroups */
bool fz_frozen_stacks; /* frozen tasks have stacks as well */

struct fz_stack_addresses {
	__u64 at[FZ_STACK_DEPTH];
};

/* Too large for a BPF program's own stack. A pass runs on one CPU at a time without migration. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct fz_stack_addresses);
} fz_stack_buffer SEC(".maps");

static __always_inline bool fz_is_watched(const struct cgroup *cgrp)
{
	__u32 level_count = fz_level_count();
	__u32 level = BPF_CORE_READ(cgrp, level);

	fz_for_each_target_slot(slot, cgrp, level, level_count)
		return true;
	return false;
}

SEC("iter/task")
int dump_stack(struct bpf_iter__task *ctx)
{
	struct seq_file *seq = ctx->meta->seq;
	struct task_struct *task = ctx->task;

	if (!task)
		return 0;

	struct cgroup *cgrp = BPF_CORE_READ(task, cgroups, dfl_cgrp);

	if (fz_only_tid ? task->pid != (int)fz_only_tid : !fz_is_watched(cgrp))
		return 0;

	struct fz_stack_row row = {
		.task.tid = task->pid,
		.task.tgid = task->tgid,
		.task.uid = BPF_CORE_READ(task, real_cred, uid.val),
		.cgroup_id = BPF_CORE_READ(cgrp, kn, id),
		.cgroup_freeze_ns = fz_cgroup_freeze_ns(cgrp),
		.start_ns = task->start_time,
		.jobctl = task->jobctl,
		.cpu_ns = BPF_CORE_READ(task, se.sum_exec_runtime),
		.parent_tid = BPF_CORE_READ(task, real_parent, pid),
		.parent_tgid = BPF_CORE_READ(task, real_parent, tgid),
		.state = fz_task_state(task),
		.exit_state = task->exit_state,
		.flags = task->flags,
	};

	BPF_CORE_READ_STR_INTO(&row.task.comm, task, comm);
	if (task->ptrace)
		row.tracer_tgid = BPF_CORE_READ(task, parent, tgid);
	if (BPF_CORE_READ_BITFIELD_PROBED(task, frozen))
		row.bits |= FZ_STACK_FROZEN;
	if (BPF_CORE_READ_BITFIELD_PROBED(task, in_iowait))
		row.bits |= FZ_STACK_IOWAIT;
	if (row.jobctl & FZ_JOBCTL_TRAP_FREEZE)
		row.bits |= FZ_STACK_TRAP_FREEZE;
	/* For kernel threads before 5.17 the field means something else (e32cf5dfbe22). */
	if (task->vfork_done && !(row.flags & FZ_PF_KTHREAD))
		row.bits |= FZ_STACK_VFORK;
	if (fz_task_on_cpu(task))
		row.bits |= FZ_STACK_ON_CPU;
	if (BPF_CORE_READ(task, on_rq))
		row.bits |= FZ_STACK_ON_RQ;
	if (fz_has_sched_info(task)) {
		/*
		 * The scheduler's clock is not CLOCK_MONOTONIC and no helper reads it, but whoever
		 * runs this has been put on a CPU just now.
		 */
		__u64 now = fz_sched_info_arrival((struct task_struct *)bpf_get_current_task());
		__u64 arrival = fz_sched_info_arrival(task);
		__u64 queued = fz_sched_info_queued(task);

		row.bits |= FZ_STACK_SCHED;
		row.arrived_ago_ns = now > arrival ? now - arrival : 0;
		row.queued_ago_ns = queued && now > queued ? now - queued : 0;
	}

	__u32 zero = 0;
	struct fz_stack_addresses *stack = bpf_map_lookup_elem(&fz_stack_buffer, &zero);

	if (stack && !row.exit_state && (fz_frozen_stacks || !(row.bits & FZ_STACK_FROZEN))) {
		long size = bpf_get_task_stack(task, stack, sizeof(*stack), 0);

		row.bits |= FZ_STACK_FOLLOWS;
		row.depth = size > 0 ? size / sizeof(__u64) : 0;
	}
	/* A full buffer makes the kernel show this task again after it was read out. */
	bpf_seq_write(seq, &row, sizeof(row));
	if (stack && (row.bits & FZ_STACK_FOLLOWS))
		bpf_seq_write(seq, stack, sizeof(*stack));
	return 0;
}
