// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#ifndef FREEZERCTL_USER_CGROUP_V2_H
#define FREEZERCTL_USER_CGROUP_V2_H

#include <string>

#include "user/cgroup_directory.h"

namespace freezer
{

// A cgroup of the unified hierarchy (Documentation/admin-guide/cgroup-v2.rst).
class CgroupV2 final : public CgroupDirectory
{
  public:
    // `directory` is open on the cgroup `path` below the mount; ownership passes. `level` as in
    // Cgroup::level().
    static Result<std::unique_ptr<CgroupV2>> open(UniqueFd directory, std::string path,
                                                  std::optional<std::uint32_t> level);

    [[nodiscard]] const char *hierarchy_name() const override { return "v2"; }
    [[nodiscard]] std::uint32_t hierarchy_id() const override { return 0; }
    [[nodiscard]] bool announces() const override { return true; }
    [[nodiscard]] bool signals_wait_for_thaw() const override { return false; }

    bool verdict_takes_tasks() override;
    Result<Reading> read() override;
    Result<bool> self_freezing() override;
    Status request_freeze(bool freeze) override;
    Status kill() override;
    Result<std::vector<int>> headless_processes() override;
    std::optional<std::uint64_t> total_freeze_ns() override;
    Result<int> notify_fd() override;
    [[nodiscard]] std::optional<WatchPath> notify_path() const override;
    std::vector<WatchPath> watch_paths_below() override;

  protected:
    [[nodiscard]] Result<std::unique_ptr<Cgroup>>
    open_child(UniqueFd directory, std::string path,
               std::optional<std::uint32_t> level) const override;

  private:
    // cgroup.freeze: 5.2
    static constexpr Names kNames{"cgroup.threads", "cgroup.freeze", "cgroup.freeze", "1", "0"};

    explicit CgroupV2(Place place);

    // A reading without the request.
    Result<Reading> read_marks();
    Status look_below(Reading &reading);

    // Opened by notify_fd(): an operation reads and writes both, and to open them costs more.
    UniqueFd events_;
    UniqueFd freeze_; // if the caller may read and write it
    std::vector<std::unique_ptr<Cgroup>> watched_below_;
};

} // namespace freezer

#endif
