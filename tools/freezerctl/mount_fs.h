// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// The file system: what the kernel asks of it, over a directory tree of cgroups.
#ifndef FREEZERCTL_TOOLS_MOUNT_FS_H
#define FREEZERCTL_TOOLS_MOUNT_FS_H

#include <functional>
#include <memory>
#include <string>

#include "tools/freezerctl/mount_files.h"
#include "tools/freezerctl/mount_nodes.h"
#include "tools/freezerctl/mount_watch.h"

namespace freezerctl
{

class FreezerFs
{
  public:
    // All of it must outlive this.
    FreezerFs(const freezer::Cgroup &root, ControlFiles &files, StateWatcher &watcher)
        : nodes_(root), files_(files), watcher_(watcher)
    {
    }

    // What to give to fuse_session_new(), with this as its userdata.
    static const fuse_lowlevel_ops &operations();
    // Called once, when the kernel has begun to talk to it.
    std::function<void()> on_mounted;

    // The operations, each of which answers its request.
    void lookup(fuse_req_t request, fuse_ino_t parent, const char *name);
    void getattr(fuse_req_t request, fuse_ino_t inode);
    void setattr(fuse_req_t request, fuse_ino_t inode, const struct stat &attr, int to_set);
    void mkdir(fuse_req_t request, fuse_ino_t parent, const char *name, mode_t mode);
    void rmdir(fuse_req_t request, fuse_ino_t parent, const char *name);
    void open(fuse_req_t request, fuse_ino_t inode, fuse_file_info &info);
    void read(fuse_req_t request, size_t size, off_t at, const fuse_file_info &info);
    void write(fuse_req_t request, const char *data, size_t size, const fuse_file_info &info);
    void poll(fuse_req_t request, const fuse_file_info &info, fuse_pollhandle *handle);
    void release(fuse_req_t request, const fuse_file_info &info);
    void opendir(fuse_req_t request, fuse_ino_t inode, fuse_file_info &info);
    static void readdir(fuse_req_t request, size_t size, off_t at, const fuse_file_info &info);
    static void releasedir(fuse_req_t request, const fuse_file_info &info);
    void forget(fuse_ino_t inode, std::uint64_t lookups);

  private:
    // The node and its cgroup, or an errno to answer with.
    int open_node(fuse_ino_t inode, std::shared_ptr<const Node> &node,
                  std::unique_ptr<freezer::Cgroup> &cgroup) const;
    void reply_entry(fuse_req_t request, const std::shared_ptr<const Node> &parent,
                     const std::string &name, const ControlFile *file,
                     const freezer::Cgroup &cgroup);

    NodeTable nodes_;
    ControlFiles &files_;
    StateWatcher &watcher_;
};

} // namespace freezerctl

#endif
