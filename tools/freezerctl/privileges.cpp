// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "tools/freezerctl/privileges.h"

#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <initializer_list>

namespace freezerctl
{
namespace
{

constexpr std::uint64_t bits(std::initializer_list<int> capabilities)
{
    std::uint64_t mask = 0;
    for (const int capability : capabilities)
        mask |= 1ULL << capability;
    return mask;
}

// A delegated cgroup's files are its user's, not root's.
constexpr std::uint64_t kFiles = bits({CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH});
// SYS_PTRACE: others' wchan and descriptors in /proc; SYS_ADMIN: their kernel stacks, and BPF
// before 5.8; SYSLOG: the kernel's addresses; SYS_RESOURCE: memory for BPF maps before 5.11.
constexpr std::uint64_t kTasks = bits(
    {CAP_KILL, CAP_SYS_PTRACE, CAP_SYS_ADMIN, CAP_SYSLOG, CAP_SYS_RESOURCE, CAP_BPF, CAP_PERFMON});

} // namespace

std::uint64_t capabilities_for(Work work)
{
    return work == Work::kThaw ? kFiles : kFiles | kTasks;
}

void keep_capabilities_for(Work work)
{
    // capget(2): glibc has no functions for it.
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> data{};
    if (::syscall(SYS_capget, &header, data.data()) != 0)
        return;
    for (size_t i = 0; i < data.size(); ++i) {
        const auto kept = static_cast<__u32>(capabilities_for(work) >> (32 * i));
        data[i].effective &= kept;
        data[i].permitted &= kept;
        data[i].inheritable &= kept;
    }
    (void)::syscall(SYS_capset, &header, data.data());
}

} // namespace freezerctl
