// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// Why a freeze or a kill hangs: which task, what it waits for, and who can help.
#ifndef FREEZERCTL_USER_WHY_H
#define FREEZERCTL_USER_WHY_H

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "user/cgroup.h"
#include "user/classify.h"
#include "user/holders.h"
#include "user/result.h"

namespace freezer
{

// A task that holds something up, or the one that was asked for.
struct HeldTask {
    std::uint32_t tid = 0;
    std::uint32_t tgid = 0;
    std::string comm;
    std::string cgroup; // path below the mount; empty: not told
    char state_letter = '?';

    Cause cause = Cause::kUnknown;
    Confidence confidence = Confidence::kUnknown;
    std::string symbol;             // the kernel function that told; empty: the state did
    std::vector<std::string> stack; // of a look that told, innermost function first
    std::uint32_t agreeing = 0;     // looks that showed this cause
    std::uint32_t looks = 0;        // looks that showed the task
    std::string file_system;        // by the stack; empty: not told

    bool killed = false;                     // SIGKILL is pending
    bool exiting = false;                    // besides its cause
    bool worker = false;                     // of io_uring
    bool spinning = false;                   // used the CPU for most of the looks' time
    std::optional<std::uint64_t> off_cpu_ns; // did not run for so long
    std::vector<Holder> holders;             // the likeliest first
};

struct WhyReport {
    std::string path; // of the cgroup
    std::string hierarchy;
    std::uint64_t id = 0;
    bool one_task = false; // --pid: `tasks` has that one, and nothing below is told
    enum class Purpose {
        kState,  // what holds it up in the state that it is in
        kFreeze, // what keeps it from being frozen
        kKill,   // what keeps it from being empty
    } purpose = Purpose::kState;

    std::optional<State> state;
    std::optional<std::string> held_by_ancestor;
    std::optional<std::uint64_t> freezing_ns; // since the request, where told
    std::uint64_t members = 0;                // living tasks in it and below
    std::uint64_t frozen = 0;                 // of these, counted as frozen
    std::uint64_t born = 0;                   // tasks that came in while we looked

    std::vector<HeldTask> tasks; // the surest first
    std::uint32_t looks = 0;
    std::uint64_t elapsed_ns = 0;
    bool bpf = false;                 // else from /proc
    std::optional<Error> bpf_error;   // why not
    std::vector<std::string> missing; // what could not be seen, as sentences
};

// The whole answer in one sentence, without a full stop: the state, then the first task and its
// cause. Names are as their processes chose them.
std::string sentence_of(const WhyReport &report);
// "waits for ...", with the file system where it is told.
std::string phrase_of(const HeldTask &task);

class Explainer
{
  public:
    explicit Explainer(bool use_bpf);
    Explainer(Explainer &&) noexcept;
    Explainer &operator=(Explainer &&) noexcept;
    ~Explainer();

    // Looks several times within some milliseconds, because a freeze sets some stragglers spinning
    // (the kernel retries the fault that it interrupted) and one look would miss the cause.
    Result<WhyReport> explain(Cgroup &top, WhyReport::Purpose purpose);
    // One task, whatever it does. kInvalid where there is none.
    Result<WhyReport> explain_task(std::uint32_t tid);

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

} // namespace freezer

#endif
