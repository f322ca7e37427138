// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "tools/freezerctl/mount_signals.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <utility>

namespace freezerctl
{
namespace
{

// For each cgroup: every one of them holds a descriptor for each process.
constexpr size_t kMost = 128;

} // namespace

freezer::Status DeferredSignals::queue(freezer::Cgroup &cgroup, int signal)
{
    auto members = freezer::member_processes(cgroup);
    if (!members)
        return std::move(members).error();
    {
        const std::lock_guard lock(mutex_);
        auto &waiting = by_cgroup_[cgroup.id()];
        // A second one of those that are not real-time counts for nothing, as in the kernel; but
        // who came meanwhile gets it.
        std::erase_if(waiting, [&](const Waiting &other) {
            return other.signal == signal && signal < SIGRTMIN;
        });
        if (waiting.size() >= kMost)
            return freezer::Error::from_errno(EAGAIN, "queue a signal");
        waiting.push_back({signal, std::move(*members)});
    }
    on_queued(cgroup);
    return {};
}

void DeferredSignals::deliver(std::uint64_t cgroup_id)
{
    std::vector<Waiting> all;
    {
        const std::lock_guard lock(mutex_);
        const auto found = by_cgroup_.find(cgroup_id);
        if (found == by_cgroup_.end())
            return;
        all = std::move(found->second);
        by_cgroup_.erase(found);
    }
    for (const Waiting &waiting : all) {
        // One that has ended meanwhile needs none.
        for (const freezer::MemberProcess &process : waiting.processes)
            (void)::syscall(SYS_pidfd_send_signal, process.pidfd.get(), waiting.signal, nullptr, 0);
    }
}

} // namespace freezerctl
