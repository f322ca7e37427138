// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#ifndef FREEZERCTL_USER_CGROUP_V2_H
#define FREEZERCTL_USER_CGROUP_V2_H

#include <string>

#include "user/cgroup.h"
#include "user/unique_fd.h"

namespace freezer
{

// A cgroup of the unified hierarchy (Documentation/admin-guide/cgroup-v2.rst).
class CgroupV2 final : public Cgroup
{
  public:
    // `directory` is open on the cgroup `path` below the mount; ownership passes. `level` as in
    // Cgroup::level().
    static Result<std::unique_ptr<CgroupV2>> open(UniqueFd directory, std::string path,
                                                  std::optional<std::uint32_t> level);

    [[nodiscard]] const std::string &path() const override { return path_; }
    [[nodiscard]] std::uint64_t id() const override { return id_; }
    [[nodiscard]] const char *hierarchy_name() const override { return "v2"; }
    [[nodiscard]] std::uint32_t hierarchy_id() const override { return 0; }
    [[nodiscard]] std::optional<std::uint32_t> level() const override { return level_; }

    Result<Reading> read() override;
    Status request_freeze(bool freeze) override;
    Status kill() override;
    Status remove() override;
    Result<std::optional<std::string>> freezing_ancestor() override;
    Result<std::vector<std::unique_ptr<Cgroup>>> children() override;
    Result<std::vector<int>> own_tasks() override;
    Result<std::vector<int>> headless_processes() override;
    std::optional<std::uint64_t> total_freeze_ns() override;
    Result<int> notify_fd() override;
    [[nodiscard]] std::vector<WatchPath> watch_paths() const override;
    std::vector<WatchPath> watch_paths_below() override;

  private:
    Result<std::vector<int>> read_ids(const char *file);
    CgroupV2(UniqueFd directory, std::string path, std::uint64_t id,
             std::optional<std::uint32_t> level)
        : directory_(std::move(directory)), path_(std::move(path)), id_(id), level_(level)
    {
    }

    Status look_below(Reading &reading);

    UniqueFd directory_;
    UniqueFd events_; // opened by notify_fd()
    std::vector<std::unique_ptr<Cgroup>> watched_below_;
    std::string path_;
    std::uint64_t id_;
    std::optional<std::uint32_t> level_;
};

} // namespace freezer

#endif
