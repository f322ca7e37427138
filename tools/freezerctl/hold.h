// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// What freeze does beyond freezing: it runs a command while everything is still and thaws
// afterwards, or thaws after a time, whatever becomes of freezerctl meanwhile.
#ifndef FREEZERCTL_TOOLS_HOLD_H
#define FREEZERCTL_TOOLS_HOLD_H

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "tools/freezerctl/command.h"
#include "tools/freezerctl/guardian.h"
#include "tools/freezerctl/interrupt.h"
#include "tools/freezerctl/session.h"
#include "user/freezer.h"
#include "user/result.h"

namespace freezerctl
{

struct HoldOptions {
    std::vector<std::string> command;        // empty: none
    std::optional<std::uint64_t> thaw_after; // nanoseconds from the end of the freeze on
    std::optional<std::uint64_t> timeout_ns; // of the thaw
};

class Hold
{
  public:
    // Makes the guardian and the command's process ready, before anything is frozen. From here on
    // the end of this process thaws what it has frozen: what asked to freeze before stays so.
    static freezer::Result<Hold> prepare(std::span<freezer::Target> targets,
                                         const HoldOptions &options, const InterruptFd &interrupt);

    // `reports`: of the freeze. Without a command: leaves the guardian to wait for the time.
    freezer::Status leave_to_guardian(std::span<const freezer::TargetReport> reports);
    // Runs the command, then thaws what the freeze has frozen, with its reports given to `show`.
    // Returns the exit code.
    int run_command(Session &session, std::span<const freezer::TargetReport> reports,
                    const InterruptFd &interrupt,
                    const std::function<void(const freezer::TargetReport &)> &show);

  private:
    Hold(const HoldOptions &options, Guardian guardian, std::optional<Command> command)
        : options_(options), guardian_(std::move(guardian)), command_(std::move(command))
    {
    }
    // Tells the guardian which of them are to be thawed. `alone`: this process is going to leave.
    freezer::Status tell(std::span<const freezer::TargetReport> reports, bool alone);
    // Until the command has ended, or the reason why it was not waited for.
    enum class End { kEnded, kTime, kSecondSignal, kFailed };
    End wait(Session &session, const InterruptFd &interrupt);

    HoldOptions options_;
    Guardian guardian_;
    std::optional<Command> command_;
    std::optional<std::uint64_t> thaw_at_ns_;
    bool disturbed_ = false; // somebody else thawed one of them under way
    int signal_ = 0;         // the last one that was passed on
};

} // namespace freezerctl

#endif
