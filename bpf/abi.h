/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/*
 * What the BPF programs and the library agree on.
 *
 * Includes nothing: it is compiled by clang for BPF and by a C++ compiler for the host, on either
 * byte order, and must mean the same to both. Padding is explicit, sizes are asserted, enum numbers
 * are written out and never reused.
 *
 * Times are nanoseconds of CLOCK_MONOTONIC (bpf_ktime_get_ns()). Task ids are those of the initial
 * pid namespace. `comm` is a byte string that its process chose: not UTF-8, not always printable.
 */
#ifndef FREEZERCTL_BPF_ABI_H
#define FREEZERCTL_BPF_ABI_H

#ifdef __cplusplus
#define FZ_ASSERT static_assert
#else
#define FZ_ASSERT _Static_assert
#endif

enum {
	FZ_COMM_LEN = 16,
	/* Distinct depths (cgroup.level) at which targets may lie at the same time. */
	FZ_LEVELS_MAX = 64,
	/* How many processes can use a shared tracker at the same time, and how many targets each. */
	FZ_CLIENTS_MAX = 8,
	FZ_CLIENT_SLOTS = 1024,
};

/* Kernel task states and flags that both sides test. */
enum {
	/* include/linux/sched/jobctl.h; set by cgroup_freeze_task() since 5.2 (76f969e8948d). */
	FZ_JOBCTL_TRAP_FREEZE = 1U << 23,
	/* include/linux/sched.h */
	FZ_PF_EXITING = 0x00000004,
	FZ_PF_IO_WORKER = 0x00000010, /* since 5.12 (3bfe6106693b); kernel threads before */
	FZ_PF_KTHREAD = 0x00200000,
	/* include/linux/sched.h, since 6.1 (f5d39b020809): held by the v1 freezer. */
	FZ_TASK_FROZEN = 0x00008000,
	/* The same before 6.1: in the refrigerator; or asleep where the v1 freezer need not wait for it. */
	FZ_PF_FROZEN = 0x00010000,
	FZ_PF_FREEZER_SKIP = 0x40000000,
	FZ_PF_NOFREEZE = 0x00008000,
	/*
	 * __TASK_STOPPED, __TASK_TRACED and (since 6.1) TASK_FREEZABLE: a task that is asleep so when
	 * FROZEN is written to its v1 cgroup is frozen by the writer, where it sleeps (__set_task_frozen()
	 * in kernel/freezer.c); one that falls asleep so afterwards only by the next write.
	 */
	FZ_TASK_FROZEN_BY_WRITE = 0x0000200c,
	/* The last state of all: no task with it is in a v1 cgroup (but for a moment, since 6.19). */
	FZ_TASK_DEAD = 0x00000080,
};

/* include/linux/sched.h: values and bits of task_struct.__state that never moved. */
enum {
	FZ_TASK_RUNNING = 0x0000,
	FZ_TASK_INTERRUPTIBLE = 0x0001,
	FZ_TASK_UNINTERRUPTIBLE = 0x0002,
	FZ_TASK_STOPPED = 0x0004,
	FZ_TASK_TRACED = 0x0008,
};

/* include/linux/sched/jobctl.h: set while stopped or traced, since 6.0 (31cae1eaae4f). */
enum {
	FZ_JOBCTL_STOPPED = 1U << 26,
	FZ_JOBCTL_TRACED = 1U << 27,
};

