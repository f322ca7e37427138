// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "user/report.h"

namespace freezer
{

const char *to_string(TaskEntry::Note note)
{
    switch (note) {
    case TaskEntry::Note::kNone:
        return "";
    case TaskEntry::Note::kStopped:
        return "stopped";
    case TaskEntry::Note::kTraced:
        return "traced";
    case TaskEntry::Note::kVfork:
        return "vfork";
    case TaskEntry::Note::kBefore:
        return "before";
    case TaskEntry::Note::kKernelThread:
        return "kernel-thread";
    case TaskEntry::Note::kZombie:
        return "zombie";
    case TaskEntry::Note::kHeldByV1:
        return "held-by-v1";
    }
    return "";
}

const char *to_string(Verb verb)
{
    switch (verb) {
    case Verb::kFreeze:
        return "freeze";
    case Verb::kThaw:
        return "thaw";
    case Verb::kKill:
        return "kill";
    case Verb::kWait:
        return "wait";
    }
    return "";
}

const char *to_string(Goal goal)
{
    switch (goal) {
    case Goal::kFrozen:
        return "frozen";
    case Goal::kThawed:
        return "thawed";
    case Goal::kEmpty:
        return "empty";
    }
    return "";
}

const char *to_string(Outcome outcome)
{
    switch (outcome) {
    case Outcome::kReached:
        return "reached";
    case Outcome::kFailed:
        return "failed";
    case Outcome::kDeadline:
        return "deadline";
    case Outcome::kInterrupted:
        return "interrupted";
    case Outcome::kNoSuchCgroup:
        return "no-such-cgroup";
    }
    return "";
}

const char *to_string(SignalledProcess::End end)
{
    switch (end) {
    case SignalledProcess::End::kPending:
        return "pending";
    case SignalledProcess::End::kDead:
        return "dead";
    case SignalledProcess::End::kStopped:
        return "stopped";
    case SignalledProcess::End::kHandled:
        return "handled";
    case SignalledProcess::End::kIgnored:
        return "ignored";
    case SignalledProcess::End::kBlocked:
        return "blocked";
    case SignalledProcess::End::kAlreadyPending:
        return "already-pending";
    }
    return "";
}

const char *to_string(TrackingSource source)
{
    switch (source) {
    case TrackingSource::kOwn:
        return "bpf";
    case TrackingSource::kAttached:
        return "attached";
    case TrackingSource::kLate:
        return "late";
    case TrackingSource::kNone:
        return "none";
    }
    return "";
}

const char *to_string(VerdictSource source)
{
    switch (source) {
    case VerdictSource::kBefore:
        return "before";
    case VerdictSource::kImmediate:
        return "immediate";
    case VerdictSource::kRingBuffer:
        return "ring_buffer";
    case VerdictSource::kEventsFile:
        return "cgroup.events";
    case VerdictSource::kInotify:
        return "inotify";
    case VerdictSource::kReread:
        return "reread";
    case VerdictSource::kDeadline:
        return "deadline";
    }
    return "";
}

} // namespace freezer
