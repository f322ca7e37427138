// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "user/members.h"

#include <algorithm>
#include <map>
#include <memory>

#include "user/files.h"
#include "user/proc_tasks.h"

namespace freezer
{
namespace
{

constexpr size_t kLongestCommandLine = 256;

std::string command_line_of(std::uint32_t pid)
{
    std::string text = proc_file(pid, "cmdline");
    while (!text.empty() && text.back() == '\0')
        text.pop_back();
    std::replace(text.begin(), text.end(), '\0', ' ');
    if (text.size() > kLongestCommandLine)
        text.replace(kLongestCommandLine, std::string::npos, "...");
    return text;
}

std::string comm_of_process(std::uint32_t pid)
{
    std::string text = proc_file(pid, "comm");
    if (!text.empty() && text.back() == '\n')
        text.pop_back();
    return text;
}

} // namespace

Members members_of(Cgroup &top, size_t most)
{
    std::map<std::uint32_t, std::string> cgroups; // by process
    std::vector<std::unique_ptr<Cgroup>> storage;
    if (const auto all = walk(top, storage)) {
        for (Cgroup *const cgroup : *all) {
            const auto tasks = cgroup->own_tasks();
            if (!tasks)
                continue; // removed meanwhile
            for (const int tid : *tasks) {
                if (const auto status = read_proc_status(tid, cgroup->hierarchy_id()))
                    cgroups.emplace(status->tgid, cgroup->path());
            }
        }
    }
    Members members;
    members.count = cgroups.size();
    for (const auto &[pid, path] : cgroups) {
        if (members.processes.size() == most)
            break;
        members.processes.push_back({pid, comm_of_process(pid), command_line_of(pid), path});
    }
    return members;
}

} // namespace freezer
