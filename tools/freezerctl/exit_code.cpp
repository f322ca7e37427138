// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "tools/freezerctl/exit_code.h"

#include <algorithm>
#include <array>

namespace freezerctl
{

ExitCode exit_code_of(const freezer::Error &error)
{
    switch (error.kind) {
    case freezer::ErrorKind::kInvalid:
        return kUsage;
    case freezer::ErrorKind::kNoSuchCgroup:
        return kNoSuchCgroup;
    case freezer::ErrorKind::kSystem:
    case freezer::ErrorKind::kRefused:
    case freezer::ErrorKind::kPermission:
    case freezer::ErrorKind::kUnsupported:
        return kFailed;
    }
    return kFailed;
}

ExitCode exit_code_of(const freezer::TargetReport &report)
{
    return exit_code_of(report.outcome);
}

ExitCode exit_code_of(freezer::Outcome outcome)
{
    switch (outcome) {
    case freezer::Outcome::kReached:
        return kReached;
    case freezer::Outcome::kFailed:
        return kFailed;
    case freezer::Outcome::kDeadline:
        return kDeadline;
    case freezer::Outcome::kInterrupted:
        return kSignal;
    case freezer::Outcome::kNoSuchCgroup:
        return kNoSuchCgroup;
    }
    return kFailed;
}

ExitCode worse(ExitCode a, ExitCode b)
{
    static constexpr std::array kOrder{kUsage,        kSignal,     kFailed, kDeadline,
                                       kNoSuchCgroup, kNotInState, kReached};
    return std::find(kOrder.begin(), kOrder.end(), a) < std::find(kOrder.begin(), kOrder.end(), b)
               ? a
               : b;
}

} // namespace freezerctl
