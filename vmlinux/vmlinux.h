/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/*
 * The kernel types that the BPF programs read, and no more.
 *
 * Every struct names only the fields in use; CO-RE finds their offsets in the running kernel's BTF,
 * so neither the order nor the absence of the other fields matters, and the build needs no BTF.
 * A field that only some kernels have is declared here too and tested with
 * bpf_core_field_exists() in bpf/compat.bpf.h, the only file that may do so.
 */
#ifndef FREEZERCTL_VMLINUX_H
#define FREEZERCTL_VMLINUX_H

typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;
typedef signed char __s8;
typedef short __s16;
typedef int __s32;
typedef long long __s64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u64 __be64;
typedef __u32 __wsum;
typedef _Bool bool;

#define true 1
#define false 0
#define NULL ((void *)0)

/* include/uapi/linux/bpf.h; in a kernel's BTF, but needed at compile time in map definitions. */
enum bpf_map_type {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_LRU_HASH = 9,
	BPF_MAP_TYPE_ARRAY_OF_MAPS = 12,
	BPF_MAP_TYPE_RINGBUF = 27,
	BPF_MAP_TYPE_TASK_STORAGE = 29,
};

enum {
	BPF_ANY = 0,
	BPF_NOEXIST = 1,
};

enum {
	BPF_F_NO_PREALLOC = 1U << 0,
	BPF_F_MMAPABLE = 1U << 10,
};

enum {
	BPF_LOCAL_STORAGE_GET_F_CREATE = 1ULL << 0,
};

enum {
	BPF_RB_NO_WAKEUP = 1ULL << 0,
	BPF_RB_FORCE_WAKEUP = 1ULL << 1,
};

/* include/uapi/linux/bpf.h: what bpf_get_ns_current_pid_tgid() fills in. */
struct bpf_pidns_info {
	__u32 pid;
	__u32 tgid;
};

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

/* include/linux/kernfs.h */
struct kernfs_node {
	__u64 id;
};

/* kernel/cgroup/cgroup-internal.h, include/linux/cgroup-defs.h */
struct cgroup_root {
	int hierarchy_id;
};

struct cgroup;

/* include/linux/cgroup-defs.h */
struct cgroup_subsys_state {
	struct cgroup *cgroup;
};

/* include/linux/cgroup-defs.h; freeze_start_nsec since 6.18 (afa3701c0e45) */
struct cgroup_freezer_state {
	bool freeze;
	int nr_frozen_tasks;
	__u64 freeze_start_nsec;
};

/* include/linux/cgroup-defs.h */
struct cgroup {
	int level;
	struct kernfs_node *kn;
	struct cgroup_root *root;
	struct cgroup_freezer_state freezer;
	struct cgroup *ancestors[0];
};

/* Before 7f203bc89eb6 ("cgroup: Replace cgroup->ancestor_ids[] with ->ancestors[]", 6.1). */
struct cgroup___pre_v61 {
	__u64 ancestor_ids[0];
};

/* include/linux/cgroup-defs.h; the length of subsys[] differs between configurations */
struct css_set {
	struct cgroup_subsys_state *subsys[0];
	struct cgroup *dfl_cgrp;
};

/* include/linux/cgroup_subsys.h; absent without CONFIG_CGROUP_FREEZER, its number differs. */
enum cgroup_subsys_id {
	freezer_cgrp_id = 0,
};

/* include/linux/signal_types.h, arch/.../asm/signal.h */
struct sigaction {
	void (*sa_handler)(int);
};
struct k_sigaction {
	struct sigaction sa;
};

/* include/linux/uidgid.h */
typedef struct {
	__u32 val;
} kuid_t;

/* include/linux/cred.h */
struct cred {
	kuid_t uid;
};

struct completion;

/* include/linux/sched.h; empty without CONFIG_SCHED_INFO. On the scheduler's clock. */
struct sched_info {
	__u64 last_arrival;
	__u64 last_queued;
};

/* include/linux/sched.h */
struct sched_entity {
	__u64 sum_exec_runtime;
};

/* include/linux/sched.h */
struct task_struct {
	unsigned int __state;
	unsigned int flags;
	unsigned int ptrace;
	int exit_state;
	int exit_code;
	unsigned long jobctl;
	unsigned int frozen : 1;
	unsigned int in_iowait : 1;
	int on_cpu; /* not on a kernel without CONFIG_SMP */
	int on_rq;
	struct sched_entity se;
	struct sched_info sched_info;
	int pid;
	int tgid;
	struct task_struct *real_parent;
	struct task_struct *parent;
	struct task_struct *group_leader;
	struct completion *vfork_done;
	__u64 start_time;
	const struct cred *real_cred;
	char comm[16];
	struct css_set *cgroups;
};

/* Before 2f064a59a11f ("sched: Change task_struct::state", 5.14). */
struct task_struct___pre_v514 {
	volatile long state;
};

struct seq_file;

/* include/linux/bpf.h */
struct bpf_iter_meta {
	struct seq_file *seq;
};

/* kernel/bpf/task_iter.c */
struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
};

/* include/linux/fs.h */
struct super_block {
	unsigned long s_magic;
};

/* include/linux/fs.h */
struct inode {
	unsigned short i_mode;
	__u32 i_rdev;
	struct super_block *i_sb;
};

/* include/linux/dcache.h */
struct qstr {
	const unsigned char *name;
};

/* include/linux/dcache.h */
struct dentry {
	struct qstr d_name;
};

/* include/linux/path.h */
struct path {
	struct dentry *dentry;
};

/* include/linux/fs.h */
struct file {
	struct inode *f_inode;
	struct path f_path;
};

/* kernel/bpf/task_iter.c */
struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	__u32 fd;
	struct file *file;
};

#pragma clang attribute pop

#endif
