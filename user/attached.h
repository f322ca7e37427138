// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// The attached tracker: loaded once, pinned in bpffs, and used by every process of its owner that
// comes later, several at a time. What they save is loading and attaching (100 ms), and detaching,
// after which the next attaching waits for the kernel's RCU (12-14 ms).
#ifndef FREEZERCTL_USER_ATTACHED_H
#define FREEZERCTL_USER_ATTACHED_H

#include <cstdint>
#include <string>

#include "user/pins.h"
#include "user/result.h"

namespace freezer
{

// Room for a thousand events. The kernel enters every page of a ring buffer twice into the memory
// of each command that uses it, which is to be quick; only --tasks sends more than a few.
constexpr std::uint32_t kAttachedRingBytes = 64 * 1024;

struct AttachResult {
    std::string path;          // the directory of the pins
    bool already = false;      // it was there
    std::uint32_t removed = 0; // trackers of other builds
    bool mounted = false;      // bpffs had to be
};

// Attaches the tracker of this build, and then removes those of others: their users keep what they
// have open. All or nothing. Needs what loading needs, and to write to /sys/fs/bpf, where bpffs is
// mounted if it is not.
Result<AttachResult> attach_tracker(std::uint32_t ring_bytes);

// Removes every attached tracker; returns how many there were. Who uses one keeps it to the end.
Result<std::uint32_t> detach_trackers();

// The one that attach_tracker() of the same build left. ENOENT: there is none; EBUSY: as many
// processes as it has place for use it.
Result<PinnedTracker> open_attached_tracker();

} // namespace freezer

#endif
