// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "tools/freezerctl/mount_nodes.h"

#include <algorithm>
#include <cerrno>

namespace freezerctl
{

NodeTable::NodeTable(const freezer::Cgroup &root) : root_(root)
{
    auto node = std::make_shared<Node>();
    node->number = ++last_; // FUSE_ROOT_ID
    node->cgroup_id = root.id();
    node->lookups = 1; // the kernel never forgets it
    nodes_.emplace(node->number, std::move(node));
}

std::shared_ptr<const Node> NodeTable::find(std::uint64_t number) const
{
    const std::lock_guard lock(mutex_);
    const auto found = nodes_.find(number);
    return found != nodes_.end() ? found->second : nullptr;
}

std::shared_ptr<const Node> NodeTable::look_up(const std::shared_ptr<const Node> &parent,
                                               const std::string &name, const ControlFile *file,
                                               std::uint64_t cgroup_id)
{
    const std::lock_guard lock(mutex_);
    std::shared_ptr<Node> &named = by_name_[{parent->number, name}];
    // An older cgroup of that name keeps its node until the kernel lets it go.
    if (!named || named->file != file || named->cgroup_id != cgroup_id) {
        auto node = std::make_shared<Node>();
        node->number = ++last_;
        node->parent = parent;
        node->name = name;
        node->file = file;
        node->cgroup_id = cgroup_id;
        nodes_.emplace(node->number, node);
        named = std::move(node);
    }
    ++named->lookups;
    return named;
}

void NodeTable::forget(std::uint64_t number, std::uint64_t lookups)
{
    const std::lock_guard lock(mutex_);
    const auto found = nodes_.find(number);
    if (found == nodes_.end() || !found->second->parent)
        return;
    Node &node = *found->second;
    node.lookups -= std::min(node.lookups, lookups);
    if (node.lookups > 0)
        return;
    const auto named = by_name_.find({node.parent->number, node.name});
    if (named != by_name_.end() && named->second == found->second)
        by_name_.erase(named);
    nodes_.erase(found);
}

freezer::Result<std::unique_ptr<freezer::Cgroup>> NodeTable::cgroup_of(const Node &node) const
{
    std::string path;
    for (const Node *at = &node; at->parent; at = at->parent.get()) {
        if (at->file)
            continue;
        if (!path.empty())
            path.insert(0, "/");
        path.insert(0, at->name);
    }
    auto cgroup = root_.open_below(path);
    if (cgroup && (*cgroup)->id() != node.cgroup_id)
        return freezer::Error::from_errno(ENOENT, "open " + path);
    return cgroup;
}

} // namespace freezerctl
