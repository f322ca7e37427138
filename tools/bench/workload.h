// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// The tasks that are frozen, the same for every contestant, and the machine around them.
#ifndef FREEZERCTL_BENCH_WORKLOAD_H
#define FREEZERCTL_BENCH_WORKLOAD_H

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/support/scratch.h"
#include "tools/bench/container.h"
#include "user/unique_fd.h"

namespace bench
{

// A mount namespace of its own for this process and all that it runs. cgroup2 alone is on
// /sys/fs/cgroup: crun and runc want it there, and every contestant shall see the same. The bpffs
// on /sys/fs/bpf is a new one: what somebody has attached on this machine is not there and stays as
// it is, and what is pinned here is gone with the last process.
void enter_private_view();

// The sysctls and limits that bound the number of tasks, raised as far as that is allowed and put
// back at the end.
class RaisedLimits
{
  public:
    explicit RaisedLimits(size_t tasks);
    RaisedLimits(const RaisedLimits &) = delete;
    RaisedLimits &operator=(const RaisedLimits &) = delete;
    ~RaisedLimits();

  private:
    struct Saved {
        std::string file;
        std::string value;
    };
    void raise(const std::string &file, const std::string &value);

    std::vector<Saved> saved_;
};

// Tasks in one cgroup or in many. They and the cgroups go with it.
class Workload
{
  public:
    struct Filled {
        size_t tasks = 0;
        std::vector<std::string> cgroups; // to act on; by their paths below the scratch one
    };
    using Filler = std::function<Filled(test::Scratch &)>;
    explicit Workload(const Filler &fill);
    // In a container of that runtime.
    Workload(size_t tasks, const RuntimeProgram &runtime, TaskKind kind);
    Workload(const Workload &) = delete;
    Workload &operator=(const Workload &) = delete;
    ~Workload();

    // Below the mount, and in the file system.
    [[nodiscard]] const std::vector<std::string> &paths() const { return paths_; }
    [[nodiscard]] const std::vector<std::string> &directories() const { return directories_; }
    [[nodiscard]] size_t tasks() const { return tasks_; }
    // NULL: they are plain processes.
    [[nodiscard]] const Container *container() const { return container_ ? &*container_ : nullptr; }

    // What the kernel's files say at this moment. Opened at the start, so that to ask is cheap,
    // unless they are too many.
    [[nodiscard]] bool all_frozen() const;
    // None of the cgroups is there any more.
    [[nodiscard]] bool gone() const;
    // Writes the request, whatever was before, and does not wait.
    void request(bool frozen) const;

  private:
    void open_files(const std::vector<std::string> &below);

    test::Scratch scratch_; // outlives the container
    std::optional<Container> container_;
    size_t tasks_ = 0;
    std::vector<std::string> paths_;
    std::vector<std::string> directories_;
    std::vector<freezer::UniqueFd> events_; // cgroup.events of each; none: they are too many
};

// Threads of a few processes. Fewer than asked for where the machine does not allow as many.
std::unique_ptr<Workload> make_threads(size_t tasks);
// Processes of one thread.
std::unique_ptr<Workload> make_processes(size_t tasks, TaskKind kind);
// As many cgroups, with a process in each.
std::unique_ptr<Workload> make_cgroups(size_t cgroups);
// Processes in the lowest of as many cgroups, each below the one before; to act on is the first.
std::unique_ptr<Workload> make_chain(size_t cgroups, size_t tasks);

// Whether this process may have so many descriptors beside the few that it has in any case.
bool has_room_for(size_t descriptors);

// Whether a control file's text has the words; the file is read from its start, which also takes
// back the notification that it left.
bool says(int fd, const char *words);

} // namespace bench

#endif
