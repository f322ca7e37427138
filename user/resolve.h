// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#ifndef FREEZERCTL_USER_RESOLVE_H
#define FREEZERCTL_USER_RESOLVE_H

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "user/cgroup.h"
#include "user/mounts.h"
#include "user/result.h"
#include "user/unique_fd.h"

namespace freezer
{

// Which hierarchy a name is to be looked up in.
enum class HierarchyChoice {
    kAny, // v2, or the v1 freezer's where v2 cannot do it
    kV2,
    kV1,
};

// Finds cgroups by what a user calls them.
class Resolver
{
  public:
    // Reads the mounts. kUnsupported where neither cgroup2 nor the v1 freezer is mounted.
    static Result<Resolver> open();

    // `text` is a path below the mount ("/a/b" or "a/b") or an absolute path in the file system
    // that leads to a directory of cgroup2 or the v1 freezer. A path with "..", or one that leaves
    // the mount by a symbolic link, is refused.
    [[nodiscard]] Result<std::unique_ptr<Cgroup>>
    by_path(const std::string &text, HierarchyChoice choice = HierarchyChoice::kAny) const;
    // The cgroup of a process. kAny: the v1 one if the v2 one is the root, which cannot be frozen.
    [[nodiscard]] Result<std::unique_ptr<Cgroup>>
    by_pid(int pid, HierarchyChoice choice = HierarchyChoice::kAny) const;
    // The first choice of kAny.
    [[nodiscard]] const CgroupMount &mount() const { return v2_ ? *v2_ : *v1_; }
    // Where cgroups are to be found: v2 first, then the v1 freezer's.
    [[nodiscard]] std::vector<CgroupMount> mounts() const;
    // Whether a v1 freezer is mounted.
    [[nodiscard]] bool has_v1() const { return v1_.has_value(); }
    // Whether kAny has two hierarchies to choose from.
    [[nodiscard]] bool is_hybrid() const { return v2_ && v1_; }
    // The roots of all that is mounted, v2 first: places to walk from, not cgroups that can be
    // frozen.
    [[nodiscard]] Result<std::vector<std::unique_ptr<Cgroup>>> roots() const;
    // Whether any v1 cgroup that this process can see asks to freeze. Cheap where there is no v1.
    [[nodiscard]] bool any_v1_request() const;
    // The path of a process below the mount of kV2 or of kV1Freezer, from its /proc/PID/cgroup.
    [[nodiscard]] Result<std::string> path_from(std::string_view proc_cgroup, int pid,
                                                Hierarchy hierarchy) const;
    // The path of a task's v1 freezer cgroup, by the id it has here; "" if it cannot be told.
    [[nodiscard]] std::string v1_path_of(std::uint32_t tid) const;

    // The ids of the cgroups that hold the calling process, at this moment, in the hierarchy of
    // `like`.
    [[nodiscard]] std::vector<std::uint64_t> own_cgroups(const Cgroup &like) const;
    // kRefused when freezing or killing the cgroup would hit the caller or the whole machine: it is
    // the root, or one of those that own_cgroups() found.
    [[nodiscard]] Status check_harmless(const Cgroup &cgroup,
                                        const std::vector<std::uint64_t> &own) const;

  private:
    explicit Resolver(std::vector<CgroupMount> all);
    // The mount that a choice names, or the error that there is none.
    [[nodiscard]] Result<const CgroupMount *> mount_for(HierarchyChoice choice) const;
    [[nodiscard]] const CgroupMount *mount_of(const Cgroup &cgroup) const;
    [[nodiscard]] Result<std::unique_ptr<Cgroup>> open_below(const CgroupMount &mount,
                                                             const std::string &path) const;
    [[nodiscard]] Result<std::unique_ptr<Cgroup>> by_pid_in(const CgroupMount &mount,
                                                            int pid) const;
    [[nodiscard]] Error not_usable(const CgroupMount &mount) const;

    std::vector<CgroupMount> all_mounts_;
    bool knows_levels_ = false; // not in a cgroup namespace, which hides what is above its root
    std::optional<CgroupMount> v2_;
    std::optional<CgroupMount> v1_;                     // the freezer's
    std::uint32_t v1_hierarchy_ = 0;                    // its number
    std::map<std::string, UniqueFd, std::less<>> tops_; // open on those two, by mount point
};

// "/a/b" from "a//b/./": one leading slash, no empty or "." parts. kInvalid for "" and for "..".
Result<std::string> normalize_path(const std::string &text);

// The path in the line of a hierarchy (v2: 0) of a text of the form of /proc/PID/cgroup
// (cgroups(7)), without the " (deleted)" that a removed cgroup has. nullopt where there is no such
// line.
std::optional<std::string> parse_proc_cgroup(std::string_view text, std::uint32_t hierarchy = 0);

// The number of the hierarchy that has the v1 controller, from a text of the same form.
std::optional<std::uint32_t> parse_v1_hierarchy(std::string_view text, std::string_view controller);

} // namespace freezer

#endif
