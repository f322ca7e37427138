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
    void keep_below(size_t most) override;
    Result<Reading> read() override;
    Result<bool> self_freezing() override;
    Result<TreeSize> size() override;
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

    // One of those below, open with the file that tells most of it: cgroup.events, or of one that
    // has children itself cgroup.threads.
    struct Member {
        std::unique_ptr<CgroupV2> cgroup;
        bool has_children;
        UniqueFd file;
    };
    // What they come to. Each of the functions that add one adds nothing when they fail.
    struct Below {
        size_t cgroups = 0;
        size_t tasks = 0;
        bool frozen = true;
        std::vector<std::uint64_t> undecided; // as in Reading
    };
    using Add = Status (*)(Below &sum, const Member &member);
    static Status add_marks(Below &sum, const Member &member);
    static Status add_tasks(Below &sum, const Member &member);

    explicit CgroupV2(Place place);

    // Whether it is marked frozen.
    [[nodiscard]] Result<bool> is_flagged() const;
    // All that is below it.
    Result<Below> add_up(Add add);
    // The marks below it, and whether its own tasks are undecided as well.
    Result<Below> look_below();
    // The same of those that are open, if these are all that there are.
    Result<std::optional<Below>> add_up_kept(Add add, std::uint64_t cgroups) const;
    Status add_children_of(CgroupV2 &parent, Add add, Below &sum, bool keep);
    Result<Member> open_member(const std::string &name) const;
    // How many there are below it.
    Result<std::uint64_t> count_below() const;

    // Opened by notify_fd(): an operation reads and writes both, and to open them costs more.
    UniqueFd events_;
    UniqueFd freeze_; // if the caller may read and write it
    std::vector<std::unique_ptr<Cgroup>> watched_below_;
    size_t keep_most_ = 0;
    std::vector<Member> kept_;
};

} // namespace freezer

#endif
