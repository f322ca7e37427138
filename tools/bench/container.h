// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#ifndef FREEZERCTL_BENCH_CONTAINER_H
#define FREEZERCTL_BENCH_CONTAINER_H

#include <cstddef>
#include <filesystem>
#include <string>

#include "tools/bench/process.h"

namespace bench
{

enum class TaskKind { kSleeps, kSpins };

// Where crun, runc and what is inside a container are found.
struct RuntimeProgram {
    std::string name; // "crun", "runc"
    std::string path;
    std::string busybox;
};

// A running container whose tasks are those of busybox. Deleted, with all that its runtime keeps of
// it, at the end.
class Container
{
  public:
    // `cgroup` is a path below the mount that does not exist yet. Returns when all tasks are there.
    // Failure: the runtime cannot run one here.
    Container(const RuntimeProgram &runtime, const std::string &cgroup, size_t tasks,
              TaskKind kind);
    Container(const Container &) = delete;
    Container &operator=(const Container &) = delete;
    ~Container();

    // A command of its runtime on it: the verb with its options before the container's name.
    [[nodiscard]] Arguments command(const Arguments &verb) const;

  private:
    [[nodiscard]] Arguments runtime_command() const;
    void remove() const;

    RuntimeProgram runtime_;
    std::filesystem::path dir_; // bundle and state
    std::string id_;
};

} // namespace bench

#endif
