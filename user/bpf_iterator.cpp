// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "user/bpf_iterator.h"

#include <bpf/bpf.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

#include "user/unique_fd.h"

namespace freezer
{

Status run_iterator(int link_fd, const std::string &name,
                    const std::function<size_t(std::span<const char>)> &take)
{
    // One read gives at most what the kernel collects: 8 pages (kernel/bpf/bpf_iter.c).
    constexpr size_t kChunk = 256UL * 1024;

    const UniqueFd fd(bpf_iter_create(link_fd));
    if (!fd)
        return Error::from_errno(errno, "run the BPF " + name);
    const auto chunk = std::make_unique_for_overwrite<char[]>(kChunk);
    size_t filled = 0;
    for (;;) {
        const ssize_t n = ::read(fd.get(), chunk.get() + filled, kChunk - filled);
        if (n < 0) {
            const int error = errno;
            if (error == EINTR || error == EAGAIN)
                continue; // EAGAIN: the kernel paused a long pass over tasks that are not ours
            return Error::from_errno(error, "read the BPF " + name);
        }
        if (n == 0)
            return {};
        filled += static_cast<size_t>(n);
        const size_t taken = take({chunk.get(), filled});
        std::memmove(chunk.get(), chunk.get() + taken, filled - taken);
        filled -= taken;
    }
}

} // namespace freezer
