// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "tools/bench/machine.h"

#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "tools/bench/process.h"
#include "user/files.h"
#include "user/resolve.h"

namespace bench
{
namespace
{

// The value of the first line "key : value" of /proc/cpuinfo; "" if there is none.
std::string cpu_info(const std::string &text, std::string_view key)
{
    for (const std::string_view line : freezer::split_lines(text)) {
        const size_t colon = line.find(": ");
        if (line.starts_with(key) && colon != std::string_view::npos)
            return std::string(line.substr(colon + 2));
    }
    return "";
}

} // namespace

std::string Machine::describe() const
{
    std::array<char, 32> load_text{};
    std::snprintf(load_text.data(), load_text.size(), "%.2f", load);
    return "Linux " + kernel + " " + architecture + ", " + std::to_string(cpus) +
           (virtual_machine ? " virtual" : "") + " CPU" + (cpus == 1 ? "" : "s") + " (" + model +
           "), " + std::to_string(memory_mib) + " MiB, cgroups: " + cgroup_mode +
           ", load average before: " + load_text.data();
}

Machine describe_machine()
{
    Machine machine;
    utsname name{};
    if (::uname(&name) == 0) {
        machine.kernel = name.release;
        machine.architecture = name.machine;
    }
    const std::string info = freezer::read_text("/proc/cpuinfo");
    machine.model = cpu_info(info, "model name");
    if (machine.model.empty())
        machine.model = "model not told";
    const std::string flags = cpu_info(info, "flags");
    for (const std::string_view flag : freezer::split_words(flags))
        machine.virtual_machine |= flag == "hypervisor";
    machine.cpus = ::sysconf(_SC_NPROCESSORS_ONLN);
    struct sysinfo memory {
    };
    if (::sysinfo(&memory) == 0)
        machine.memory_mib = memory.totalram / 1024 * memory.mem_unit / 1024;
    if (::getloadavg(&machine.load, 1) != 1)
        machine.load = -1;
    const auto resolver = need(freezer::Resolver::open());
    machine.cgroup_mode = resolver.is_hybrid() ? "hybrid" : "v2";
    return machine;
}

} // namespace bench
