// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#ifndef FREEZERCTL_TOOLS_MOUNT_SERVER_H
#define FREEZERCTL_TOOLS_MOUNT_SERVER_H

#include <functional>
#include <memory>
#include <string>

#include "tools/freezerctl/mount_files.h"
#include "user/freezer.h"

namespace freezerctl
{

struct ServerOptions {
    std::string point; // an absolute path
    ControlFiles::Options files;
    bool allow_other = false;
    bool has_stderr = false; // for its log; else syslog(3)
    freezer::Config config;
};

// What mountinfo shows.
constexpr const char *kMountType = "fuse.freezerctl";
constexpr const char *kMountSource = "freezerctl";

// Mounts the tree of cgroups below `root` and serves it until it is unmounted, or until SIGINT,
// SIGTERM or SIGHUP comes, on which it unmounts it. Calls `mounted` when clients can use it. An
// Error means that it was never mounted.
freezer::Status serve(const freezer::Cgroup &root, const ServerOptions &options,
                      const std::function<void()> &mounted);

} // namespace freezerctl

#endif
