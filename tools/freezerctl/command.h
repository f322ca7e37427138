// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#ifndef FREEZERCTL_TOOLS_COMMAND_H
#define FREEZERCTL_TOOLS_COMMAND_H

#include <sys/signalfd.h>
#include <sys/types.h>

#include <csignal>
#include <optional>
#include <string>
#include <vector>

#include "user/result.h"
#include "user/unique_fd.h"

namespace freezerctl
{

struct CommandOptions {
    // Sent to it when this process dies before it; 0: nothing is.
    int death_signal = 0;
    // The v2 cgroup that it is to be in from its first step on, by its open directory; -1: ours.
    int cgroup = -1;
    // Its signal mask; nullopt: as it is when it is prepared.
    std::optional<sigset_t> mask;
};

// A command that waits, already as a process of its own, for the word to start. It is made before
// anything is loaded, so that it inherits nothing of that.
class Command
{
  public:
    static freezer::Result<Command> prepare(const std::vector<std::string> &arguments,
                                            const CommandOptions &options = {});
    Command(Command &&other) noexcept;
    Command &operator=(Command &&other) noexcept;
    // One that was not started goes away by itself.
    ~Command() = default;

    // Runs it. An error says why it cannot be: then finish() gives 127, or 126 as a shell does.
    freezer::Status start();
    // The two halves of that, for one that is frozen and cannot start yet: the word, and what came
    // of it, which waits until something did.
    freezer::Status give_word();
    freezer::Status started();
    // Readable when it has ended.
    [[nodiscard]] int end_fd() const { return pidfd_.get(); }
    [[nodiscard]] pid_t pid() const { return pid_; }
    void send_signal(int number) const;
    // A signal that came to this process, unless the terminal has sent it to the command as well.
    void pass_on(const signalfd_siginfo &info) const;
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
