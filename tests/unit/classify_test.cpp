// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// The classifier on recorded tasks: one for each class, and the ways it may be misled. Stacks are
// as 6.18 shows them, or of older kernels where the comment says so.
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "bpf/abi.h"
#include "tools/freezerctl/why_text.h"
#include "user/classify.h"
#include "user/holders.h"
#include "user/symbols.h"
#include "user/why.h"

namespace
{

using freezer::Cause;
using freezer::classify;
using freezer::Confidence;
using freezer::TaskRecord;

constexpr std::uint32_t kRunning = 0;
constexpr std::uint32_t kInterruptible = FZ_TASK_INTERRUPTIBLE;
constexpr std::uint32_t kUninterruptible = FZ_TASK_UNINTERRUPTIBLE;
constexpr std::uint32_t kKillable = 0x102;

struct Recorded {
    std::vector<std::string_view> names;
    TaskRecord task;
    Recorded(std::uint32_t state, std::vector<std::string_view> stack) : names(std::move(stack))
    {
        task.state = state;
        task.stack = names;
    }
    [[nodiscard]] Cause cause() const { return classify(task).cause; }
    [[nodiscard]] Confidence confidence() const { return classify(task).confidence; }
};

TEST(Classify, userfaultfd)
{
    Recorded r(kInterruptible,
               {"handle_userfault", "__handle_mm_fault", "handle_mm_fault", "exc_page_fault",
                "asm_exc_page_fault", "_copy_from_iter", "copy_page_from_iter", "anon_pipe_write",
                "vfs_write", "ksys_write", "do_syscall_64", "entry_SYSCALL_64_after_hwframe"});
    EXPECT_EQ(r.cause(), Cause::kUserfaultfd);
    EXPECT_EQ(r.confidence(), Confidence::kLikely);
    EXPECT_EQ(classify(r.task).symbol, "handle_userfault");
    // The retrying task is mostly seen running.
    r.task.state = kRunning;
    r.task.on_cpu = true;
    EXPECT_EQ(r.cause(), Cause::kUserfaultfd);
}

TEST(Classify, fuse)
{
    EXPECT_EQ(Recorded(kUninterruptible, {"request_wait_answer", "__fuse_simple_request",
                                          "fuse_direct_io", "fuse_file_read_iter", "vfs_read"})
                  .cause(),
              Cause::kFuse);
    // A page of a FUSE file, and its lock.
    EXPECT_EQ(Recorded(kUninterruptible, {"folio_wait_bit_common", "filemap_read",
                                          "fuse_cache_read_iter", "vfs_read"})
                  .cause(),
              Cause::kFuse);
    EXPECT_EQ(Recorded(kUninterruptible,
                       {"rwsem_down_write_slowpath", "down_write", "fuse_cache_write_iter"})
                  .cause(),
              Cause::kFuse);
    // The server waits for work.
    EXPECT_EQ(Recorded(kInterruptible, {"fuse_dev_do_read", "fuse_dev_read", "vfs_read"}).cause(),
              Cause::kSleeping);
    EXPECT_EQ(freezer::cause_of_file_system("fuse.sshfs"), Cause::kFuse);
    EXPECT_EQ(freezer::cause_of_file_system("nfs4"), Cause::kNfs);
    EXPECT_EQ(freezer::cause_of_file_system("ext4"), std::nullopt);
}

TEST(Classify, nfs_and_other_networks)
{
    EXPECT_EQ(Recorded(kKillable, {"rpc_wait_bit_killable", "__rpc_execute", "rpc_execute",
                                   "nfs4_call_sync_sequence", "nfs4_proc_getattr"})
                  .cause(),
              Cause::kNfs);
    EXPECT_EQ(Recorded(kKillable, {"wait_on_commit", "nfs_file_fsync"}).cause(), Cause::kNfs);
    EXPECT_EQ(Recorded(kUninterruptible, {"wait_for_response", "smb2_open_file"}).cause(),
              Cause::kNetworkFs);
    EXPECT_EQ(Recorded(kUninterruptible, {"p9_client_rpc", "v9fs_vfs_lookup"}).cause(),
              Cause::kNetworkFs);
}

TEST(Classify, coredump)
{
    Recorded r(kUninterruptible, {"coredump_wait", "vfs_coredump", "get_signal"});
    EXPECT_EQ(r.cause(), Cause::kCoredump);
    r.names = {"pipe_write", "dump_emit", "elf_core_dump", "do_coredump", "get_signal"}; // 6.1
    r.task.stack = r.names;
    EXPECT_EQ(r.cause(), Cause::kCoredump);
}

TEST(Classify, locks)
{
    EXPECT_EQ(
        Recorded(kUninterruptible, {"rwsem_down_read_slowpath", "down_read", "do_user_addr_fault"})
            .cause(),
        Cause::kLock);
    EXPECT_EQ(Recorded(kUninterruptible, {"__mutex_lock.constprop.0"}).cause(), Cause::kLock);
    EXPECT_EQ(Recorded(kUninterruptible, {"__mutex_lock_slowpath", "mutex_lock"}).cause(),
              Cause::kLock);
    EXPECT_EQ(Recorded(kUninterruptible, {"percpu_rwsem_wait", "__percpu_down_read"}).cause(),
              Cause::kLock);
}

TEST(Classify, page_faults)
{
    EXPECT_EQ(Recorded(kUninterruptible,
                       {"__folio_lock_or_retry", "filemap_fault", "__do_fault", "handle_mm_fault"})
                  .cause(),
              Cause::kPageFault);
    EXPECT_EQ(Recorded(kUninterruptible, {"__lock_page_killable", "filemap_fault"}).cause(),
              Cause::kPageFault); // 5.10
    EXPECT_EQ(Recorded(kUninterruptible, {"do_swap_page", "handle_mm_fault"}).cause(),
              Cause::kPageFault);
}

TEST(Classify, io)
{
    Recorded r(kUninterruptible,
               {"io_schedule", "folio_wait_bit_common", "filemap_read", "ext4_file_read_iter"});
    EXPECT_EQ(r.cause(), Cause::kIo);
    EXPECT_EQ(r.confidence(), Confidence::kLikely);
    EXPECT_EQ(freezer::file_system_of(r.task.stack), "ext4");
    r.task.iowait = true;
    EXPECT_EQ(r.confidence(), Confidence::kSure);
    EXPECT_EQ(
        Recorded(kUninterruptible, {"wait_on_page_bit_common", "generic_file_read_iter"}).cause(),
        Cause::kIo); // 5.10
    EXPECT_EQ(Recorded(kUninterruptible, {"jbd2_log_wait_commit", "ext4_sync_file"}).cause(),
              Cause::kIo);
    // What is waited for by a FUSE request is counted as I/O too, and is FUSE.
    Recorded fuse(kUninterruptible, {"request_wait_answer", "fuse_simple_request"});
    fuse.task.iowait = true;
    EXPECT_EQ(fuse.cause(), Cause::kFuse);
}

TEST(Classify, on_a_cpu_or_waiting_for_one)
{
    Recorded r(kRunning, {});
    r.task.on_cpu = true;
    r.task.on_rq = true;
    EXPECT_EQ(r.cause(), Cause::kOnCpu);
    EXPECT_EQ(r.confidence(), Confidence::kSure);
    r.task.on_cpu = false;
    EXPECT_EQ(r.cause(), Cause::kWaitingForCpu);
    // Preempted within a file system: it waits for a CPU, not for I/O.
    r.names = {"preempt_schedule", "ext4_file_read_iter", "io_schedule"};
    r.task.stack = r.names;
    EXPECT_EQ(r.cause(), Cause::kWaitingForCpu);
    // /proc does not tell the two apart.
    r.task.from_proc = true;
    EXPECT_EQ(r.confidence(), Confidence::kLikely);
}

TEST(Classify, just_forked)
{
    Recorded r(kRunning, {"ret_from_fork", "ret_from_fork_asm"});
    r.task.on_rq = true;
    EXPECT_EQ(r.cause(), Cause::kArriving);
}

TEST(Classify, exiting)
{
    Recorded r(kUninterruptible, {"synchronize_rcu", "exit_files", "do_exit"});
    r.task.flags = FZ_PF_EXITING;
    EXPECT_EQ(r.cause(), Cause::kExiting);
    EXPECT_EQ(r.confidence(), Confidence::kSure);
    // What holds it up matters more.
    r.names = {"request_wait_answer", "fuse_flush", "filp_close", "exit_files", "do_exit"};
    r.task.stack = r.names;
    EXPECT_EQ(r.cause(), Cause::kFuse);
}

TEST(Classify, kernel_threads_and_workers)
{
    Recorded r(0x402, {"kvm_nx_huge_page_recovery_worker", "kthread", "ret_from_fork"});
    r.task.flags = FZ_PF_KTHREAD;
    EXPECT_EQ(r.cause(), Cause::kKernelThread);
    EXPECT_EQ(r.confidence(), Confidence::kSure);
    Recorded worker(kUninterruptible, {"io_wq_worker", "ret_from_fork"});
    EXPECT_EQ(worker.cause(), Cause::kWorker);
    EXPECT_EQ(worker.confidence(), Confidence::kLikely);
    worker.task.flags = FZ_PF_IO_WORKER;
    EXPECT_EQ(worker.confidence(), Confidence::kSure);
    EXPECT_EQ(Recorded(kUninterruptible, {"vhost_worker", "vhost_task_fn"}).cause(),
              Cause::kWorker);
}

TEST(Classify, held_by_v1)
{
    Recorded r(FZ_TASK_FROZEN, {"hrtimer_nanosleep"});
    EXPECT_EQ(r.cause(), Cause::kHeldByV1);
    EXPECT_EQ(r.confidence(), Confidence::kSure);
    // Before 6.1, and without BPF.
    EXPECT_EQ(Recorded(kUninterruptible, {"__refrigerator", "get_signal"}).cause(),
              Cause::kHeldByV1);
}

TEST(Classify, those_that_hold_nothing_up)
{
    Recorded r(kInterruptible, {"do_freezer_trap", "get_signal"});
    r.task.frozen = true;
    r.task.asked = true;
    EXPECT_EQ(r.cause(), Cause::kFrozen);
    r.task.state = kKillable; // wait_for_vfork_done() was inlined
    r.names = {"kernel_clone", "__do_sys_vfork"};
    r.task.stack = r.names;
    EXPECT_EQ(r.cause(), Cause::kVfork);
    r.task.jobctl = FZ_JOBCTL_STOPPED;
    EXPECT_EQ(r.cause(), Cause::kStopped);
    r.task.jobctl = FZ_JOBCTL_TRACED;
    EXPECT_EQ(r.cause(), Cause::kTraced);
    EXPECT_EQ(Recorded(FZ_TASK_STOPPED, {"do_signal_stop"}).cause(), Cause::kStopped);
    EXPECT_EQ(Recorded(FZ_TASK_TRACED, {"ptrace_stop"}).cause(), Cause::kTraced);
    EXPECT_EQ(Recorded(kInterruptible, {"hrtimer_nanosleep"}).cause(), Cause::kSleeping);
}

TEST(Classify, without_bpf_by_the_place)
{
    for (const auto &[place, cause] : std::vector<std::pair<std::string_view, Cause>>{
             {"do_freezer_trap", Cause::kFrozen},
             {"get_signal", Cause::kFrozen},
             {"do_signal_stop", Cause::kStopped},
             {"ptrace_stop", Cause::kTraced},
             {"wait_for_vfork_done", Cause::kVfork},
             {"kernel_clone", Cause::kVfork},
             {"handle_userfault", Cause::kUserfaultfd}}) {
        Recorded r(kInterruptible, {place});
        r.task.from_proc = true;
        EXPECT_EQ(r.cause(), cause) << place;
    }
}

TEST(Classify, zombie)
{
    Recorded r(0x80, {});
    r.task.exit_state = 0x20;
    r.task.flags = FZ_PF_EXITING;
    EXPECT_EQ(r.cause(), Cause::kZombie);
    EXPECT_EQ(freezer::state_letter(r.task), 'Z');
}

TEST(Classify, unknown_invents_nothing)
{
    const Recorded r(kUninterruptible,
                     {"some_driver_wait", "some_driver_ioctl", "__x64_sys_ioctl"});
    EXPECT_EQ(r.cause(), Cause::kUnknown);
    EXPECT_EQ(r.confidence(), Confidence::kUnknown);
    EXPECT_EQ(Recorded(kUninterruptible, {}).cause(), Cause::kUnknown);
}

TEST(Classify, every_class_has_a_word_of_its_own)
{
    std::set<std::string> words;
    for (int i = 0; i <= static_cast<int>(Cause::kZombie); ++i) {
        const auto cause = static_cast<Cause>(i);
        EXPECT_TRUE(words.insert(to_string(cause)).second) << to_string(cause);
        EXPECT_STRNE(phrase_of(cause), "");
    }
}

TEST(KernelSymbols, names_by_address)
{
    auto symbols = freezer::KernelSymbols::parse("ffffffff81000000 T first\n"
                                                 "ffffffff81000100 t second.isra.0\n"
                                                 "ffffffff81000180 D data\n"
                                                 "ffffffffc0000000 t third\t[module]\n"
                                                 "not a line\n");
    ASSERT_TRUE(symbols);
    EXPECT_EQ(symbols->name_of(0xffffffff81000042), "first");
    EXPECT_EQ(symbols->name_of(0xffffffff810001ff), "second");
    EXPECT_EQ(symbols->name_of(0xffffffffc0000010), "third");
    EXPECT_EQ(symbols->name_of(0xffffffffd0000000), "");
    EXPECT_EQ(symbols->name_of(0x1000), "");
    auto hidden = freezer::KernelSymbols::parse("0000000000000000 T first\n");
    ASSERT_FALSE(hidden);
    EXPECT_EQ(hidden.error().kind, freezer::ErrorKind::kPermission);
}

TEST(Holders, mounts_and_fdinfo)
{
    const auto mounts = freezer::parse_mounts(
        "36 25 0:57 / /mnt/a\\040b rw,nosuid shared:1 - fuse.sshfs host:/\\040x rw\nbroken\n");
    ASSERT_EQ(mounts.size(), 1U);
    EXPECT_EQ(mounts[0].id, 36U);
    EXPECT_EQ(mounts[0].minor, 57U);
    EXPECT_EQ(mounts[0].point, "/mnt/a b");
    EXPECT_EQ(mounts[0].type, "fuse.sshfs");
    EXPECT_EQ(mounts[0].source, "host:/ x");
    EXPECT_EQ(freezer::value_after("pos:\t0\nmnt_id:\t36\n", "mnt_id"), 36U);
    EXPECT_EQ(freezer::value_after("mnt_id2:\t36\n", "mnt_id"), std::nullopt);
    EXPECT_EQ(freezer::value_after("mnt_id:\n", "mnt_id"), std::nullopt);
}

TEST(WhyText, wraps_at_blanks)
{
    EXPECT_EQ(freezerctl::wrap("a line that is short", 0, 4), "a line that is short");
    EXPECT_EQ(freezerctl::wrap("twenty columns or so it is", 22, 2),
              "twenty columns or so\n  it is");
    EXPECT_EQ(freezerctl::wrap("word_that_is_longer_than_the_line x", 20, 0),
              "word_that_is_longer_than_the_line\nx");
}

TEST(WhyText, names_are_harmless_and_the_sentence_comes_first)
{
    freezer::WhyReport report;
    report.path = "/demo";
    report.purpose = freezer::WhyReport::Purpose::kFreeze;
    report.state = freezer::State::kFreezing;
    report.freezing_ns = 2'300'000'000;
    report.members = 42;
    freezer::HeldTask task;
    task.tid = 4711;
    task.comm = "a\x1b[2J";
    task.cause = Cause::kUserfaultfd;
    report.tasks.push_back(task);
    const std::string text = freezerctl::describe(report, 0);
    EXPECT_EQ(text.substr(0, text.find('\n')),
              "/demo is FREEZING for 2.30 s: 1 of 42 tasks has not reached the freezer: 4711 "
              "a\\x1b[2J waits for a page fault that user space serves (userfaultfd)");
    EXPECT_EQ(text.find('\x1b'), std::string::npos);
}

} // namespace
