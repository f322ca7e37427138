// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#ifndef FREEZERCTL_USER_BPF_MISSES_H
#define FREEZERCTL_USER_BPF_MISSES_H

#include <cstdint>

namespace freezer
{

// How often the kernel did not run a program at its tracepoint because the CPU was in the
// midst of running it already (__bpf_trace_run(), kernel/trace/bpf_trace.c, since 05b24ff9b2cf
// of 6.0). From 7.0 on a tracepoint's programs can be preempted where the code around the
// tracepoint can, and those of all other tasks of that CPU are skipped meanwhile. 0 where the
// kernel does not count it, or there is no program.
std::uint64_t missed_runs(int program_fd);

} // namespace freezer

#endif