enum fz_event_kind {
	FZ_EV_FREEZE = 1,    /* the cgroup shall freeze; task = who asked */
	FZ_EV_THAW = 2,      /* the cgroup shall thaw; task = who asked; value = its frozen tasks */
	FZ_EV_FROZEN = 3,    /* cgroup_notify_frozen 1: value = how many of its own tasks are */
	FZ_EV_POPULATED = 4, /* cgroup_notify_populated: value = 0 or 1 */
	FZ_EV_REMOVED = 5,   /* the cgroup was removed; task = who did it */
	FZ_EV_ARRIVED = 6,   /* task reached the refrigerator, first time since the request */
	FZ_EV_KILL = 7,      /* first SIGKILL to a member from this sender; task = the sender */
	FZ_EV_FORK = 8,      /* task was born into the target */
	FZ_EV_EXIT = 9,      /* task of the target exits */
	FZ_EV_BELOW = 10,    /* cgroup_notify_frozen of a cgroup below: value = 0 or 1 */
	FZ_EV_MOVED = 11,    /* a task was moved, from or to anywhere; target = FZ_NO_TARGET */
	/* Of tasks that a v1 freezer still has to catch, when FZ_WAKE_MISSING asks for them: */
	FZ_EV_ASLEEP = 12, /* task fell asleep in a way that only another write of FROZEN freezes */
	FZ_EV_LEFT = 13,   /* task switched for the last time: it has left its cgroup */
	FZ_EV_DELIVERED = 14, /* task takes a signal: value = its number; flags: FZ_EVF_HANDLED */
	FZ_EV_UNFROZEN = 15, /* cgroup_notify_frozen 0 */
	FZ_EV_KINDS = 16,
};

/* fz_event.target of what belongs to none. */
#define FZ_NO_TARGET 0xffffffffU

/* fz_event.flags */
enum {
	FZ_EVF_OWN = 1U << 0, /* the actor is the process that watches the target */
	FZ_EVF_HANDLED = 1U << 1, /* FZ_EV_DELIVERED: a handler of the task's own takes it */
	FZ_EVF_INTO = 1U << 2, /* FZ_EV_MOVED: the task is now in a target */
	FZ_EVF_ARRIVED = 1U << 3, /* FZ_EV_FROZEN: the task is the last to arrive */
};

/* fz_target.wake: which events wake the sleeper at once; all others wait for one that does. */
enum {
	FZ_WAKE_FROZEN = 1U << 0,   /* FZ_EV_FROZEN */
	FZ_WAKE_UNFROZEN = 1U << 1, /* FZ_EV_UNFROZEN */
	FZ_WAKE_EMPTY = 1U << 2,    /* FZ_EV_POPULATED, value 0 */
	FZ_WAKE_POPULATED = 1U << 3,
	FZ_WAKE_FREEZE = 1U << 4, /* FZ_EV_FREEZE of another process */
	FZ_WAKE_THAW = 1U << 5,   /* FZ_EV_THAW of another process */
	FZ_WAKE_REMOVED = 1U << 6,
	FZ_WAKE_BELOW = 1U << 7, /* FZ_EV_BELOW */
	FZ_WAKE_TASKS = 1U << 8, /* every arrival and exit */
	/* What a v1 freezer's missing tasks do: arrivals, FZ_EV_ASLEEP and FZ_EV_LEFT. Births are sent. */
	FZ_WAKE_MISSING = 1U << 9,
	/* Not a wake-up: send every arrival, birth and death; they wait as all others. */
	FZ_TELL_TASKS = 1U << 10,
	/* Neither: only count arrivals, births and deaths (struct fz_stats). */
	FZ_COUNT_TASKS = 1U << 11,
	/*
	 * Not yet: with it FZ_WAKE_FROZEN, _UNFROZEN, _EMPTY and _POPULATED only send. For whoever still
	 * makes its requests and looks at every target afterwards: a wake-up of nobody costs as much.
	 */
	FZ_WAKE_LATER = 1U << 12,
	/* Somebody is told of single tasks. */
	FZ_ABOUT_TASKS = FZ_TELL_TASKS | FZ_WAKE_TASKS | FZ_WAKE_MISSING,
	/* Without any of these nothing is counted: FZ_EV_FROZEN tells of the arrival that completed it. */
	FZ_FOLLOW_TASKS = FZ_ABOUT_TASKS | FZ_COUNT_TASKS,
};

