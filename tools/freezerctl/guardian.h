// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#ifndef FREEZERCTL_TOOLS_GUARDIAN_H
#define FREEZERCTL_TOOLS_GUARDIAN_H

#include <sys/types.h>

#include <functional>
#include <optional>
#include <string>

#include "user/result.h"
#include "user/unique_fd.h"

namespace freezerctl
{

// What a guardian is told, as its own process sees it.
class Letters
{
  public:
    explicit Letters(freezer::UniqueFd socket) : socket_(std::move(socket)) {}

    // Readable when there is one, and when whoever wrote is gone. -1 once that was read.
    [[nodiscard]] int fd() const { return socket_.get(); }
    // The next one; waits for it. nullopt: the writer is gone.
    std::optional<std::string> read();

  private:
    freezer::UniqueFd socket_;
};

// A process that sees to it that something is undone even when this one is killed. It is in a
// session of its own, out of the way of every signal that a terminal or a process group gets, and
// holds no descriptor open but those of cgroups. What it lives through: any end of this process.
// What not: a SIGKILL of its own, so also one to the cgroup that both are in.
class Guardian
{
  public:
    // Returns when it stands. `duty` runs in it, with a copy of all that this process has at
    // this moment but other descriptors than those of cgroups, and when it returns the guardian
    // ends.
    static freezer::Result<Guardian> start(const std::function<void(Letters &)> &duty);
    Guardian(Guardian &&other) noexcept;
    Guardian &operator=(Guardian &&other) = delete;
    // As this process's death, and waits for the guardian's end.
    ~Guardian();

    freezer::Status tell(const std::string &text) const;
    // It goes on alone: this process may end now without waiting for it.
    void leave() { pid_ = -1; }

  private:
    Guardian() = default;

    pid_t pid_ = -1;
    freezer::UniqueFd socket_;
};

} // namespace freezerctl

#endif
