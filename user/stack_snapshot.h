// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#ifndef FREEZERCTL_USER_STACK_SNAPSHOT_H
#define FREEZERCTL_USER_STACK_SNAPSHOT_H

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "bpf/abi.h"
#include "user/cgroup.h"
#include "user/result.h"

namespace freezer
{

// One pass over the tasks of a cgroup and everything below it, by the BPF task iterator,
// with kernel stacks. Zombies included, in the order of their ids. Only tasks of this process's pid
// namespace.
class StackSnapshot
{
  public:
    // `silent`: the cgroup may be one that announces nothing (Cgroup::announces()).
    static Result<StackSnapshot> open(bool silent = false);

    StackSnapshot(StackSnapshot &&) noexcept;
    StackSnapshot &operator=(StackSnapshot &&) noexcept;
    ~StackSnapshot();

    // Whose tasks a pass looks at. Replaces the one before.
    Status watch(const Cgroup &cgroup);
    // At most FZ_CANDIDATES_MAX. Replaces those before.
    Status set_candidates(std::span<const std::uint32_t> tids);

    struct Options {
        bool candidates_only = false; // those of set_candidates() alone, watched or not
        bool frozen_stacks = false;   // else a frozen task has none
    };
    struct Row {
        fz_stack_row row;
        // Into Pass::addresses; `row.depth` of them, innermost first.
        size_t first_address;
    };
    struct Pass {
        std::vector<Row> rows;
        std::vector<std::uint64_t> addresses;
    };
    [[nodiscard]] Result<Pass> take(const Options &options) const;

    // Every userfaultfd and /dev/fuse that is open on the machine.
    [[nodiscard]] Result<std::vector<fz_open_file>> open_files() const;

  private:
    struct Impl;
    explicit StackSnapshot(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

} // namespace freezer

#endif
