// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#ifndef FREEZERCTL_TOOLS_LIST_H
#define FREEZERCTL_TOOLS_LIST_H

#include "user/cgroup.h"
#include "user/name_search.h"

namespace freezerctl
{

// A line of list.
struct ListEntry {
    freezer::NamedCgroup cgroup;
    freezer::State state = freezer::State::kThawed;
    bool populated = false;
};

} // namespace freezerctl

#endif
