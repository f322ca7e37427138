// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#ifndef FREEZERCTL_TOOLS_EXIT_CODE_H
#define FREEZERCTL_TOOLS_EXIT_CODE_H

#include "user/report.h"
#include "user/result.h"

namespace freezerctl
{

// The exit codes of the command (docs/exit-codes.md).
enum ExitCode : int {
    kReached = 0,
    kFailed = 1,
    kUsage = 2,
    kNotInState = 3,
    kNoSuchCgroup = 4,
    kDeadline = 124,
    kNotRun = 125, // a command, because of what had to come before it
    kSignal = 128, // plus the signal's number
};

ExitCode exit_code_of(const freezer::Error &error);
ExitCode exit_code_of(freezer::Outcome outcome);
// kSignal stands for an interrupted target.
ExitCode exit_code_of(const freezer::TargetReport &report);

// For several targets: the first that applies of usage, signal, 1, 124, 4, 3, 0.
ExitCode worse(ExitCode a, ExitCode b);

} // namespace freezerctl

#endif