struct fz_task {
	unsigned int tid;
	unsigned int tgid;
	unsigned int uid;
	unsigned int reserved;
	unsigned char comm[FZ_COMM_LEN];
};
FZ_ASSERT(sizeof(struct fz_task) == 32, "fz_task layout");

struct fz_event {
	unsigned int kind;   /* enum fz_event_kind */
	unsigned int target; /* slot in fz_targets */
	unsigned long long time_ns;
	unsigned long long cgroup_id; /* of the target, or of the task's own cgroup below it */
	unsigned int value;
	unsigned int flags;
	struct fz_task task;
};
FZ_ASSERT(sizeof(struct fz_event) == 64, "fz_event layout");

/* Key of fz_target_index. Ids are unique within one hierarchy only: v2 is hierarchy 0. */
struct fz_cgroup_key {
	unsigned long long id;
	unsigned int hierarchy;
	unsigned int reserved;
};
FZ_ASSERT(sizeof(struct fz_cgroup_key) == 16, "fz_cgroup_key layout");

/* One watched cgroup: the array fz_targets, which the library maps into its memory. */
struct fz_target {
	unsigned long long request_ns; /* last FZ_EV_FREEZE; the arrivals' generation. 0: none */
	unsigned long long frozen_ns;  /* last FZ_EV_FROZEN */
	unsigned long long empty_ns;   /* last FZ_EV_POPULATED with value 0 */
	unsigned int wake;             /* FZ_WAKE_*; written by the library only */
	unsigned int killer;           /* tgid of the last SIGKILL sender, 0: none */
	unsigned int lost;             /* grows when an event of this target found no room */
	unsigned int owner_tgid;       /* the process that watches it, as in its ... */
	unsigned int owner_ns_dev;     /* ... pid namespace: st_dev and st_ino of /proc/self/ns/pid */
	/* The library's own, of a shared tracker: what is to be undone when its process is gone. */
	unsigned int level;           /* or FZ_ANY_LEVEL */
	unsigned long long cgroup_id; /* 0: the slot is free */
	unsigned long long owner_ns_ino;
	/*
	 * Of the cgroups below, since the last FZ_EV_FREEZE or FZ_EV_THAW: how many the kernel marked
	 * frozen (while FZ_WAKE_FROZEN is asked for) or told to thaw (FZ_WAKE_UNFROZEN), in the upper
	 * half, and how many frozen tasks of their own those had, in the lower.
	 */
	unsigned long long below;
	unsigned int below_again; /* one of them was marked and then not: it may be in it twice */
	unsigned int reserved[13];
};
/* And FZ_CLIENT_SLOTS of it fill whole pages, of whatever size: each client maps its own alone. */
FZ_ASSERT(sizeof(struct fz_target) == 128, "fz_target layout");

/* fz_target.level of a cgroup of which it is not known. */
#define FZ_ANY_LEVEL 0xffffffffU

/* What one CPU counted for one target, while FZ_FOLLOW_TASKS asked for it, since the library cleared it. */
struct fz_stats {
	unsigned long long arrived;
	unsigned long long forked;
	unsigned long long exited;
	unsigned long long slowest_ns; /* the latest arrival: its time */
	struct fz_task slowest;        /* and its task */
};
FZ_ASSERT(sizeof(struct fz_stats) == 64, "fz_stats layout");

/* fz_config[0], which the library maps into its memory. */
struct fz_config {
	unsigned int level_count;
	unsigned int levels[FZ_LEVELS_MAX]; /* cgroup.level of the entries of fz_target_index */
	unsigned int level_users[FZ_LEVELS_MAX]; /* the library's own: how many entries; 0: unused */
	unsigned int watch_moves;  /* send FZ_EV_MOVED to these clients, a bit for each */
	unsigned int watch_signal; /* send FZ_EV_DELIVERED of this signal, and of SIGKILL */
	unsigned int follow_tasks; /* clients with a target that has one of FZ_FOLLOW_TASKS */
};

