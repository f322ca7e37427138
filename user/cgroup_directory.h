// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#ifndef FREEZERCTL_USER_CGROUP_DIRECTORY_H
#define FREEZERCTL_USER_CGROUP_DIRECTORY_H

#include <string>
#include <string_view>
#include <utility>

#include "user/cgroup.h"
#include "user/unique_fd.h"

namespace freezer
{

// What the cgroups of both hierarchies have in common: a directory of kernfs with control files.
class CgroupDirectory : public Cgroup
{
  public:
    [[nodiscard]] const std::string &path() const override { return path_; }
    [[nodiscard]] int directory() const override { return directory_.get(); }
    [[nodiscard]] std::uint64_t id() const override { return id_; }
    [[nodiscard]] std::optional<std::uint32_t> level() const override { return level_; }

    Result<bool> self_freezing() override;
    Status request_freeze(bool freeze) override;
    Result<std::unique_ptr<Cgroup>> make_child(const std::string &name) override;
    Status remove() override;
    [[nodiscard]] Result<std::unique_ptr<Cgroup>>
    open_below(const std::string &relative) const override;
    Result<std::vector<std::unique_ptr<Cgroup>>> children() override;
    Result<std::vector<int>> own_tasks() override;
    Result<std::optional<std::string>> freezing_ancestor() override;
    [[nodiscard]] std::vector<WatchPath> watch_paths() const override;

  protected:
    struct Place {
        UniqueFd directory; // open on the cgroup `path` below the mount
        std::string path;
        std::uint64_t id = 0;               // left to place_at()
        std::optional<std::uint32_t> level; // as in Cgroup::level()
    };
    static Result<Place> place_at(UniqueFd directory, std::string path,
                                  std::optional<std::uint32_t> level);

    // What the hierarchy calls its files, and the words of a request; static storage.
    struct Names {
        const char *tasks;       // the ids of its threads
        const char *own_request; // 0 or 1
        const char *request;     // where `freeze` and `thaw` are written
        const char *freeze;
        const char *thaw;
    };

    CgroupDirectory(Place place, const Names &names)
        : directory_(std::move(place.directory)), path_(std::move(place.path)), id_(place.id),
          level_(place.level), names_(names)
    {
    }

    // The directory by a name that inotify takes.
    [[nodiscard]] std::string proc_path() const;

    // A child, of the same hierarchy.
    [[nodiscard]] virtual Result<std::unique_ptr<Cgroup>>
    open_child(UniqueFd directory, std::string path, std::optional<std::uint32_t> level) const = 0;

    // A file that holds 0 or 1, and what it holds.
    [[nodiscard]] Result<bool> read_flag(const char *file) const;
    [[nodiscard]] static bool is_set(std::string_view flag);
    // The file that lists the tasks of this very cgroup, and whether it lists one.
    [[nodiscard]] Result<UniqueFd> open_tasks() const;
    [[nodiscard]] Result<bool> lists_any(int tasks_fd) const;
    [[nodiscard]] Result<bool> has_own_tasks() const;
    // A file with one id on each line.
    Result<std::vector<int>> read_ids(const char *file);

  private:
    UniqueFd directory_;
    std::string path_;
    std::uint64_t id_;
    std::optional<std::uint32_t> level_;
    const Names &names_;
};

} // namespace freezer

#endif
