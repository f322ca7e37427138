// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "tests/support/user.h"

#include <grp.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace test
{

bool become(uid_t uid)
{
    return ::setgroups(0, nullptr) == 0 && ::setresgid(uid, uid, uid) == 0 &&
           ::setresuid(uid, uid, uid) == 0;
}

void delegate(const Scratch &scratch, const std::string &below)
{
    give(scratch.dir(below));
    for (const char *const file : {"cgroup.procs", "cgroup.threads", "cgroup.subtree_control"})
        give(scratch.dir(below) + "/" + file);
}

void give(const std::string &path)
{
    if (::chown(path.c_str(), kNobody, kNobody) != 0)
        throw std::system_error(errno, std::generic_category(), path);
}

} // namespace test
