// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#ifndef FREEZERCTL_USER_CGROUP_H
#define FREEZERCTL_USER_CGROUP_H

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "user/result.h"

namespace freezer
{

// What the kernel's files say of a cgroup at one moment.
struct Reading {
    bool populated = false;     // a live task is in it or below it
    bool flagged = false;       // the kernel calls it frozen
    bool frozen = false;        // the verdict: it and everything below it is so
    bool self_freezing = false; // its own request, not an ancestor's
    bool asked = false;         // it or an ancestor asks for a freeze, as far as its files tell
    size_t cgroups = 0;         // v2, flagged: that were looked at, itself and those below it
    // Cgroups, in it or below it, of whose own tasks the files do not tell whether they are frozen
    // (v2: those that hold tasks and children; see CgroupV2::read()).
    std::vector<std::uint64_t> undecided;
};

// How many cgroups it is with all below it, and how many tasks they hold.
struct TreeSize {
    size_t cgroups = 1;
    size_t tasks = 0;
};

enum class State {
    kThawed,
    kFreezing,
    kFrozen,
    kFreezingByParent, // only an ancestor asks for it
    kFrozenByParent,
};

// "THAWED", "FREEZING", "FROZEN", "FREEZING_BY_PARENT", "FROZEN_BY_PARENT"; static storage.
const char *to_string(State state);

// The state that a reading stands for. `ancestor_freezing`: an ancestor's own request is set.
State state_of(const Reading &reading, bool ancestor_freezing);

// A file whose change is to be waited for.
struct WatchPath {
    std::string path; // valid while the Cgroup lives
    std::string name; // for a directory: only this entry; empty for a file
};

// One cgroup, held by its directory: nothing here can hit another cgroup that later takes its name.
// Once the cgroup is removed, every call returns ErrorKind::kNoSuchCgroup.
//
// The hierarchies' differences end here: nothing above this class asks which one it has.
class Cgroup
{
  public:
    Cgroup() = default;
    Cgroup(const Cgroup &) = delete;
    Cgroup &operator=(const Cgroup &) = delete;
    virtual ~Cgroup() = default;

    // Below the mount, "/a/b"; "/" is the mount's own root.
    [[nodiscard]] virtual const std::string &path() const = 0;
    // Open on its directory, for files that nothing here covers. Owned by the cgroup.
    [[nodiscard]] virtual int directory() const = 0;
    // Unique within the hierarchy and never used again: the directory's inode number.
    [[nodiscard]] virtual std::uint64_t id() const = 0;
    // "v1" or "v2"; and the number that /proc/PID/cgroup and the kernel's cgroup_root give it (v2:
    // 0).
    [[nodiscard]] virtual const char *hierarchy_name() const = 0;
    [[nodiscard]] virtual std::uint32_t hierarchy_id() const = 0;
    // The kernel's cgroup.level: how many ancestors it has. nullopt in a cgroup namespace, which
    // hides some of them.
    [[nodiscard]] virtual std::optional<std::uint32_t> level() const = 0;

    // Whether the kernel announces requests and completion: by tracepoints, and on notify_fd().
    // Where it does not, completion is found by following the tasks (user/missing_tasks.h), and a
    // request that is repeated catches tasks that fell asleep after the one before.
    [[nodiscard]] virtual bool announces() const = 0;
    // Whether every signal to a frozen task, SIGKILL too, takes effect only when it is thawed.
    [[nodiscard]] virtual bool signals_wait_for_thaw() const = 0;

    // Whether a look at the tasks belongs to every verdict on a freeze, because the files leave it
    // open: to get ready for it before the request. False also where that cannot be told.
    virtual bool verdict_takes_tasks() = 0;

    // Lets up to so many cgroups below it stay open from one look at them to the next, which then
    // takes a fraction of the time; two descriptors for each. 0, as at first: closes them.
    virtual void keep_below(size_t most) = 0;

    virtual Result<Reading> read() = 0;
    // Its own request alone, which a reading holds, too: what a decision to write rests on.
    virtual Result<bool> self_freezing() = 0;
    // Asks for a freeze or a thaw and returns at once. Only the request changes for sure.
    virtual Status request_freeze(bool freeze) = 0;
    // Kills every process in it and below it with one request, beating forks. kUnsupported where
    // the kernel (v2 before 5.14, v1) or the cgroup (threaded) has no such request.
    virtual Status kill() = 0;
    // Makes a cgroup of that name in it. EEXIST where there is one.
    virtual Result<std::unique_ptr<Cgroup>> make_child(const std::string &name) = 0;
    // Removes the directory. EBUSY while tasks or children are there.
    virtual Status remove() = 0;

    // The nearest ancestor within the mount whose own request is set, by path.
    virtual Result<std::optional<std::string>> freezing_ancestor() = 0;
    // Opens one that lies below, "a/b"; "" is itself. No symbolic link, ".." or other mount is
    // followed.
    [[nodiscard]] virtual Result<std::unique_ptr<Cgroup>>
    open_below(const std::string &relative) const = 0;
    // Opens each child. One that is removed meanwhile is left out.
    virtual Result<std::vector<std::unique_ptr<Cgroup>>> children() = 0;
    // Ids of the tasks (threads) in this very cgroup, in this process's pid namespace.
    virtual Result<std::vector<int>> own_tasks() = 0;
    // One that is removed meanwhile is left out.
    virtual Result<TreeSize> size() = 0;
    // Ids of the processes in this very cgroup whose first thread has ended and others have not:
    // Cgroup::kill() misses those.
    virtual Result<std::vector<int>> headless_processes() = 0;
    // How long it has been frozen or freezing in its life, where the kernel counts it (v2: 6.18).
    virtual std::optional<std::uint64_t> total_freeze_ns() = 0;

    // A descriptor that becomes readable with priority (EPOLLPRI) when a reading may have changed,
    // until the next read(); owned by the cgroup. -1 where the hierarchy has none.
    virtual Result<int> notify_fd() = 0;
    // What tells with inotify what notify_fd() tells, and takes no descriptor; none where there is
    // none.
    [[nodiscard]] virtual std::optional<WatchPath> notify_path() const = 0;
    // What to watch with inotify for the changes that notify_fd() is silent on. Below it, too, when
    // a reading was flagged and yet not frozen.
    [[nodiscard]] virtual std::vector<WatchPath> watch_paths() const = 0;
    virtual std::vector<WatchPath> watch_paths_below() = 0;
};

// The cgroup and all below it, parents first.
Result<std::vector<Cgroup *>> walk(Cgroup &top, std::vector<std::unique_ptr<Cgroup>> &storage);

} // namespace freezer

#endif
