// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// What this machine can do for a freezer, found out by asking the kernel and by trying.
#ifndef FREEZERCTL_USER_DOCTOR_H
#define FREEZERCTL_USER_DOCTOR_H

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace freezer
{

struct Feature {
    enum class State {
        kYes,
        kNo,
        kUnknown, // cannot be found out; `detail` says why
    };
    std::string name; // a stable word, for scripts
    State state = State::kUnknown;
    std::string detail;    // what was found
    std::string needed_by; // what is lost without it
    std::string advice;    // what to do about it; empty: nothing can be done, or need be
    bool essential = false;
};

// "yes", "no", "unknown"; static storage.
const char *to_string(Feature::State state);

// A freeze and a thaw of a task of its own in a cgroup of its own; nanoseconds.
struct SelfTest {
    bool passed = false;
    std::string error; // why not
    std::uint64_t load_ns = 0;
    std::uint64_t freeze_ns = 0;
    std::uint64_t thaw_ns = 0;
    std::string tracking; // "bpf" or "none"
};

struct Diagnosis {
    std::string kernel; // uname: release
    std::string architecture;
    std::string cgroup_mode; // "v2", "hybrid", "v1", "none"
    std::vector<std::string> mounts;
    std::vector<Feature> features;
    SelfTest self_test;

    // Every essential feature is there and the self-test passed.
    [[nodiscard]] bool able() const;
    [[nodiscard]] const Feature *find(std::string_view name) const;
};

// Looks, and runs the self-test: makes a cgroup "freezerctl-doctor-PID" below the mount and removes
// it again. Takes some 100 ms.
Diagnosis diagnose();

// Whether a kernel of this release may be one on which a reader of v1's freezer.state can let a
// frozen task go: those with cff5f49d433f ("cgroup_freezer: cgroup_freezing: Check if not frozen")
// and without its revert 14a67b42cb6f. Only the series of the time can be told from a release.
bool may_release_v1_tasks(std::string_view release);

} // namespace freezer

#endif
