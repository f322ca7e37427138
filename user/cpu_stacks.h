// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#ifndef FREEZERCTL_USER_CPU_STACKS_H
#define FREEZERCTL_USER_CPU_STACKS_H

#include <cstdint>
#include <vector>

#include "user/result.h"
#include "user/unique_fd.h"

namespace freezer
{

// Where a task is in the kernel while it runs. Neither /proc nor the BPF iterator can walk the
// stack of a task that is on a CPU; perf's clock interrupts it there.
class CpuStacks
{
  public:
    // Samples the task from now on, each half millisecond that it runs in the kernel.
    static Result<CpuStacks> open(std::uint32_t tid);

    CpuStacks(CpuStacks &&other) noexcept;
    CpuStacks(const CpuStacks &) = delete;
    CpuStacks &operator=(const CpuStacks &) = delete;
    CpuStacks &operator=(CpuStacks &&) = delete;
    ~CpuStacks();

    // The samples since the last call: addresses, innermost first.
    [[nodiscard]] std::vector<std::vector<std::uint64_t>> take();

  private:
    CpuStacks(UniqueFd fd, void *memory) : fd_(std::move(fd)), memory_(memory) {}

    UniqueFd fd_;
    void *memory_;
};

} // namespace freezer

#endif
