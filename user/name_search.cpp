// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "user/name_search.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>

#include "user/files.h"

namespace freezer
{
namespace
{

// cgroup.max.depth has no limit; this is against a loop that cannot be.
constexpr int kDepthMax = 1024;
// As many as fit on a screen.
constexpr size_t kShownCandidates = 10;

std::string environment(const char *name)
{
    const char *const value = std::getenv(name);
    return value ? value : "";
}

// The names of a directory's directories. One that is there and cannot be read is noted.
std::vector<std::string> directories_in(const std::string &path, DiskNames &disk)
{
    const auto fd = open_at(AT_FDCWD, path, O_RDONLY | O_DIRECTORY);
    if (!fd) {
        if (fd.error().kind == ErrorKind::kPermission)
            disk.unreadable.push_back(path);
        return {};
    }
    auto names = list_directories_at(fd->get());
    return names ? std::move(*names) : std::vector<std::string>();
}

std::string path_of(const std::string &top, const std::string &id, const char *file)
{
    std::string path = top;
    path.append("/").append(id).append("/").append(file);
    return path;
}

void read_docker(const std::string &top, DiskNames &disk)
{
    for (const std::string &id : directories_in(top, disk)) {
        if (auto container = parse_docker_config(read_text(path_of(top, id, "config.v2.json"))))
            disk.containers.push_back(std::move(*container));
    }
}

void read_podman(const std::string &storage, DiskNames &disk)
{
    // One of them by the storage driver; the other is not there.
    for (const char *const driver : {"overlay", "vfs"}) {
        const std::string file = storage + "/" + driver + "-containers/containers.json";
        if (::access(file.c_str(), R_OK) != 0 && errno == EACCES)
            disk.unreadable.push_back(storage);
        for (KnownContainer &container : parse_podman_containers(read_text(file)))
            disk.containers.push_back(std::move(container));
    }
}

void read_oci_runtimes(const std::string &run, DiskNames &disk)
{
    const std::string crun = run + "/crun";
    for (const std::string &id : directories_in(crun, disk)) {
        if (auto container = parse_crun_status(id, read_text(path_of(crun, id, "status"))))
            disk.containers.push_back(std::move(*container));
    }
    const std::string runc = run + "/runc";
    for (const std::string &id : directories_in(runc, disk)) {
        if (auto container = parse_runc_state(read_text(path_of(runc, id, "state.json"))))
            disk.containers.push_back(std::move(*container));
    }
}

// A runtime's word for a cgroup, as a path below the mount. It may have seen the hierarchy mounted
// elsewhere, where the distributions have it.
std::string below_mount(const std::string &cgroup, const CgroupMount &mount)
{
    const bool v2 = mount.hierarchy == Hierarchy::kV2;
    for (const std::string &top :
         {mount.mount_point, std::string(v2 ? "/sys/fs/cgroup/unified" : "/sys/fs/cgroup/freezer"),
          std::string("/sys/fs/cgroup")}) {
        if (cgroup.size() > top.size() && is_at_or_below(cgroup, top))
            return cgroup.substr(top.size());
    }
    return cgroup;
}

// Collects what has a name, going down the tree.
class Collector
{
  public:
    Collector(const CgroupMount &mount, const DiskNames &disk) : mount_(mount), disk_(disk) {}

    void walk(int dir_fd, const std::string &path, int depth)
    {
        if (!path.empty())
            take(path);
        const auto children = list_directories_at(dir_fd);
        if (!children || depth > kDepthMax)
            return;
        for (const std::string &child : *children) {
            // One that is removed meanwhile is left out.
            if (const auto fd = open_at(dir_fd, child, O_RDONLY | O_DIRECTORY | O_NOFOLLOW))
                walk(fd->get(), std::string(path).append("/").append(child), depth + 1);
        }
    }

    std::vector<NamedCgroup> found;

  private:
    void take(const std::string &path)
    {
        auto name = name_of(path);
        // The file of its own runtime knows best which cgroup it has.
        for (const KnownContainer &known : disk_.containers) {
            if (!known.cgroup.empty() && below_mount(known.cgroup, mount_) == path &&
                (!name || name->kind == NameKind::kUnit || name->runtime == "oci"))
                name = CgroupName{NameKind::kContainer, known.runtime, known.id};
        }
        if (!name)
            return;
        NamedCgroup cgroup{std::move(*name),
                           {},
                           path,
                           mount_.hierarchy == Hierarchy::kV2 ? HierarchyChoice::kV2
                                                              : HierarchyChoice::kV1};
        if (cgroup.name.kind == NameKind::kPod) {
            for (const KnownPod &pod : disk_.pods) {
                if (pod.uid == cgroup.name.id)
                    cgroup.names.push_back(pod.name);
            }
        }
        if (cgroup.name.kind == NameKind::kContainer) {
            for (const KnownContainer &known : disk_.containers) {
                if (known.id == cgroup.name.id)
                    cgroup.names.insert(cgroup.names.end(), known.names.begin(), known.names.end());
            }
        }
        found.push_back(std::move(cgroup));
    }