/* Indices of fz_drops. */
enum {
	FZ_DROP_RECORDS = 0, /* no room to remember that a task has arrived */
	FZ_DROP_EVENTS = 1,  /* no room for an event: and up, one for each client */
};

/* What is remembered of a task. */
struct fz_record {
	unsigned long long arrived_ns;    /* in the refrigerator of v2 */
	unsigned long long arrived_v1_ns; /* and of v1 */
	unsigned long long start_ns;      /* the task's start time: tells a reused tid */
	/* Trace only: where it stands in fz_trace_open while it is inside and awake (place 0: it is not). */
	unsigned long long open_cgroup;
	unsigned long long open_place;
};
FZ_ASSERT(sizeof(struct fz_record) == 40, "fz_record layout");

/* fz_task_row.bits */
enum {
	/* Its target's hierarchy counts it as frozen. v2: task_struct.frozen. */
	FZ_ROW_FROZEN = 1U << 0,
	FZ_ROW_TRAP_FREEZE = 1U << 1, /* its cgroup asks it to freeze, or (v1) holds it */
	FZ_ROW_VFORK = 1U << 2,       /* a vfork child that its parent still waits for */
	FZ_ROW_HELD_BY_V1 = 1U << 3,  /* the target is a v2 cgroup, but a v1 freezer holds the task */
};

/* One task, as the task iterator writes it. */
struct fz_task_row {
	struct fz_task task;
	unsigned long long cgroup_id; /* in the target's hierarchy */
	unsigned long long cgroup_freeze_ns; /* when its cgroup was asked to freeze; 0: not told */
	unsigned long long start_ns;
	unsigned long long arrived_ns; /* from its record; 0: none */
	unsigned long long jobctl;
	unsigned int target;
	unsigned int parent_tgid;
	unsigned int state;
	unsigned int exit_state;
	unsigned int flags;
	unsigned int ptrace;
	unsigned int bits; /* FZ_ROW_* */
	unsigned int reserved;
};
FZ_ASSERT(sizeof(struct fz_task_row) == 104, "fz_task_row layout");

enum {
	/* Deeper stacks are cut at their outer end, which says least. */
	FZ_STACK_DEPTH = 48,
	FZ_CANDIDATES_MAX = 1024,
};

/* fz_stack_row.bits */
enum {
	FZ_STACK_FROZEN = 1U << 0,      /* task_struct.frozen: counted by its v2 cgroup */
	FZ_STACK_TRAP_FREEZE = 1U << 1, /* its v2 cgroup asks it to freeze */
	FZ_STACK_VFORK = 1U << 2,       /* a vfork child that its parent still waits for */
	FZ_STACK_ON_CPU = 1U << 3,
	FZ_STACK_ON_RQ = 1U << 4,  /* runnable: running or waiting for a CPU */
	FZ_STACK_IOWAIT = 1U << 5, /* sleeps for I/O, by the kernel's own account */
	FZ_STACK_PTRACED = 1U << 6,
	FZ_STACK_FOLLOWS = 1U << 7, /* FZ_STACK_DEPTH addresses come after the row */
};

/* One task as the stack iterator writes it: what `why` judges by. */
struct fz_stack_row {
	struct fz_task task;
	unsigned long long cgroup_id;
	unsigned long long cgroup_freeze_ns; /* when its cgroup was asked to freeze; 0: not told */
	unsigned long long start_ns;
	unsigned long long jobctl;
	unsigned long long cpu_ns; /* time on a CPU in its life */
	/* By the scheduler's own clock; 0: not told. */
	unsigned long long sched_now_ns;     /* within the pass */
	unsigned long long sched_arrived_ns; /* it was last put on a CPU */
	unsigned long long sched_queued_ns;  /* it was made to wait for a CPU; 0: it does not wait */
	unsigned int parent_tid;  /* the thread that forked it, or its reaper */
	unsigned int parent_tgid;
	unsigned int tracer_tgid; /* with FZ_STACK_PTRACED */
	unsigned int state;
	unsigned int exit_state;
	unsigned int flags;
	unsigned int bits;  /* FZ_STACK_* */
	unsigned int depth; /* addresses of the stack, innermost first */
};
FZ_ASSERT(sizeof(struct fz_stack_row) == 128, "fz_stack_row layout");
/* ---- the trace (bpf/trace.bpf.c) -------------------------------------------------------------- */

