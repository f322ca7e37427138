// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "tools/freezerctl/mount_client.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>

namespace freezerctl
{
namespace
{

constexpr auto kKeep = static_cast<uid_t>(-1);

// The C library's own functions change every thread (nptl(7)); these only the calling one. The real
// and saved ids stay: they are what lets the thread go back, and what protects it from the client's
// signals meanwhile (kill(2)).
bool set_effective(uid_t uid, gid_t gid, const std::vector<gid_t> &groups)
{
    return ::syscall(SYS_setgroups, groups.size(), groups.data()) == 0 &&
           ::syscall(SYS_setresgid, kKeep, gid, kKeep) == 0 &&
           ::syscall(SYS_setresuid, kKeep, uid, kKeep) == 0;
}

} // namespace

Client Client::of(fuse_req_t request)
{
    const fuse_ctx *const context = fuse_req_ctx(request);
    Client client;
    client.tid = context->pid;
    client.uid = context->uid;
    client.gid = context->gid;
    if (client.uid == 0)
        return client;
    for (;;) {
        const int known = static_cast<int>(client.groups.size());
        const int n = fuse_req_getgroups(request, known, client.groups.data());
        if (n < 0) {
            client.groups.clear(); // it is gone: fewer rights than it had, never more
            return client;
        }
        client.groups.resize(static_cast<size_t>(n));
        if (n <= known)
            return client;
    }
}

ActingAs::ActingAs(const Client &client)
{
    if (::geteuid() != 0) {
        possible_ = client.uid == ::geteuid();
        return;
    }
    if (client.uid == 0) {
        possible_ = true;
        return;
    }
    changed_ = true;
    possible_ = set_effective(client.uid, client.gid, client.groups);
}

ActingAs::~ActingAs()
{
    if (!changed_)
        return;
    // The user first: it brings back the capabilities that the rest takes.
    if (::syscall(SYS_setresuid, kKeep, 0, kKeep) != 0 || !set_effective(0, 0, {}))
        std::abort();
}

} // namespace freezerctl
