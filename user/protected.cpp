// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "user/protected.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <optional>
#include <utility>

#include "user/files.h"
#include "user/names.h"
#include "user/proc_tasks.h"

namespace freezer
{
namespace
{

// Deeper than any real descent; the chain ends at process 1 or at the edge of the pid namespace.
constexpr int kAncestorsMax = 100;

// The names of sshd's unit: Debian's and that of the others.
constexpr const char *kSshUnits[]{"ssh.service", "sshd.service"};

std::optional<int> listening_sshd()
{
    const std::string text = read_text("/run/sshd.pid");
    const auto pid = parse_number(text);
    // The file may be older than a crash of sshd.
    if (!pid || proc_file(static_cast<std::uint32_t>(*pid), "comm") != "sshd\n")
        return std::nullopt;
    return static_cast<int>(*pid);
}

Error refused(const std::string &why)
{
    return Error{ErrorKind::kRefused, 0, why};
}

} // namespace

Protected::Protected(const Resolver &resolver)
{
    add(resolver, 1, "process 1, on which all others depend");
    auto pid = static_cast<std::uint32_t>(::getppid());
    for (int i = 0; i < kAncestorsMax && pid > 1; ++i) {
        const auto stat = parse_proc_stat(proc_file(pid, "stat"));
        add(resolver, static_cast<int>(pid),
            "process " + std::to_string(pid) + " " + (stat ? stat->comm : "") +
                ", which freezerctl was started from");
        pid = stat ? stat->parent : 0;
    }
    if (const auto sshd = listening_sshd())
        add(resolver, *sshd, "sshd, and nobody could log in");
}

void Protected::add(const Resolver &resolver, int pid, std::string what)
{
    const std::string text = proc_file(static_cast<std::uint32_t>(pid), "cgroup");
    const auto path_in = [&](Hierarchy hierarchy) {
        auto path = resolver.path_from(text, pid, hierarchy);
        return path ? std::move(*path) : std::string();
    };
    processes_.push_back(
        {std::move(what), path_in(Hierarchy::kV2), path_in(Hierarchy::kV1Freezer)});
}

Status Protected::check(const Cgroup &cgroup) const
{
    const std::string unit = unit_of(cgroup.path());
    if (unit == "init.scope" || unit == "-.slice")
        return refused(unit + " holds the manager of all other units");
    const auto below = has_directories(cgroup.directory());
    for (const char *const ssh : kSshUnits) {
        struct stat st {
        };
        if (unit == ssh || ((!below || *below) && ::fstatat(cgroup.directory(), ssh, &st, 0) == 0))
            return refused("it holds " + std::string(ssh) + ", and nobody could log in");
    }
    for (const Process &process : processes_) {
        const std::string &path = cgroup.hierarchy_id() == 0 ? process.v2 : process.v1;
        if (!path.empty() && is_at_or_below(path, cgroup.path()))
            return refused("it holds " + process.what);
    }
    return {};
}

} // namespace freezer
