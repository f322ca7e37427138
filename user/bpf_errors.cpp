// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "user/bpf_errors.h"

#include <unistd.h>

#include <cerrno>

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
    return Error::from_errno(errno_value, what);
}

} // namespace freezer
