// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "user/bpf_errors.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "user/files.h"

namespace freezer
{

Error bpf_error(int errno_value, const std::string &what)
{
    if (::access("/sys/kernel/btf/vmlinux", R_OK) != 0)
        return Error{ErrorKind::kUnsupported, errno_value,
                     "the kernel has no BTF (/sys/kernel/btf/vmlinux; CONFIG_DEBUG_INFO_BTF)"};
    if (errno_value == EPERM || errno_value == EACCES)
        return Error{ErrorKind::kPermission, errno_value,
                     "no permission to " + what + " (it takes CAP_BPF and CAP_PERFMON, or root)"};
    Error error = Error::from_errno(errno_value, what);
    // Without it the kernel interprets programs, but not those that call functions of their own
    // (7.2, riscv64, where it is off at first).
    const auto jit = read_file_at(AT_FDCWD, "/proc/sys/net/core/bpf_jit_enable");
    if (jit && jit->starts_with("0"))
        error.message += " (the BPF JIT is off: sysctl -w net.core.bpf_jit_enable=1)";
    return error;
}

} // namespace freezer
