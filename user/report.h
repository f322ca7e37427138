// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// What an operation returns: values only, for one printer to make text of and another JSON.
#ifndef FREEZERCTL_USER_REPORT_H
#define FREEZERCTL_USER_REPORT_H

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "user/cgroup.h"
#include "user/result.h"
#include "user/why.h"

namespace freezer
{

// Who made a request. Ids are those of the initial pid namespace; `comm` is any bytes.
struct Actor {
    std::uint32_t pid = 0;
    std::uint32_t uid = 0;
    std::string comm;
};

// One task of a target.
struct TaskEntry {
    std::uint32_t tid = 0;
    std::uint32_t tgid = 0;
    std::string comm;
    std::uint64_t cgroup_id = 0;
    bool frozen = false; // counted as frozen by the kernel
    // Why it counts without having gone to the refrigerator; or why it does not count.
    enum class Note {
        kNone,
        kStopped, // by a signal: frozen enough, stays stopped after a thaw
        kTraced,  // stopped by its tracer
        kVfork,   // waits for its vfork child
        kBefore,  // was frozen already, with the target or a cgroup below it
        kKernelThread,
        kZombie,
        kHeldByV1, // in the v1 freezer's refrigerator
    } note = Note::kNone;
    // From the request to its arrival; nullopt for what froze before it, or did not.
    std::optional<std::uint64_t> after_ns;
    char state_letter = '?';
    std::string v1_path;           // kHeldByV1: whose freezer holds it
    std::string wchan;             // where it sleeps in the kernel; empty: not told
    std::uint32_t parent_tgid = 0; // who must reap a zombie
    std::string parent_comm;
};

// "", "stopped", "traced", ...; static storage.
const char *to_string(TaskEntry::Note note);

enum class Verb { kFreeze, kThaw, kKill, kWait };
enum class Goal { kFrozen, kThawed, kEmpty };

// "freeze", ... and "frozen", ...; static storage.
const char *to_string(Verb verb);
const char *to_string(Goal goal);

enum class Outcome {
    kReached,
    kFailed,
    kDeadline,
    kInterrupted,
    kNoSuchCgroup, // removed under way
};
const char *to_string(Outcome outcome);

// What made the last look at the kernel's file happen.
enum class VerdictSource {
    kBefore,     // it was so before anything was done
    kImmediate,  // right after the write
    kRingBuffer, // a BPF event
    kEventsFile, // POLLPRI on the notification file
    kInotify,
    kReread,   // a look after some time, where nothing notifies
    kDeadline, // found only when time was up
};
const char *to_string(VerdictSource source);

// Whence the details of an operation (never its verdict) come.
enum class TrackingSource {
    kOwn,      // BPF programs loaded before the request
    kAttached, // those that were there (user/attached.h)
    kLate,     // the request did not wait for them
    kNone,
};
// "bpf", "attached", "late", "none"; static storage.
const char *to_string(TrackingSource source);

struct Tracking {
    TrackingSource source = TrackingSource::kNone;
    std::optional<Error> error; // why there is none
};

struct TaskTime {
    std::uint32_t tid = 0;
    std::uint32_t tgid = 0;
    std::string comm;
    std::uint64_t after_ns = 0;
};

// One target's result. Times in nanoseconds.
struct TargetReport {
    std::string target; // as the caller named it
    std::string path;   // below the mount
    std::string hierarchy;
    std::uint64_t id = 0;
    Verb verb = Verb::kFreeze;
    Goal goal = Goal::kFrozen;

    Outcome outcome = Outcome::kFailed;
    std::optional<Error> error; // why it failed
    std::optional<Actor> actor; // who came in between
    bool requested = false;     // our write was made
    bool already = false;       // the goal held before, nothing was written
    bool rolled_back = false;   // our write was taken back
    bool killed = false;        // by --on-timeout kill
    bool removed = false;

    std::optional<State> state; // the kernel's, at the end; nullopt: the cgroup is gone
    std::optional<std::string> held_by_ancestor;
    std::vector<std::string> held_by_v1; // v1 cgroups whose freezer holds tasks of this v2 one
    std::uint64_t tasks = 0;             // in it and below
    std::uint64_t cgroups = 0;
    std::uint64_t elapsed_ns = 0;    // from the write to the goal, or to giving up
    std::optional<TaskTime> slowest; // whose arrival completed it; with entries, the last to arrive
    std::optional<std::uint64_t> deaths;           // a kill's, where all were counted
    std::optional<std::vector<TaskEntry>> entries; // when asked for
    std::vector<TaskEntry> stragglers;             // tasks that kept the goal from holding
    std::optional<WhyReport> why;                  // and what kept them

    std::uint64_t dropped_events = 0;
    bool complete = true; // false: details (never the verdict) may be missing
    VerdictSource source = VerdictSource::kImmediate;
    std::vector<std::string> warnings;
};

// A process that a signal was sent to.
struct SignalledProcess {
    std::uint32_t pid = 0;
    std::string comm;
    // How it ended, as far as was waited for it.
    enum class End {
        kPending, // sent; not (yet) taken
        kDead,
        kStopped,
        kHandled, // by a handler of its own
        kIgnored,
        kBlocked,
        kAlreadyPending, // there was one already: it gets one, not two
    } end = End::kPending;
};
// "pending", "dead", ...; static storage.
const char *to_string(SignalledProcess::End end);

// A signal to every process of one target.
struct SignalReport {
    TargetReport freeze; // of the freeze before
    int signal = 0;
    Outcome outcome = Outcome::kFailed;
    std::optional<Error> error;
    std::uint64_t sent = 0; // how many processes got it
    std::vector<SignalledProcess> processes;
    std::optional<State> state; // the kernel's, at the end
    std::uint64_t elapsed_ns = 0;
};

} // namespace freezer

#endif
