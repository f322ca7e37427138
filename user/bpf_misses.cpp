// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "user/bpf_misses.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

namespace freezer
{

std::uint64_t missed_runs(const bpf_program *program)
{
    bpf_prog_info info{};
    std::uint32_t size = sizeof(info);
    if (bpf_obj_get_info_by_fd(bpf_program__fd(program), &info, &size) != 0)
        return 0;
    return info.recursion_misses;
}

} // namespace freezer
