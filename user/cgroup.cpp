// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "user/cgroup.h"

#include <utility>

namespace freezer
{

const char *to_string(State state)
{
    switch (state) {
    case State::kThawed:
        return "THAWED";
    case State::kFreezing:
        return "FREEZING";
    case State::kFrozen:
        return "FROZEN";
    case State::kFreezingByParent:
        return "FREEZING_BY_PARENT";
    case State::kFrozenByParent:
        return "FROZEN_BY_PARENT";
    }
    return "UNKNOWN";
}

State state_of(const Reading &reading, bool ancestor_freezing)
{
    if (reading.self_freezing)
        return reading.frozen ? State::kFrozen : State::kFreezing;
    // An ancestor may lie outside the mount, but only an ancestor can freeze what did not ask for
    // it.
    if (reading.frozen)
        return State::kFrozenByParent;
    return ancestor_freezing ? State::kFreezingByParent : State::kThawed;
}

Result<std::vector<Cgroup *>> walk(Cgroup &top, std::vector<std::unique_ptr<Cgroup>> &storage)
{
    std::vector<Cgroup *> all{&top};
    for (size_t i = 0; i < all.size(); ++i) {
        auto children = all[i]->children();
        if (!children) {
            if (i > 0 && children.error().kind == ErrorKind::kNoSuchCgroup)
                continue; // removed under our feet
            return std::move(children).error();
        }
        for (auto &child : *children) {
            all.push_back(child.get());
            storage.push_back(std::move(child));
        }
    }
    return all;
}

} // namespace freezer
