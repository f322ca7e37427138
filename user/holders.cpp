// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "user/holders.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <memory>
#include <sstream>
#include <utility>

#include "user/files.h"
#include "user/proc_tasks.h"

namespace freezer
{
namespace
{

// More names than that help nobody.
constexpr size_t kMostHolders = 3;

struct DirCloser {
    void operator()(DIR *dir) const { ::closedir(dir); }
};
using Dir = std::unique_ptr<DIR, DirCloser>;

bool is_fuse(const MountEntry &mount)
{
    return mount.type == "fuse" || mount.type == "fuseblk" || mount.type.starts_with("fuse.");
}

} // namespace

const char *to_string(Holder::Role role)
{
    switch (role) {
    case Holder::Role::kUserfaultfdOwner:
        return "userfaultfd-owner";
    case Holder::Role::kFuseServer:
        return "fuse-server";
    case Holder::Role::kMount:
        return "mount";
    case Holder::Role::kTracer:
        return "tracer";
    case Holder::Role::kVforkChild:
        return "vfork-child";
    case Holder::Role::kParent:
        return "parent";
    case Holder::Role::kV1Freezer:
        return "v1-freezer";
    }
    return "";
}

std::optional<std::uint64_t> value_after(std::string_view text, std::string_view key)
{
    for (std::string_view line : split_lines(text)) {
        if (!line.starts_with(key) || line.substr(key.size(), 1) != ":")
            continue;
        line.remove_prefix(key.size() + 1);
        const size_t digit = line.find_first_not_of(" \t");
        if (digit == std::string_view::npos)
            return std::nullopt;
        return parse_number(line.substr(digit));
    }
    return std::nullopt;
}

std::string HolderFinder::read(std::uint32_t pid, const std::string &file) const
{
    return read_text(proc_ + "/" + std::to_string(pid) + "/" + file);
}

Holder HolderFinder::process(Holder::Role role, std::uint32_t pid, Confidence confidence) const
{
    Holder holder;
    holder.role = role;
    holder.pid = pid;
    holder.confidence = confidence;
    if (const auto stat = parse_proc_stat(read(pid, "stat"))) {
        holder.comm = stat->comm;
        holder.state_letter = stat->state;
    }
    return holder;
}

std::vector<std::uint32_t> list_processes(const std::string &proc)
{
    std::vector<std::uint32_t> out;
    const Dir dir(::opendir(proc.c_str()));
    if (!dir)
        return out;
    while (const dirent *entry = ::readdir(dir.get())) {
        if (const auto pid = parse_number(entry->d_name))
            out.push_back(static_cast<std::uint32_t>(*pid));
    }
    return out;
}

void HolderFinder::scan()
{
    if (std::exchange(scanned_, true))
        return;
    if (open_files_) {
        if (const auto files = open_files_()) {
            for (const fz_open_file &file : *files)
                note(file.kind == FZ_FILE_USERFAULTFD, file.tgid, std::to_string(file.fd));
            return;
        }
    }
    for (const std::uint32_t pid : list_processes(proc_))
        scan_process(pid, proc_ + "/" + std::to_string(pid));
}

void HolderFinder::scan_process(std::uint32_t pid, const std::string &dir)
{
    const Dir fds(::opendir((dir + "/fd").c_str()));
    if (!fds) {
        incomplete_ |= errno == EACCES || errno == EPERM;
        return;
    }
    while (const dirent *entry = ::readdir(fds.get())) {
        if (entry->d_name[0] == '.')
            continue;
        // Only the link is read: the file may be the one that hangs.
        const std::string target = link_target(dir + "/fd/" + entry->d_name);
        const bool uffd = target == "anon_inode:[userfaultfd]";
        if (!uffd && target != "/dev/fuse")
            continue;
        note(uffd, pid, entry->d_name);
    }
}

void HolderFinder::note(bool userfaultfd, std::uint32_t pid, const std::string &fd)
{
    const std::string info = read(pid, "fdinfo/" + fd);
    // fs/userfaultfd.c, userfaultfd_show_fdinfo(): "total" are all that wait. And fs/fuse/dev.c,
    // fuse_dev_show_fdinfo(), of newer kernels.
    if (userfaultfd)
        userfaultfds_.push_back({pid, value_after(info, "total")});
    else
        fuse_devices_.push_back({pid, value_after(info, "fuse_connection")});
}

void HolderFinder::find_userfaultfd(const TaskRecord &task, std::vector<Holder> &out)
{
    scan();
    std::vector<OpenFile> found;
    for (const OpenFile &file : userfaultfds_) {
        const bool known = std::any_of(found.begin(), found.end(),
                                       [&](const OpenFile &f) { return f.pid == file.pid; });
        if (file.pid != task.tgid && !known)
            found.push_back(file);
    }
    // Nobody else has it: one of its own threads is to serve it.
    if (found.empty()) {
        for (const OpenFile &file : userfaultfds_) {
            if (file.pid == task.tgid) {
                found.push_back(file);
                break;
            }
        }
    }
    // One with a fault waiting, then the parent: whose descriptor it is the kernel does not show.
    const auto rank = [&](const OpenFile &file) {
        return (file.detail.value_or(0) > 0 ? 0 : 2) + (file.pid == task.parent_tgid ? 0 : 1);
    };
    std::stable_sort(found.begin(), found.end(),
                     [&](const OpenFile &a, const OpenFile &b) { return rank(a) < rank(b); });
    const bool only_one = found.size() == 1;
    // Those without a waiting fault are no candidates when one has one.
    if (!found.empty() && found.front().detail.value_or(0) > 0)
        std::erase_if(found, [](const OpenFile &f) { return f.detail.value_or(0) == 0; });
    for (size_t i = 0; i < std::min(found.size(), kMostHolders); ++i)
        out.push_back(process(Holder::Role::kUserfaultfdOwner, found[i].pid,
                              only_one && !incomplete_ ? Confidence::kSure : Confidence::kLikely));
}

std::optional<MountEntry> HolderFinder::mount_in_use(const TaskRecord &task) const
{
    const std::string base = proc_ + "/" + std::to_string(task.tid);
    // "NR ARG0 ...", or "running", or "-1 SP PC" outside a system call.
    std::istringstream call(read_text(base + "/syscall"));
    long number = -1;
    std::string argument;
    if (!(call >> number >> argument) || number < 0 || !argument.starts_with("0x"))
        return std::nullopt;
    std::uint64_t fd = 0;
    const auto [end, error] =
        std::from_chars(argument.data() + 2, argument.data() + argument.size(), fd, 16);
    if (error != std::errc() || fd > 1U << 20)
        return std::nullopt;
    const auto id = value_after(read_text(base + "/fdinfo/" + std::to_string(fd)), "mnt_id");
    if (!id)
        return std::nullopt;
    for (MountEntry &mount : parse_mounts(read_text(base + "/mountinfo"))) {
        if (mount.id == *id)
            return std::move(mount);
    }
    return std::nullopt;
}

std::optional<MountEntry> HolderFinder::fuse_mount(const TaskRecord &task) const
{
    if (auto used = mount_in_use(task); used && is_fuse(*used))
        return used;
    std::vector<MountEntry> mounts =
        parse_mounts(read_text(proc_ + "/" + std::to_string(task.tid) + "/mountinfo"));
    std::erase_if(mounts, [](const MountEntry &mount) { return !is_fuse(mount); });
    if (mounts.size() > 1) {
        // Requests that wait for an answer, where fusectl is mounted.
        std::vector<MountEntry> waiting = mounts;
        std::erase_if(waiting, [](const MountEntry &mount) {
            const auto count = parse_number(
                read_text("/sys/fs/fuse/connections/" + std::to_string(mount.minor) + "/waiting"));
            return count.value_or(0) == 0;
        });
        if (!waiting.empty())
            mounts = std::move(waiting);
    }
    if (mounts.size() == 1)
        return std::move(mounts.front());
    return std::nullopt;
}

void HolderFinder::find_fuse(const TaskRecord &task, std::vector<Holder> &out)
{
    scan();
    const auto mount = fuse_mount(task);
    std::vector<OpenFile> servers;
    bool by_connection = false;
    for (const OpenFile &file : fuse_devices_) {
        const bool known = std::any_of(servers.begin(), servers.end(),
                                       [&](const OpenFile &f) { return f.pid == file.pid; });
        if (known)
            continue;
        if (file.detail && mount) {
            if (*file.detail != mount->minor)
                continue;
            by_connection = true;
        }
        servers.push_back(file);
    }
    const bool one = servers.size() == 1 && !incomplete_;
    for (size_t i = 0; i < std::min(servers.size(), kMostHolders); ++i)
        out.push_back(process(Holder::Role::kFuseServer, servers[i].pid,
                              one && by_connection ? Confidence::kSure : Confidence::kLikely));
    if (!mount)
        return;
    for (Holder &holder : out)
        holder.path = mount->point;
    Holder where;
    where.role = Holder::Role::kMount;
    where.path = mount->point;
    where.type = mount->type;
    where.source = mount->source;
    where.confidence = Confidence::kLikely;
    out.push_back(std::move(where));
}

void HolderFinder::find_v1(const TaskRecord &task, std::vector<Holder> &out) const
{
    const std::string cgroups = read(task.tid, "cgroup");
    for (const std::string_view line : split_lines(cgroups)) {
        // HIERARCHY:CONTROLLERS:PATH
        const size_t first = line.find(':');
        const size_t second = line.find(':', first == std::string_view::npos ? first : first + 1);
        if (second == std::string_view::npos)
            continue;
        const std::string list =
            "," + std::string(line.substr(first + 1, second - first - 1)) + ",";
        if (list.find(",freezer,") == std::string::npos)
            continue;
        Holder holder;
        holder.role = Holder::Role::kV1Freezer;
        holder.path = line.substr(second + 1);
        if (auto mounts = read_cgroup_mounts()) {
            const CgroupMount *const mount = find_mount(*mounts, Hierarchy::kV1Freezer);
            if (mount && mount->root == "/")
                holder.type = read_text(mount->mount_point + holder.path + "/freezer.state");
        }
        while (!holder.type.empty() && holder.type.back() == '\n')
            holder.type.pop_back();
        out.push_back(std::move(holder));
    }
}

std::vector<Holder> HolderFinder::find(const TaskRecord &task, Cause cause,
                                       const std::vector<TaskRecord> &all)
{
    std::vector<Holder> out;
    switch (cause) {
    case Cause::kUserfaultfd:
        find_userfaultfd(task, out);
        break;
    case Cause::kFuse:
        find_fuse(task, out);
        break;
    case Cause::kHeldByV1:
        find_v1(task, out);
        break;
    case Cause::kTraced:
        if (task.tracer_tgid != 0)
            out.push_back(process(Holder::Role::kTracer, task.tracer_tgid, Confidence::kSure));
        break;
    case Cause::kVfork:
        for (const TaskRecord &other : all) {
            if (other.vfork_child && other.parent_tid == task.tid)
                out.push_back(process(Holder::Role::kVforkChild, other.tid, Confidence::kSure));
        }
        break;
    case Cause::kZombie:
        if (task.parent_tgid != 0)
            out.push_back(process(Holder::Role::kParent, task.parent_tgid, Confidence::kSure));
        break;
    case Cause::kNfs:
    case Cause::kNetworkFs:
    case Cause::kIo:
    case Cause::kPageFault:
        if (auto mount = mount_in_use(task)) {
            Holder where;
            where.role = Holder::Role::kMount;
            where.path = std::move(mount->point);
            where.type = std::move(mount->type);
            where.source = std::move(mount->source);
            where.confidence = Confidence::kLikely;
            out.push_back(std::move(where));
        }
        break;
    case Cause::kUnknown:
    case Cause::kCoredump:
    case Cause::kLock:
    case Cause::kOnCpu:
    case Cause::kWaitingForCpu:
    case Cause::kArriving:
    case Cause::kExiting:
    case Cause::kKernelThread:
    case Cause::kWorker:
    case Cause::kStopped:
    case Cause::kFrozen:
    case Cause::kSleeping:
        break;
    }
    return out;
}

} // namespace freezer
