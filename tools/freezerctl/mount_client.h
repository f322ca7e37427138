// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// Who makes a request of the file system, and doing what it asks with no more rights than it has.
#ifndef FREEZERCTL_TOOLS_MOUNT_CLIENT_H
#define FREEZERCTL_TOOLS_MOUNT_CLIENT_H

#include <sys/types.h>

#include <vector>

#define FUSE_USE_VERSION 312
#include <fuse3/fuse_lowlevel.h>

namespace freezerctl
{

struct Client {
    static Client of(fuse_req_t request);

    pid_t tid = 0; // 0: of a pid namespace that cannot be seen from here
    uid_t uid = 0;
    gid_t gid = 0;
    std::vector<gid_t> groups; // left out for root
};

// The calling thread has the client's effective ids and groups, and no capabilities unless the
// client is root, as long as this lives. The kernel then decides as it would for the client, at
// open(2) and, where cgroups look at who opened a file, later.
class ActingAs
{
  public:
    explicit ActingAs(const Client &client);
    ActingAs(const ActingAs &) = delete;
    ActingAs &operator=(const ActingAs &) = delete;
    // Ends the process if it cannot go back.
    ~ActingAs();
    // False: this process may not take the client's ids; nothing is to be done for it.
    [[nodiscard]] bool possible() const { return possible_; }

  private:
    bool changed_ = false;
    bool possible_ = false;
};

} // namespace freezerctl

#endif
