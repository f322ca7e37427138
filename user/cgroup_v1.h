// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#ifndef FREEZERCTL_USER_CGROUP_V1_H
#define FREEZERCTL_USER_CGROUP_V1_H

#include <string>

#include "user/cgroup_directory.h"

namespace freezer
{

// A cgroup of the v1 freezer's hierarchy
// (Documentation/admin-guide/cgroup-v1/freezer-subsystem.rst, kernel/cgroup/legacy_freezer.c).
class CgroupV1 final : public CgroupDirectory
{
  public:
    // `hierarchy_id` as in Cgroup::hierarchy_id(), the rest as in CgroupV2::open().
    static Result<std::unique_ptr<CgroupV1>> open(UniqueFd directory, std::string path,
                                                  std::optional<std::uint32_t> level,
                                                  std::uint32_t hierarchy_id);

    [[nodiscard]] const char *hierarchy_name() const override { return "v1"; }
    [[nodiscard]] std::uint32_t hierarchy_id() const override { return hierarchy_id_; }
    [[nodiscard]] bool announces() const override { return false; }
    [[nodiscard]] bool signals_wait_for_thaw() const override { return true; }

    bool verdict_takes_tasks() override { return true; }
    void keep_below(size_t /*most*/) override {} // freezer.state tells of all
    Result<Reading> read() override;
    Result<TreeSize> size() override;
    Status kill() override;
    Result<std::optional<std::string>> freezing_ancestor() override;
    // There is no Cgroup::kill() that could miss one.
    Result<std::vector<int>> headless_processes() override { return std::vector<int>(); }
    std::optional<std::uint64_t> total_freeze_ns() override { return std::nullopt; }
    Result<int> notify_fd() override { return -1; }
    [[nodiscard]] std::optional<WatchPath> notify_path() const override { return std::nullopt; }
    std::vector<WatchPath> watch_paths_below() override { return {}; }

  protected:
    [[nodiscard]] Result<std::unique_ptr<Cgroup>>
    open_child(UniqueFd directory, std::string path,
               std::optional<std::uint32_t> level) const override;

  private:
    // freezer.self_freezing: 3.8
    static constexpr Names kNames{"tasks", "freezer.self_freezing", "freezer.state", "FROZEN",
                                  "THAWED"};

    CgroupV1(Place place, std::uint32_t hierarchy_id);
    Result<bool> is_populated();

    std::uint32_t hierarchy_id_;
};

} // namespace freezer

#endif
