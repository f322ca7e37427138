// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "user/result.h"

#include <cerrno>
#include <system_error>

namespace freezer
{

Error Error::from_errno(int errno_value, const std::string &what)
{
    ErrorKind kind = ErrorKind::kSystem;
    switch (errno_value) {
    case EACCES:
    case EPERM:
    case EROFS:
        kind = ErrorKind::kPermission;
        break;
    // Through a descriptor that was opened before its cgroup was removed, kernfs says ENODEV.
    case ENOENT:
    case ENODEV:
        kind = ErrorKind::kNoSuchCgroup;
        break;
    case EOPNOTSUPP:
        kind = ErrorKind::kUnsupported;
        break;
    default:
        break;
    }
    return Error{kind, errno_value, what + ": " + std::generic_category().message(errno_value)};
}

} // namespace freezer