    const CgroupMount &mount_;
    const DiskNames &disk_;
};

std::string describe(const NamedCgroup &cgroup)
{
    return std::string(to_string(cgroup.name.kind)) + " " + best_name(cgroup) + " (" + cgroup.path +
           ")";
}

Error ambiguous(const std::string &words, const std::vector<NamedCgroup> &candidates)
{
    std::string message = "it may be any of " + std::to_string(candidates.size()) + ": ";
    for (size_t i = 0; i < std::min(candidates.size(), kShownCandidates); ++i)
        message += (i == 0 ? "" : ", ") + describe(candidates[i]);
    if (candidates.size() > kShownCandidates)
        message += " and others";
    const bool kinds = std::any_of(candidates.begin(), candidates.end(), [&](const auto &other) {
        return other.name.kind != candidates.front().name.kind;
    });
    message += std::string(": say more than '") + words + "'" +
               (kinds ? ", give its --type," : "") + " or take the path";
    return Error{ErrorKind::kInvalid, 0, message};
}

// Whether the words mean the cgroup, as what `kind` asks for.
Match matches(const std::string &words, const NamedCgroup &cgroup, std::optional<NameKind> kind)
{
    // A container or pod of systemd's making is a unit, too.
    Match best = Match::kNo;
    if (kind.value_or(NameKind::kUnit) == NameKind::kUnit) {
        if (const std::string unit = unit_of(cgroup.path); !unit.empty())
            best = match(words, CgroupName{NameKind::kUnit, "systemd", unit}, {});
    }
    if (!kind || *kind == cgroup.name.kind)
        best = std::max(best, match(words, cgroup.name, cgroup.names));
    return best;
}

// Those that it means best.
std::vector<NamedCgroup> best_matches(const std::string &words, std::optional<NameKind> kind,
                                      const std::vector<NamedCgroup> &all)
{
    std::vector<NamedCgroup> found;
    Match best = Match::kPrefix;
    for (const NamedCgroup &cgroup : all) {
        const Match how = matches(words, cgroup, kind);
        if (how < best)
            continue;
        if (how > best)
            found.clear();
        best = how;
        found.push_back(cgroup);
    }
    return found;
}

} // namespace

const std::string &best_name(const NamedCgroup &cgroup)
{
    return cgroup.names.empty() ? cgroup.name.id : cgroup.names.front();
}

DiskNames read_disk_names(const std::string &root)
{
    DiskNames disk;
    read_docker(root + "/var/lib/docker/containers", disk);
    read_podman(root + "/var/lib/containers/storage", disk);
    read_oci_runtimes(root + "/run", disk);
    if (::geteuid() != 0) {
        if (const std::string home = environment("HOME"); !home.empty())
            read_podman(root + home + "/.local/share/containers/storage", disk);
        if (const std::string run = environment("XDG_RUNTIME_DIR"); !run.empty())
            read_oci_runtimes(root + run, disk);
    }
    for (const std::string &directory : directories_in(root + "/var/log/pods", disk)) {
        if (auto pod = parse_pod_directory(directory))
            disk.pods.push_back(std::move(*pod));
    }
    return disk;
}

Result<std::vector<NamedCgroup>> named_cgroups(const CgroupMount &mount, const DiskNames &disk)
{
    const auto top = open_at(AT_FDCWD, mount.mount_point, O_RDONLY | O_DIRECTORY);
    if (!top)
        return top.error();
    Collector collector(mount, disk);
    collector.walk(top->get(), "", 0);
    return std::move(collector.found);
}

Result<NamedCgroup> find_by_name(const Resolver &resolver, const std::string &words,
                                 std::optional<NameKind> kind, HierarchyChoice choice)
{
    const DiskNames disk = read_disk_names();
    std::string places;
    for (const CgroupMount &mount : resolver.mounts()) {
        const auto own =
            mount.hierarchy == Hierarchy::kV2 ? HierarchyChoice::kV2 : HierarchyChoice::kV1;
        if (choice != HierarchyChoice::kAny && choice != own)
            continue;
        const auto all = named_cgroups(mount, disk);
        if (!all)
            return all.error();
        auto found = best_matches(words, kind, *all);
        if (found.size() == 1)
            return std::move(found.front());
        if (found.size() > 1)
            return ambiguous(words, found);
        places += (places.empty() ? "" : " and ") + mount.mount_point;
    }
    std::string message = std::string("no ") +
                          (kind ? to_string(*kind) : "unit, container or pod") +
                          " is called so: searched the cgroups below " + places +
                          " and the files of docker, podman, crun, runc and the kubelet";
    for (const std::string &closed : disk.unreadable)
        message += (&closed == &disk.unreadable.front() ? "; not allowed to read " : ", ") + closed;
    return Error{ErrorKind::kNoSuchCgroup, ENOENT, message};
}

} // namespace freezer
