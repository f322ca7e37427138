// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "user/cpu_stacks.h"

#include <linux/perf_event.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace freezer
{
namespace
{

constexpr size_t kDataPages = 8; // a power of two; a sample takes some 300 bytes
constexpr std::uint64_t kPeriodNs = 500'000;

size_t page_size()
{
    static const auto size = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
    return size;
}

} // namespace

Result<CpuStacks> CpuStacks::open(std::uint32_t tid)
{
    perf_event_attr attr{};
    attr.size = sizeof(attr);
    attr.type = PERF_TYPE_SOFTWARE; // virtual machines have no other clock
    attr.config = PERF_COUNT_SW_CPU_CLOCK;
    attr.sample_period = kPeriodNs;
    attr.sample_type = PERF_SAMPLE_CALLCHAIN;
    attr.exclude_user = 1;
    attr.exclude_callchain_user = 1;
    UniqueFd fd(static_cast<int>(::syscall(SYS_perf_event_open, &attr, static_cast<pid_t>(tid), -1,
                                           -1, PERF_FLAG_FD_CLOEXEC)));
    if (!fd)
        return Error::from_errno(errno, "sample a running task");
    void *const memory = ::mmap(nullptr, (1 + kDataPages) * page_size(), PROT_READ | PROT_WRITE,
                                MAP_SHARED, fd.get(), 0);
    if (memory == MAP_FAILED)
        return Error::from_errno(errno, "map the samples of a running task");
    return CpuStacks(std::move(fd), memory);
}

CpuStacks::CpuStacks(CpuStacks &&other) noexcept
    : fd_(std::move(other.fd_)), memory_(std::exchange(other.memory_, nullptr))
{
}

CpuStacks::~CpuStacks()
{
    if (memory_)
        ::munmap(memory_, (1 + kDataPages) * page_size());
}

std::vector<std::vector<std::uint64_t>> CpuStacks::take()
{
    std::vector<std::vector<std::uint64_t>> stacks;
    auto *const page = static_cast<perf_event_mmap_page *>(memory_);
    const char *const data = static_cast<const char *>(memory_) + page_size();
    const size_t size = kDataPages * page_size();
    // Pairs with the kernel's barriers, see include/uapi/linux/perf_event.h.
    const std::uint64_t head = __atomic_load_n(&page->data_head, __ATOMIC_ACQUIRE);
    std::uint64_t tail = page->data_tail;
    const auto copy = [&](std::uint64_t from, void *to, size_t length) {
        for (size_t i = 0; i < length; ++i) // a record may go round the end
            static_cast<char *>(to)[i] = data[(from + i) % size];
    };
    while (tail < head) {
        perf_event_header header{};
        copy(tail, &header, sizeof(header));
        if (header.size < sizeof(header))
            break;
        std::uint64_t count = 0;
        if (header.type == PERF_RECORD_SAMPLE && header.size >= sizeof(header) + sizeof(count)) {
            copy(tail + sizeof(header), &count, sizeof(count));
            std::vector<std::uint64_t> stack;
            for (std::uint64_t i = 0; i < count; ++i) {
                std::uint64_t address = 0;
                const std::uint64_t at = sizeof(header) + sizeof(count) + i * sizeof(address);
                if (at + sizeof(address) > header.size)
                    break;
                copy(tail + at, &address, sizeof(address));
                if (address < static_cast<std::uint64_t>(PERF_CONTEXT_MAX)) // else a marker
                    stack.push_back(address);
            }
            if (!stack.empty())
                stacks.push_back(std::move(stack));
        }
        tail += header.size;
    }
    __atomic_store_n(&page->data_tail, tail, __ATOMIC_RELEASE);
    return stacks;
}

} // namespace freezer
