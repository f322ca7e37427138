// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#ifndef FREEZERCTL_TOOLS_COMMAND_H
#define FREEZERCTL_TOOLS_COMMAND_H

#include <sys/types.h>

#include <csignal>
#include <string>
#include <vector>

#include "user/result.h"
#include "user/unique_fd.h"

namespace freezerctl
{

// A command that waits, already as a process of its own, for the word to start. It is made before
// signals are blocked and before anything is loaded, so that it inherits nothing of either.
class Command
{
  public:
    static freezer::Result<Command> prepare(const std::vector<std::string> &arguments);
    Command(Command &&other) noexcept = default;
    Command &operator=(Command &&other) noexcept = default;
    // One that was not started goes away by itself.
    ~Command() = default;

    // Runs it. An error says why it cannot be: then finish() gives 127, or 126 as a shell does.
    freezer::Status start();
    // Readable when it has ended.
    [[nodiscard]] int end_fd() const { return pidfd_.get(); }
    void send_signal(int number) const;
    // Waits for its end: its exit code, or 128 and the number of the signal that killed it.
    [[nodiscard]] int finish() const;

  private:
    Command() = default;

    pid_t pid_ = -1;
    freezer::UniqueFd pidfd_;
    freezer::UniqueFd go_;     // closed without a byte: it must not run
    freezer::UniqueFd failed_; // errno of execvp(3), or nothing
};

} // namespace freezerctl

#endif
