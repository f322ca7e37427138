// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "user/classify.h"

#include <algorithm>
#include <array>

#include "bpf/abi.h"

namespace freezer
{
namespace
{

struct CauseText {
    Cause cause;
    const char *word;
    const char *phrase;
    const char *advice;
};

constexpr std::array kTexts{
    CauseText{Cause::kUnknown, "unknown", "waits in the kernel, for what is not known",
              "the stack below is all that there is to see"},
    CauseText{Cause::kUserfaultfd, "userfaultfd",
              "waits for a page fault that user space serves (userfaultfd)",
              "the process that holds the userfaultfd must serve the page or close it; until then "
              "the kernel retries, which may burn CPU time"},
    CauseText{Cause::kFuse, "fuse", "waits for an answer of a FUSE file system",
              "the file system's server must answer; if it cannot, end the server or abort the "
              "connection (echo 1 > /sys/fs/fuse/connections/N/abort)"},
    CauseText{Cause::kNfs, "nfs", "waits for an NFS server or another RPC server",
              "the server or the network must come back; 'umount -f' of the mount makes its "
              "requests fail"},
    CauseText{Cause::kNetworkFs, "network-fs", "waits for a network file system's server",
              "the server or the network must come back; 'umount -f' of the mount may make its "
              "requests fail"},
    CauseText{Cause::kCoredump, "coredump", "is dumping core",
              "it ends when the dump is written: look at who reads it (kernel.core_pattern)"},
    CauseText{Cause::kLock, "lock", "waits for a lock inside the kernel",
              "another task holds the lock: look for one that waits for a device, a server or "
              "memory, in this cgroup or another"},
    CauseText{Cause::kPageFault, "page-fault", "waits in a page fault",
              "it goes on when the page is there: look at the disk, at swap and at memory limits"},
    CauseText{Cause::kIo, "io", "waits for I/O and cannot be interrupted",
              "the device or its file system must answer: look at the kernel's log for errors"},
    CauseText{Cause::kOnCpu, "on-cpu", "runs without passing a check for signals",
              "it freezes when it leaves the kernel; a long system call or a virtual CPU may keep "
              "it there"},
    CauseText{Cause::kWaitingForCpu, "waiting-for-cpu", "is runnable but gets no CPU",
              "it freezes once it runs: look at cpu.max of its cgroup (throttled) and at the load"},
    CauseText{Cause::kArriving, "just-arrived", "was just forked or moved in",
              "it freezes at its next check for signals; if there are always new ones, something "
              "forks faster than it freezes or moves tasks in"},
    CauseText{Cause::kExiting, "exiting", "is exiting",
              "it holds up the freeze until it is gone; what it waits for is in the stack"},
    CauseText{Cause::kKernelThread, "kernel-thread",
              "is a kernel thread, which never freezes with its cgroup",
              "the cgroup will not read frozen while it is there: end what started it (a virtual "
              "machine, for example) or move it to the root cgroup"},
    CauseText{Cause::kWorker, "worker", "is a kernel worker of its process (io_uring or vhost)",
              "it freezes when the request that it runs is done"},
    CauseText{Cause::kHeldByV1, "held-by-v1", "is held by a v1 freezer cgroup",
              "thaw that one first: a task there can neither reach the v2 freezer nor die"},
    CauseText{Cause::kStopped, "stopped", "is stopped by a signal", ""},
    CauseText{Cause::kTraced, "traced", "is stopped by its tracer", ""},
    CauseText{Cause::kVfork, "vfork", "waits for its vfork child", ""},
    CauseText{Cause::kFrozen, "frozen", "is frozen", ""},
    CauseText{Cause::kSleeping, "sleeping", "sleeps where a signal or a freeze wakes it", ""},
    CauseText{Cause::kZombie, "zombie", "is dead and waits for its parent to reap it",
              "the parent must wait for it (wait(2)); where it does not, end the parent"},
};

const CauseText &text_of(Cause cause)
{
    const auto it = std::find_if(kTexts.begin(), kTexts.end(),
                                 [&](const CauseText &text) { return text.cause == cause; });
    return it != kTexts.end() ? *it : kTexts.front();
}

enum class Match {
    kAnywhere,
    kPrefix, // of a name anywhere in the stack
    kTop,    // the innermost function that is no plumbing
};

struct Rule {
    std::string_view symbol;
    Match match;
    Cause cause;
};

// What a task waits for, by the functions that it waits in; the first rule that matches decides, so
// what serves a fault or a request stands before the lock or page that is waited for on its behalf.
// Where kernels differ, all names are here: 5.10 to 7.3.
constexpr std::array kRules{
    // mm/userfaultfd.c, fs/userfaultfd.c
    Rule{"handle_userfault", Match::kAnywhere, Cause::kUserfaultfd},
    Rule{"userfaultfd_event_wait_completion", Match::kAnywhere, Cause::kUserfaultfd},
    Rule{"dup_userfaultfd_complete", Match::kAnywhere, Cause::kUserfaultfd},
    Rule{"mremap_userfaultfd_complete", Match::kAnywhere, Cause::kUserfaultfd},
    Rule{"userfaultfd_remove", Match::kAnywhere, Cause::kUserfaultfd},
    // fs/fuse/dev.c. A server, which waits in fuse_dev_read() for requests, is none of them.
    Rule{"request_wait_answer", Match::kAnywhere, Cause::kFuse},
    Rule{"__fuse_request_send", Match::kAnywhere, Cause::kFuse},
    Rule{"fuse_simple_request", Match::kAnywhere, Cause::kFuse},
    Rule{"__fuse_simple_request", Match::kAnywhere, Cause::kFuse},
    Rule{"fuse_get_req", Match::kAnywhere, Cause::kFuse},
    Rule{"fuse_wait_aborted", Match::kAnywhere, Cause::kFuse},
    Rule{"fuse_wait_on_page_writeback", Match::kAnywhere, Cause::kFuse},
    Rule{"fuse_wait_on_folio_writeback", Match::kAnywhere, Cause::kFuse},
    Rule{"fuse_set_nowrite", Match::kAnywhere, Cause::kFuse},
    // What waits for a page or a lock of a FUSE file system waits for the server as well.
    Rule{"fuse_file_", Match::kPrefix, Cause::kFuse},
    Rule{"fuse_cache_", Match::kPrefix, Cause::kFuse},
    Rule{"fuse_read", Match::kPrefix, Cause::kFuse},
    Rule{"fuse_write", Match::kPrefix, Cause::kFuse},
    Rule{"fuse_lookup", Match::kPrefix, Cause::kFuse},
    Rule{"fuse_do_", Match::kPrefix, Cause::kFuse},
    Rule{"fuse_fsync", Match::kPrefix, Cause::kFuse},
    Rule{"fuse_flush", Match::kPrefix, Cause::kFuse},
    Rule{"fuse_page_mkwrite", Match::kAnywhere, Cause::kFuse},
    Rule{"virtio_fs_", Match::kPrefix, Cause::kFuse},
    Rule{"rpc_wait_bit_killable", Match::kAnywhere, Cause::kNfs},
    Rule{"rpc_", Match::kPrefix, Cause::kNfs},
    Rule{"xprt_", Match::kPrefix, Cause::kNfs},
    Rule{"nfs_", Match::kPrefix, Cause::kNfs},
    Rule{"nfs3_", Match::kPrefix, Cause::kNfs},
    Rule{"nfs4_", Match::kPrefix, Cause::kNfs},
    Rule{"pnfs_", Match::kPrefix, Cause::kNfs},
    Rule{"nlmclnt_", Match::kPrefix, Cause::kNfs},
    Rule{"cifs_", Match::kPrefix, Cause::kNetworkFs},
    Rule{"smb2_", Match::kPrefix, Cause::kNetworkFs},
    Rule{"ceph_", Match::kPrefix, Cause::kNetworkFs},
    Rule{"afs_", Match::kPrefix, Cause::kNetworkFs},
    Rule{"v9fs_", Match::kPrefix, Cause::kNetworkFs},
    Rule{"p9_client_", Match::kPrefix, Cause::kNetworkFs},
    Rule{"ocfs2_", Match::kPrefix, Cause::kNetworkFs},
    Rule{"gfs2_", Match::kPrefix, Cause::kNetworkFs},
    Rule{"coredump_wait", Match::kAnywhere, Cause::kCoredump},
    Rule{"coredump_task_exit", Match::kAnywhere, Cause::kCoredump},
    Rule{"do_coredump", Match::kAnywhere, Cause::kCoredump},
    Rule{"vfs_coredump", Match::kAnywhere, Cause::kCoredump}, // do_coredump before 6.17
    // kernel/freezer.c: the v1 freezer's refrigerator, and that of a system suspend.
    Rule{"__refrigerator", Match::kTop, Cause::kHeldByV1},
    // Locks: kernel/locking/. Where the waiting functions are inlined the outer ones are seen.
    Rule{"rwsem_down_read_slowpath", Match::kAnywhere, Cause::kLock},
    Rule{"rwsem_down_write_slowpath", Match::kAnywhere, Cause::kLock},
    Rule{"down_read", Match::kTop, Cause::kLock},
    Rule{"down_read_killable", Match::kTop, Cause::kLock},
    Rule{"down_read_interruptible", Match::kTop, Cause::kLock},
    Rule{"down_write", Match::kTop, Cause::kLock},
    Rule{"down_write_killable", Match::kTop, Cause::kLock},
    Rule{"__mutex_lock", Match::kPrefix, Cause::kLock},
    Rule{"mutex_lock", Match::kTop, Cause::kLock},
    Rule{"mutex_lock_killable", Match::kTop, Cause::kLock},
    Rule{"mutex_lock_interruptible", Match::kTop, Cause::kLock},
    Rule{"__ww_mutex_lock", Match::kPrefix, Cause::kLock},
    Rule{"rt_mutex_slowlock", Match::kPrefix, Cause::kLock},
    Rule{"__rt_mutex_slowlock", Match::kPrefix, Cause::kLock},
    Rule{"rtlock_slowlock", Match::kPrefix, Cause::kLock},
    Rule{"percpu_rwsem_wait", Match::kAnywhere, Cause::kLock},
    Rule{"__percpu_down_read", Match::kAnywhere, Cause::kLock},
    Rule{"percpu_down_write", Match::kAnywhere, Cause::kLock},
    Rule{"__down_common", Match::kAnywhere, Cause::kLock},
    Rule{"__down", Match::kTop, Cause::kLock},
    // A folio (a page before 5.16) is locked while it is read or written.
    Rule{"__folio_lock", Match::kPrefix, Cause::kPageFault},
    Rule{"__lock_page", Match::kPrefix, Cause::kPageFault},
    Rule{"migration_entry_wait", Match::kPrefix, Cause::kPageFault},
    Rule{"io_schedule", Match::kPrefix, Cause::kIo},
    Rule{"folio_wait_bit", Match::kPrefix, Cause::kIo},
    Rule{"folio_wait_writeback", Match::kAnywhere, Cause::kIo},
    Rule{"wait_on_page_bit", Match::kPrefix, Cause::kIo},
    Rule{"wait_on_page_writeback", Match::kAnywhere, Cause::kIo},
    Rule{"filemap_fault", Match::kAnywhere, Cause::kPageFault},
    Rule{"do_swap_page", Match::kAnywhere, Cause::kPageFault},
    Rule{"handle_mm_fault", Match::kAnywhere, Cause::kPageFault},
    Rule{"exc_page_fault", Match::kAnywhere, Cause::kPageFault},
    Rule{"do_page_fault", Match::kAnywhere, Cause::kPageFault},
    Rule{"balance_dirty_pages", Match::kPrefix, Cause::kIo},
    Rule{"submit_bio_wait", Match::kAnywhere, Cause::kIo},
    Rule{"blk_execute_rq", Match::kAnywhere, Cause::kIo},
    Rule{"blk_mq_get_tag", Match::kAnywhere, Cause::kIo},
    Rule{"rq_qos_wait", Match::kAnywhere, Cause::kIo},
    Rule{"jbd2_", Match::kPrefix, Cause::kIo},
    Rule{"xlog_", Match::kPrefix, Cause::kIo},
    Rule{"xfs_buf_", Match::kPrefix, Cause::kIo},
    Rule{"btrfs_wait_", Match::kPrefix, Cause::kIo},
    Rule{"__wait_on_buffer", Match::kAnywhere, Cause::kIo},
    Rule{"sync_inodes_sb", Match::kAnywhere, Cause::kIo},
    Rule{"do_exit", Match::kAnywhere, Cause::kExiting},
    Rule{"io_wq_worker", Match::kAnywhere, Cause::kWorker},
    Rule{"io_wqe_worker", Match::kAnywhere, Cause::kWorker}, // before 6.4
    Rule{"io_sq_thread", Match::kAnywhere, Cause::kWorker},
    Rule{"vhost_task_fn", Match::kAnywhere, Cause::kWorker},
    Rule{"vhost_worker", Match::kAnywhere, Cause::kWorker},
    Rule{"ret_from_fork", Match::kTop, Cause::kArriving},
};

// The places where a task waits that the freezer counts as frozen enough, for /proc, which does not
// show that it is counted.
constexpr std::array kFrozenRules{
    Rule{"do_freezer_trap", Match::kTop, Cause::kFrozen},
    Rule{"do_signal_stop", Match::kTop, Cause::kStopped},
    Rule{"ptrace_stop", Match::kTop, Cause::kTraced},
    Rule{"wait_for_vfork_done", Match::kAnywhere, Cause::kVfork},
    Rule{"kernel_clone", Match::kTop, Cause::kVfork},
    Rule{"_do_fork", Match::kTop, Cause::kVfork}, // before 5.10
    // Where the inner function was inlined.
    Rule{"get_signal", Match::kTop, Cause::kFrozen},
};

std::optional<std::string_view> find(Stack stack, const Rule &rule)
{
    for (const std::string_view symbol : stack) {
        if (rule.match == Match::kTop && is_plumbing(symbol))
            continue;
        if (rule.match == Match::kPrefix ? symbol.starts_with(rule.symbol) : symbol == rule.symbol)
            return symbol;
        if (rule.match == Match::kTop)
            return std::nullopt;
    }
    return std::nullopt;
}

template <size_t N> std::optional<Verdict> by_stack(Stack stack, const std::array<Rule, N> &rules)
{
    for (const Rule &rule : rules) {
        if (const auto symbol = find(stack, rule))
            return Verdict{rule.cause, Confidence::kLikely, *symbol};
    }
    return std::nullopt;
}

Verdict sure(Cause cause)
{
    return {cause, Confidence::kSure, {}};
}

// What holds whatever the stack says.
std::optional<Verdict> by_state(const TaskRecord &task)
{
    if (task.exit_state != 0)
        return sure(Cause::kZombie);
    if (task.flags & FZ_PF_KTHREAD)
        return sure(Cause::kKernelThread);
    if (task.state & FZ_TASK_FROZEN)
        return sure(Cause::kHeldByV1);
    if ((task.jobctl & FZ_JOBCTL_TRACED) != 0 || (task.state & FZ_TASK_TRACED) != 0)
        return sure(Cause::kTraced);
    if ((task.jobctl & FZ_JOBCTL_STOPPED) != 0 || (task.state & FZ_TASK_STOPPED) != 0)
        return sure(Cause::kStopped);
    if (!task.frozen)
        return std::nullopt;
    // Counted as frozen, neither stopped nor traced. The trap sleeps interruptibly
    // (do_freezer_trap()), a vfork parent killably (wait_for_vfork_done()).
    return sure(task.state & FZ_TASK_UNINTERRUPTIBLE ? Cause::kVfork : Cause::kFrozen);
}

bool is_vague(Cause cause)
{
    return cause == Cause::kExiting || cause == Cause::kWorker || cause == Cause::kArriving;
}

} // namespace

const char *to_string(Cause cause)
{
    return text_of(cause).word;
}

const char *phrase_of(Cause cause)
{
    return text_of(cause).phrase;
}

const char *advice_for(Cause cause)
{
    return text_of(cause).advice;
}

const char *to_string(Confidence confidence)
{
    switch (confidence) {
    case Confidence::kUnknown:
        return "unknown";
    case Confidence::kLikely:
        return "likely";
    case Confidence::kSure:
        return "sure";
    }
    return "unknown";
}

bool is_plumbing(std::string_view symbol)
{
    static constexpr std::array<std::string_view, 13> kNames{"schedule",
                                                             "__schedule",
                                                             "schedule_preempt_disabled",
                                                             "schedule_timeout",
                                                             "__cond_resched",
                                                             "preempt_schedule",
                                                             "preempt_schedule_common",
                                                             "preempt_schedule_irq",
                                                             "__switch_to",
                                                             "__switch_to_asm",
                                                             "context_switch",
                                                             "irqentry_exit",
                                                             "asm_sysvec_apic_timer_interrupt"};
    return std::find(kNames.begin(), kNames.end(), symbol) != kNames.end();
}

std::string_view file_system_of(Stack stack)
{
    struct Known {
        std::string_view prefix;
        std::string_view name;
    };
    static constexpr std::array kKnown{
        Known{"fuse_", "fuse"},   Known{"nfs", "nfs"},      Known{"ext4_", "ext4"},
        Known{"jbd2_", "ext4"},   Known{"xfs_", "xfs"},     Known{"btrfs_", "btrfs"},
        Known{"f2fs_", "f2fs"},   Known{"cifs_", "cifs"},   Known{"smb2_", "cifs"},
        Known{"ceph_", "ceph"},   Known{"v9fs_", "9p"},     Known{"p9_client_", "9p"},
        Known{"afs_", "afs"},     Known{"zfs_", "zfs"},     Known{"zpl_", "zfs"},
        Known{"ovl_", "overlay"}, Known{"ocfs2_", "ocfs2"}, Known{"gfs2_", "gfs2"},
    };
    for (const std::string_view symbol : stack) {
        for (const Known &known : kKnown) {
            if (symbol.starts_with(known.prefix))
                return known.name;
        }
    }
    return {};
}

std::optional<Cause> cause_of_file_system(std::string_view type)
{
    static constexpr std::array<std::string_view, 8> kNetwork{"cifs", "smb3",  "ceph", "9p",
                                                              "afs",  "ocfs2", "gfs2", "coda"};
    if (type == "fuse" || type == "fuseblk" || type == "virtiofs" || type.starts_with("fuse."))
        return Cause::kFuse;
    if (type == "nfs" || type == "nfs4")
        return Cause::kNfs;
    if (std::find(kNetwork.begin(), kNetwork.end(), type) != kNetwork.end())
        return Cause::kNetworkFs;
    return std::nullopt;
}

char state_letter(const TaskRecord &task)
{
    // fs/proc/array.c, get_task_state().
    if (task.exit_state & 0x10)
        return 'X';
    if (task.exit_state & 0x20)
        return 'Z';
    if ((task.state & 0x402) == 0x402)
        return 'I';
    if (task.state & FZ_TASK_TRACED)
        return 't';
    if (task.state & FZ_TASK_STOPPED)
        return 'T';
    if ((task.state & FZ_TASK_UNINTERRUPTIBLE) != 0 || (task.state & FZ_TASK_FROZEN) != 0)
        return 'D';
    if (task.state & FZ_TASK_INTERRUPTIBLE)
        return 'S';
    return 'R';
}

Verdict classify(const TaskRecord &task)
{
    if (const auto verdict = by_state(task))
        return *verdict;
    if (task.from_proc) {
        if (const auto verdict = by_stack(task.stack, kFrozenRules))
            return *verdict;
    }

    const bool sleeps = task.state != 0 && !task.on_cpu;
    auto told = by_stack(task.stack, kRules);
    // A plain wait for I/O the kernel's own account confirms; what it is for the stack tells
    // better.
    if (task.iowait && sleeps && (!told || is_vague(told->cause) || told->cause == Cause::kIo))
        return {Cause::kIo, Confidence::kSure, told ? told->symbol : std::string_view()};
    // A task that is preempted somewhere in a file system waits for nothing but a CPU: only places
    // where one sleeps tell while it is runnable, and those retry.
    if (told && !is_vague(told->cause) &&
        (sleeps || told->cause == Cause::kUserfaultfd || told->symbol == "request_wait_answer" ||
         told->cause == Cause::kCoredump))
        return *told;
    if (task.flags & FZ_PF_EXITING)
        return {Cause::kExiting, Confidence::kSure, told ? told->symbol : std::string_view()};
    if (!sleeps) {
        if (told && told->cause == Cause::kArriving)
            return *told;
        if (task.on_cpu)
            return sure(Cause::kOnCpu);
        // Without BPF the two cannot be told apart: /proc says "R" of both.
        if (task.from_proc)
            return {Cause::kOnCpu, Confidence::kLikely, {}};
        return sure(Cause::kWaitingForCpu);
    }
    if (task.flags & FZ_PF_IO_WORKER)
        return sure(Cause::kWorker);
    if (told)
        return *told;
    // Uninterruptible or killable sleep for a reason that the table does not know.
    if (task.state & FZ_TASK_UNINTERRUPTIBLE)
        return {};
    return sure(Cause::kSleeping);
}

} // namespace freezer
