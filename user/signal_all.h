// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// One signal to every process of a cgroup at one point in time (Freezer::signal()).
#ifndef FREEZERCTL_USER_SIGNAL_ALL_H
#define FREEZERCTL_USER_SIGNAL_ALL_H

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "user/cgroup.h"
#include "user/report.h"
#include "user/result.h"
#include "user/unique_fd.h"

namespace freezer
{

// "9", "KILL", "SIGKILL", "sigkill", "RTMIN+1", "SIGRTMAX-2". Everything else is kInvalid: 0, 65,
// SIGFOO.
Result<int> parse_signal(std::string_view text);
// "SIGKILL", "SIGRTMIN+1".
std::string signal_name(int signal);

// A process of which at least one thread is in the cgroup or below it.
struct MemberProcess {
    std::uint32_t pid = 0;
    std::string comm;
    UniqueFd pidfd;
};

// Each one once. The descriptor is surely that of the process that is in the cgroup: it is opened
// first, and only then the process seen to be there. To be called while nothing can be forked.
Result<std::vector<MemberProcess>> member_processes(Cgroup &top);

// Sends the signal to each process of which a thread is in the cgroup or below it, without freezing
// anything: looks again until no process is new, so that what was forked meanwhile gets it as well.
// What forks faster than that is kSystem, EAGAIN. Returns how many were sent to.
Result<size_t> signal_members(Cgroup &top, int signal);

// What a process is going to do with a signal, as far as its own settings tell before it is sent.
enum class SignalFate {
    kActs,           // it is delivered: kills, stops or calls the handler
    kIgnored,        // by SIG_IGN, or because that is the default action
    kBlocked,        // every thread blocks it
    kAlreadyPending, // one is waiting, and a second one is not queued
};

// The masks of /proc/PID/task/TID/status (proc(5)): of the process, and what all its threads block.
struct SignalMasks {
    std::uint64_t pending = 0; // of the process (ShdPnd)
    std::uint64_t ignored = 0;
    std::uint64_t caught = 0;
    std::uint64_t blocked_by_all = 0;
};
SignalFate fate_of(int signal, const SignalMasks &masks);
// nullopt when the process is gone.
std::optional<SignalMasks> read_signal_masks(std::uint32_t pid);

} // namespace freezer

#endif
