// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "tests/support/private_bpffs.h"

#include <sys/mount.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "tests/support/scratch.h"

namespace test
{

PrivateBpffs::PrivateBpffs()
{
    if (!enter_private_mounts() || ::mount("bpf", "/sys/fs/bpf", "bpf", 0, "mode=0700") != 0)
        why_ = std::string("no bpffs of our own: ") + std::strerror(errno);
}

PrivateBpffs::~PrivateBpffs()
{
    if (why_.empty())
        (void)::umount2("/sys/fs/bpf", MNT_DETACH);
}

} // namespace test
