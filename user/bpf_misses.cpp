// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "user/bpf_misses.h"

#include <bpf/bpf.h>

namespace freezer
{

std::uint64_t missed_runs(int program_fd)
{
    bpf_prog_info info{};
    std::uint32_t size = sizeof(info);
    if (bpf_obj_get_info_by_fd(program_fd, &info, &size) != 0)
        return 0;
    return info.recursion_misses;
}

} // namespace freezer
