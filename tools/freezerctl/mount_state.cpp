// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "tools/freezerctl/mount_state.h"

namespace freezerctl
{

Phase phase_of(freezer::State state)
{
    switch (state) {
    case freezer::State::kThawed:
        return Phase::kThawed;
    case freezer::State::kFreezing:
    case freezer::State::kFreezingByParent:
        return Phase::kFreezing;
    case freezer::State::kFrozen:
    case freezer::State::kFrozenByParent:
        return Phase::kFrozen;
    }
    return Phase::kNever;
}

freezer::Result<Phase> phase_of(const freezer::Result<freezer::State> &state)
{
    if (state)
        return phase_of(*state);
    if (state.error().kind == freezer::ErrorKind::kNoSuchCgroup)
        return Phase::kGone;
    return state.error();
}

} // namespace freezerctl
