// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// On what it was measured: numbers without it say nothing.
#ifndef FREEZERCTL_BENCH_MACHINE_H
#define FREEZERCTL_BENCH_MACHINE_H

#include <cstdint>
#include <string>

namespace bench
{

struct Machine {
    std::string kernel; // uname: release
    std::string architecture;
    std::string model; // of the CPU
    long cpus = 0;
    std::uint64_t memory_mib = 0;
    bool virtual_machine = false;
    double load = 0;         // average of the last minute: what else ran
    std::string cgroup_mode; // of the machine, before enter_private_view()

    [[nodiscard]] std::string describe() const;
};

Machine describe_machine();

} // namespace bench

#endif
