// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#ifndef FREEZERCTL_TOOLS_PRIVILEGES_H
#define FREEZERCTL_TOOLS_PRIVILEGES_H

#include <cstdint>

namespace freezerctl
{

// What is still to be done, as far as it takes capabilities.
enum class Work {
    kThaw,    // write to control files of any owner
    kOperate, // and follow tasks, signal them, explain what holds them up
};

// Gives up, for good, every capability that the work does not take. A command that is to have all
// of them must have been started before. An ordinary user has none, and nothing happens.
void keep_capabilities_for(Work work);

// The capabilities of the work, a bit for each (linux/capability.h).
std::uint64_t capabilities_for(Work work);

} // namespace freezerctl

#endif
