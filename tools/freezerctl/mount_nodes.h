// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#ifndef FREEZERCTL_TOOLS_MOUNT_NODES_H
#define FREEZERCTL_TOOLS_MOUNT_NODES_H

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "tools/freezerctl/mount_files.h"
#include "user/cgroup.h"

namespace freezerctl
{

// What the kernel holds a reference to: a cgroup's directory, or a control file in one. By name and
// cgroup id, without a descriptor, so that any number can be known.
struct Node {
    std::uint64_t number = 0;           // fuse_ino_t, and st_ino; never used again
    std::shared_ptr<const Node> parent; // none: the root
    std::string name;
    const ControlFile *file = nullptr; // none: a directory
    std::uint64_t cgroup_id = 0;       // of the directory, or of the one that the file is in
    std::uint64_t lookups = 0;         // of the kernel; guarded by the table
};

// The nodes that the kernel knows, for any thread.
class NodeTable
{
  public:
    // `root` must outlive this.
    explicit NodeTable(const freezer::Cgroup &root);

    // nullptr: the kernel has forgotten it.
    std::shared_ptr<const Node> find(std::uint64_t number) const;
    // The node of an entry, made if there is none yet for this very cgroup; one lookup more.
    std::shared_ptr<const Node> look_up(const std::shared_ptr<const Node> &parent,
                                        const std::string &name, const ControlFile *file,
                                        std::uint64_t cgroup_id);
    void forget(std::uint64_t number, std::uint64_t lookups);

    // Opens the cgroup of a node; an error also when another cgroup has its name now.
    [[nodiscard]] freezer::Result<std::unique_ptr<freezer::Cgroup>>
    cgroup_of(const Node &node) const;

  private:
    const freezer::Cgroup &root_;
    mutable std::mutex mutex_;
    std::uint64_t last_ = 0;
    std::map<std::uint64_t, std::shared_ptr<Node>> nodes_;
    std::map<std::pair<std::uint64_t, std::string>, std::shared_ptr<Node>> by_name_; // and parent
};

} // namespace freezerctl

#endif
