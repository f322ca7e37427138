// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
/*
 * The stack snapshot: one fz_stack_row for every task in the watched cgroup, with the kernel stack of
 * those that a freeze or a kill may be waiting for.
 *
 * It is for `why`, which looks several times within milliseconds; so a row that needs no stack is
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
bool fz_candidates_only; /* the tasks of fz_candidates, wherever they are, and no others */
bool fz_frozen_stacks;   /* frozen tasks have stacks as well */

/* Task ids that a pass is to look at again. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, FZ_CANDIDATES_MAX);
	__type(key, __u32);
	__type(value, __u32);
} fz_candidates SEC(".maps");

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

/* FZ_STACK_* but FZ_STACK_FOLLOWS. Global as well, for its branches. */
__attribute__((noinline)) __u32 fz_stack_bits(__u64 address, __u32 flags, __u64 jobctl)
{
	const struct task_struct *task = (const struct task_struct *)address;
	__u32 bits = 0;

	if (BPF_CORE_READ_BITFIELD_PROBED(task, frozen))
		bits |= FZ_STACK_FROZEN;
	if (BPF_CORE_READ_BITFIELD_PROBED(task, in_iowait))
		bits |= FZ_STACK_IOWAIT;
	if (jobctl & FZ_JOBCTL_TRAP_FREEZE)
		bits |= FZ_STACK_TRAP_FREEZE;
	/* A kernel thread's means something else before 5.17 (e32cf5dfbe22). */
	if (BPF_CORE_READ(task, vfork_done) && !(flags & FZ_PF_KTHREAD))
		bits |= FZ_STACK_VFORK;
	if (BPF_CORE_READ(task, ptrace))
		bits |= FZ_STACK_PTRACED;
	if (fz_task_on_cpu(task))
		bits |= FZ_STACK_ON_CPU;
	if (fz_task_on_rq(task))
		bits |= FZ_STACK_ON_RQ;
	return bits;
}

SEC("iter/task")
int dump_stack(struct bpf_iter__task *ctx)
{
	struct seq_file *seq = ctx->meta->seq;
	struct task_struct *task = ctx->task;

	if (!task)
		return 0;

	/* First what costs least: most passes are for one of thousands. */
	__u32 tid = BPF_CORE_READ(task, pid);

	if (fz_candidates_only && !bpf_map_lookup_elem(&fz_candidates, &tid))
		return 0;

	struct fz_place place;
	struct fz_place v1;
	bool on_v1 = false;

	fz_place_v2(&place, task);
	if (!fz_holds(&place)) {
		fz_place_v1(&v1, task);
		on_v1 = fz_holds(&v1);
		if (on_v1)
			place = v1;
		else if (!fz_candidates_only)
			return 0;
	}

	const struct cgroup *cgrp = place.cgrp;

	/*
	 * Read by helper and not directly: for every direct load the verifier searches the kernel's
	 * types by name, 60 ms in all (btf_nested_type_is_trusted()).
	 */
	struct fz_stack_row row = {
		.task.tid = tid,
		.task.tgid = BPF_CORE_READ(task, tgid),
		.task.uid = BPF_CORE_READ(task, real_cred, uid.val),
		.cgroup_id = place.id,
		.cgroup_freeze_ns = fz_cgroup_freeze_ns(cgrp),
		.start_ns = BPF_CORE_READ(task, start_time),
		.jobctl = BPF_CORE_READ(task, jobctl),
		.cpu_ns = BPF_CORE_READ(task, se.sum_exec_runtime),
		.parent_tid = BPF_CORE_READ(task, real_parent, pid),
		.parent_tgid = BPF_CORE_READ(task, real_parent, tgid),
		.tracer_tgid = BPF_CORE_READ(task, parent, tgid),
		.state = fz_task_state(task),
		.exit_state = BPF_CORE_READ(task, exit_state),
		.flags = BPF_CORE_READ(task, flags),
	};

	BPF_CORE_READ_STR_INTO(&row.task.comm, task, comm);
	row.bits = fz_stack_bits(fz_address(task), row.flags, row.jobctl);
	if (on_v1) {
		/* What its v2 cgroup thinks of it does not matter. */
		row.bits &= ~(FZ_STACK_FROZEN | FZ_STACK_TRAP_FREEZE);
		if (fz_counts_for_v1(row.state, row.flags))
			row.bits |= FZ_STACK_FROZEN | FZ_STACK_TRAP_FREEZE;
	}
	/*
	 * The scheduler's clock is not CLOCK_MONOTONIC and no helper reads it, but whoever runs
	 * this has been put on a CPU just now.
	 */
	row.sched_now_ns = fz_sched_arrival((struct task_struct *)bpf_get_current_task());
	row.sched_arrived_ns = fz_sched_arrival(task);
	row.sched_queued_ns = fz_sched_queued(task);

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

enum {
	FZ_S_IFMT = 0170000,
	FZ_S_IFCHR = 0020000,
	FZ_FUSE_DEVICE = (10 << 20) | 229,   /* MKDEV(MISC_MAJOR, FUSE_MINOR) */
	FZ_ANON_INODE_FS_MAGIC = 0x09041934, /* include/uapi/linux/magic.h */
};

/* enum fz_file_kind, or 0. */
__attribute__((noinline)) __u32 fz_kind_of_file(__u64 address)
{
	const struct file *file = (const struct file *)address;
	const struct inode *inode = BPF_CORE_READ(file, f_inode);
	static const char wanted[] = "[userfaultfd]";
	char name[sizeof(wanted)] = {};

	if ((BPF_CORE_READ(inode, i_mode) & FZ_S_IFMT) == FZ_S_IFCHR)
		return BPF_CORE_READ(inode, i_rdev) == FZ_FUSE_DEVICE ? FZ_FILE_FUSE : 0;
	if (BPF_CORE_READ(inode, i_sb, s_magic) != FZ_ANON_INODE_FS_MAGIC)
		return 0;
	bpf_probe_read_kernel_str(name, sizeof(name),
				  BPF_CORE_READ(file, f_path.dentry, d_name.name));
	for (int i = 0; i < (int)sizeof(wanted); i++) {
		if (name[i] != wanted[i])
			return 0;
	}
	return FZ_FILE_USERFAULTFD;
}

/*
 * Who may serve a straggler: every process with a userfaultfd or /dev/fuse open, wherever it is.
 * Looking through /proc for them takes half a second for ten thousand processes.
 */
SEC("iter/task_file")
int dump_holder(struct bpf_iter__task_file *ctx)
{
	struct seq_file *seq = ctx->meta->seq;
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;

	if (!task || !file)
		return 0;

	__u32 kind = fz_kind_of_file(fz_address(file));

	if (!kind)
		return 0;

	struct fz_open_file row = {
		.tgid = BPF_CORE_READ(task, tgid),
		.fd = ctx->fd,
		.kind = kind,
	};

	bpf_seq_write(seq, &row, sizeof(row));
	return 0;
}
