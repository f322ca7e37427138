// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// Why a task is where it is: a pure function of what one look at it showed.
#ifndef FREEZERCTL_USER_CLASSIFY_H
#define FREEZERCTL_USER_CLASSIFY_H

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace freezer
{

enum class Cause {
    kUnknown,
    // It waits inside the kernel.
    kUserfaultfd,
    kFuse,
    kNfs,
    kNetworkFs,
    kCoredump,
    kLock,
    kPageFault,
    kIo,
    // It runs, or would.
    kOnCpu,
    kWaitingForCpu,
    kArriving,
    // It will not freeze, or not as others do.
    kExiting,
    kKernelThread,
    kWorker,
    kHeldByV1,
    // It holds up nothing on v2.
    kStopped,
    kTraced,
    kVfork,
    kFrozen,
    kSleeping,
    kZombie,
};

// A stable word, "userfaultfd"; static storage.
const char *to_string(Cause cause);
// What such a task does, to stand behind its name: "waits for ..."; static storage.
const char *phrase_of(Cause cause);
// One line on who or what can help; static storage, empty for a task that holds up nothing.
const char *advice_for(Cause cause);

enum class Confidence {
    kUnknown,
    kLikely, // read from names of kernel functions
    kSure,   // the kernel's own state says it
};
const char *to_string(Confidence confidence);

using Stack = std::span<const std::string_view>;

// What one look at a task showed; from the BPF iterator or from /proc.
struct TaskRecord {
    std::uint32_t tid = 0;
    std::uint32_t tgid = 0;
    std::uint32_t parent_tid = 0;
    std::uint32_t parent_tgid = 0;
    std::uint32_t tracer_tgid = 0; // 0: none
    std::string comm;
    std::uint64_t cgroup_id = 0;
    std::uint64_t start_ns = 0;
    std::uint64_t cpu_ns = 0;

    // The kernel's, as in bpf/abi.h. From /proc: the letter's bits, and no jobctl.
    std::uint32_t state = 0;
    std::uint32_t exit_state = 0;
    std::uint32_t flags = 0;
    std::uint64_t jobctl = 0;
    bool frozen = false;      // counted as frozen by its v2 cgroup
    bool asked = false;       // its v2 cgroup asks it to freeze
    bool vfork_child = false; // its parent still waits for it
    bool on_cpu = false;
    bool on_rq = false;  // runnable
    bool iowait = false; // by the kernel's account
    bool from_proc = false;
    std::optional<std::uint64_t> off_cpu_ns; // at most so long; nullopt: not told
    std::optional<std::uint64_t> queued_ns;  // waits for a CPU since

    // Names of kernel functions, innermost first; owned by whoever took the look. Empty: none could
    // be taken.
    Stack stack;
};

struct Verdict {
    Cause cause = Cause::kUnknown;
    Confidence confidence = Confidence::kUnknown;
    std::string_view symbol; // the function that told; empty: the state did
};

Verdict classify(const TaskRecord &task);

// Kernel functions that only say where a task was, not why: entry code, the scheduler. For a look
// at the stack's interesting end.
bool is_plumbing(std::string_view symbol);

// The file system that the stack leads through ("ext4"), by its functions' names; empty: not told.
std::string_view file_system_of(Stack stack);

// What a wait for a file of a file system of this type (as in mountinfo) is: kFuse, kNfs,
// kNetworkFs; nullopt for one that no other process or machine serves.
std::optional<Cause> cause_of_file_system(std::string_view type);

// The letter that /proc/PID/stat would show ("R", "S", "D", "T", "t", "Z", "X", "I").
char state_letter(const TaskRecord &task);

} // namespace freezer

#endif