/* fz_trace_event.kind: a bit number of the mask of wanted events, too. */
enum fz_trace_kind {
	FZ_TR_MEMBER = 0,    /* a task that was there at the start; from the iterator only */
	FZ_TR_FREEZE = 1,    /* the cgroup shall freeze; actor = who asked */
	FZ_TR_THAW = 2,      /* the cgroup shall thaw; actor = who asked */
	FZ_TR_REACHED = 3,   /* task is in the refrigerator; since_ns = the request, 0: not told */
	FZ_TR_LEFT = 4,      /* task is out again; since_ns = when it reached it, 0: not told */
	FZ_TR_FROZEN = 5,    /* the kernel calls the cgroup frozen (value 1), or no longer (0) */
	FZ_TR_POPULATED = 6, /* the first task came (value 1), the last one went (0) */
	FZ_TR_MADE = 7,      /* mkdir; actor = who made it */
	FZ_TR_REMOVED = 8,   /* rmdir; actor = who removed it */
	FZ_TR_SIGNAL = 9,    /* signal `value` was sent to task by actor */
	FZ_TR_DELIVER = 10,  /* task takes signal `value` */
	FZ_TR_FORK = 11,     /* task was born; actor = its parent */
	FZ_TR_EXIT = 12,     /* task ends; value = its wait status */
	FZ_TR_MOVED = 13,    /* task was moved into the cgroup; actor = who moved it */
	FZ_TR_KINDS = 14,
};

/* fz_trace_event.flags */
enum {
	FZ_TRF_INHERITED = 1U << 0, /* the request was written to a cgroup above */
	FZ_TRF_KERNEL = 1U << 1,    /* the kernel sent the signal; the actor only ran then */
	FZ_TRF_GROUP = 1U << 2,     /* the signal, or the move, is of the whole process */
	FZ_TRF_INSIDE = 1U << 3,    /* FZ_TR_MEMBER: it is in the refrigerator */
};

struct fz_trace_event {
	unsigned int kind; /* enum fz_trace_kind */
	unsigned int flags;
	unsigned long long time_ns;
	unsigned long long cgroup_id;       /* the cgroup, or the task's */
	unsigned long long actor_cgroup_id; /* 0: no actor */
	unsigned long long since_ns;
	unsigned int value;
	unsigned int result; /* of FZ_TR_SIGNAL: TRACE_SIGNAL_* of include/trace/events/signal.h */
	struct fz_task task;
	struct fz_task actor;
};
FZ_ASSERT(sizeof(struct fz_trace_event) == 112, "fz_trace_event layout");

enum { FZ_TRACE_PATH_LEN = 256 };

/* What the events of a cgroup are: with its path as the kernel has it, "" if it is too long. */
struct fz_trace_cgroup_event {
	struct fz_trace_event event;
	char path[FZ_TRACE_PATH_LEN];
};

/* What fz_trace_drops counts besides the events, which use their own kind as index. */
enum {
	FZ_TRACE_DROP_RECORD = 0, /* no room to remember that a task is in the refrigerator */
};

enum fz_file_kind {
	FZ_FILE_USERFAULTFD = 1,
	FZ_FILE_FUSE = 2, /* /dev/fuse */
};

/* One open file by which its process can hold up others. */
struct fz_open_file {
	unsigned int tgid;
	unsigned int fd;
	unsigned int kind; /* enum fz_file_kind */
	unsigned int reserved;
};
FZ_ASSERT(sizeof(struct fz_open_file) == 16, "fz_open_file layout");

#endif
