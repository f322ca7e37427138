// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#ifndef FREEZERCTL_TESTS_SCRATCH_V1_H
#define FREEZERCTL_TESTS_SCRATCH_V1_H

#include <sys/types.h>

#include <functional>
#include <string>
#include <vector>

#include "tests/support/scratch.h"

namespace test
{

// Where the v1 freezer is mounted. Where it is not, but the kernel has it, it is mounted in a mount
// namespace of this process's own. Empty: the kernel has none that could be mounted.
const std::string &v1_mount();

// A cgroup of the v1 freezer, as Scratch is one of v2. Its tasks are born in a v2 cgroup beside it,
// which outlives it. Its destructor thaws first: a frozen task dies of nothing.
class ScratchV1
{
  public:
    ScratchV1();
    ScratchV1(const ScratchV1 &) = delete;
    ScratchV1 &operator=(const ScratchV1 &) = delete;
    ~ScratchV1();

    [[nodiscard]] const std::string &path() const { return path_; }
    [[nodiscard]] std::string dir(const std::string &below = "") const;
    void mkdir(const std::string &below) const;
    [[nodiscard]] std::string read(const std::string &file, const std::string &below = "") const;
    bool write(const std::string &file, const std::string &content,
               const std::string &below = "") const;
    [[nodiscard]] std::string state(const std::string &below = "") const;
    [[nodiscard]] std::vector<pid_t> tasks(const std::string &below = "") const;

    // The v2 cgroup that the tasks are in.
    Scratch &v2() { return v2_; }
    // Moves a process into this cgroup.
    void adopt(pid_t pid, const std::string &below = "") const;
    pid_t spawn(const std::function<void()> &body, const std::string &below = "");
    pid_t spawn_sleeper(const std::string &below = "");
    pid_t spawn_spinner(Counters &counters, size_t i, const std::string &below = "");

  private:
    Scratch v2_;
    std::string path_;
};

} // namespace test

#endif
