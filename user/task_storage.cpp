// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "user/task_storage.h"

#include <sys/utsname.h>

#include <cstdio>

namespace freezer
{

bool task_storage_is_safe()
{
#if !defined(__x86_64__) && !defined(__aarch64__) && !defined(__s390x__)
    return false; // no compare-and-exchange of two words
#endif
    utsname name{};
    unsigned major = 0;
    unsigned minor = 0;
    if (::uname(&name) != 0 || std::sscanf(name.release, "%u.%u", &major, &minor) != 2)
        return false;
    return major > 6 || (major == 6 && minor >= 4);
}

} // namespace freezer
