// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// Cgroups by the names of what runs in them. One look at the tree and at files on disk: no daemon
// is asked, and nothing is kept.
#ifndef FREEZERCTL_USER_NAME_SEARCH_H
#define FREEZERCTL_USER_NAME_SEARCH_H

#include <optional>
#include <string>
#include <vector>

#include "user/names.h"
#include "user/resolve.h"
#include "user/result.h"

namespace freezer
{

struct NamedCgroup {
    CgroupName name;
    std::vector<std::string> names; // others of the same
    std::string path;               // below the mount
    HierarchyChoice hierarchy = HierarchyChoice::kV2;
};

// The name that says most: "namespace/name" of a pod, a container's own before its id.
const std::string &best_name(const NamedCgroup &cgroup);

// What the runtimes and the kubelet have on disk.
struct DiskNames {
    std::vector<KnownContainer> containers;
    std::vector<KnownPod> pods;
    std::vector<std::string> unreadable; // directories that are there, but closed to us
};
// `root` is a seam for tests; the user's own are looked for in $XDG_RUNTIME_DIR and $HOME.
DiskNames read_disk_names(const std::string &root = "");

// Every cgroup of the hierarchy that has a name, parents first.
Result<std::vector<NamedCgroup>> named_cgroups(const CgroupMount &mount, const DiskNames &disk);

// The one cgroup that the words mean: of `kind`, if that is given. In the hierarchies of the choice
// one after the other. kNoSuchCgroup where none is called so, which says what was searched;
// kInvalid where several are, which names them.
Result<NamedCgroup> find_by_name(const Resolver &resolver, const std::string &words,
                                 std::optional<NameKind> kind,
                                 HierarchyChoice choice = HierarchyChoice::kAny);

} // namespace freezer

#endif
