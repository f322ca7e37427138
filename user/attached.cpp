// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "user/attached.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <string>
#include <system_error>

#include "bpf_id.h"
#include "user/files.h"
#include "user/task_snapshot.h"
#include "user/tracker.h"

namespace freezer
{
namespace
{

constexpr const char *kBpffs = "/sys/fs/bpf";
constexpr const char *kRoot = "/sys/fs/bpf/freezerctl";
// What is not complete yet. bpffs takes no names with dots.
constexpr const char *kUnfinished = "/sys/fs/bpf/freezerctl/unfinished";

// Named by what was compiled: maps and programs of another build mean other things.
constexpr const char *kVersion = "/sys/fs/bpf/freezerctl/" FREEZERCTL_BPF_ID;

bool is_bpffs(const char *path)
{
    struct statfs fs {
    };
    return ::statfs(path, &fs) == 0 && static_cast<unsigned long>(fs.f_type) == BPF_FS_MAGIC;
}

// Nobody else attaches or detaches while it is open.
Result<UniqueFd> lock_root()
{
    auto root = open_at(AT_FDCWD, kRoot, O_RDONLY | O_DIRECTORY);
    if (!root)
        return root;
    struct stat st {
    };
    if (::fstat(root->get(), &st) != 0 || st.st_uid != ::geteuid())
        return Error{ErrorKind::kPermission, EPERM,
                     std::string(kRoot) + " belongs to another user: remove it"};
    if (::flock(root->get(), LOCK_EX) != 0)
        return Error::from_errno(errno, std::string("lock ") + kRoot);
    return root;
}

Status remove_tree(const std::string &path)
{
    std::error_code error;
    std::filesystem::remove_all(path, error);
    if (error)
        return Error::from_errno(error.value(), "remove " + path);
    return {};
}

// All in the root but `kept`.
Result<std::uint32_t> remove_versions(int root, const std::string &kept)
{
    auto names = list_directories_at(root);
    if (!names)
        return std::move(names).error();
    std::uint32_t removed = 0;
    for (const std::string &name : *names) {
        const std::string path = std::string(kRoot) + "/" + name;
        if (path == kept)
            continue;
        if (auto gone = remove_tree(path); !gone)
            return std::move(gone).error();
        removed += path != kUnfinished;
    }
    return removed;
}

Status load_and_pin(std::uint32_t ring_bytes)
{
    TrackerOptions options;
    options.shared = true;
    auto tracker = Tracker::open(options);
    if (!tracker)
        return std::move(tracker).error();
    auto snapshot = TaskSnapshot::beside(*tracker);
    if (!snapshot)
        return std::move(snapshot).error();
    const TrackerPins pins(kUnfinished);
    Status pinned = pins.make();
    if (pinned)
        pinned = tracker->pin(pins, ring_bytes);
    if (pinned)
        pinned = snapshot->pin(pins);
    if (pinned && ::rename(kUnfinished, kVersion) != 0)
        pinned = Error::from_errno(errno, "rename " + std::string(kUnfinished));
    if (!pinned)
        (void)remove_tree(kUnfinished);
    return pinned;
}

} // namespace

Result<AttachResult> attach_tracker(std::uint32_t ring_bytes)
{
    AttachResult result;
    result.path = kVersion;
    if (!is_bpffs(kBpffs)) {
        if (::mount("bpf", kBpffs, "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700") != 0)
            return Error::from_errno(errno, std::string("mount bpffs at ") + kBpffs);
        result.mounted = true;
    }
    if (::mkdir(kRoot, 0700) != 0 && errno != EEXIST)
        return Error::from_errno(errno, std::string("make ") + kRoot);
    auto root = lock_root();
    if (!root)
        return std::move(root).error();
    result.already = ::access(kVersion, F_OK) == 0;
    if (!result.already) {
        if (auto gone = remove_tree(kUnfinished); !gone) // of an attach that was killed
            return std::move(gone).error();
        if (auto pinned = load_and_pin(ring_bytes); !pinned)
            return std::move(pinned).error();
    }
    auto removed = remove_versions(root->get(), result.path);
    if (!removed)
        return std::move(removed).error();
    result.removed = *removed;
    return result;
}

Result<std::uint32_t> detach_trackers()
{
    auto root = lock_root();
    if (!root) {
        if (root.error().sys_errno == ENOENT)
            return std::uint32_t{0};
        return std::move(root).error();
    }
    auto removed = remove_versions(root->get(), "");
    if (removed)
        (void)::rmdir(kRoot);
    return removed;
}

Result<PinnedTracker> open_attached_tracker()
{
    return TrackerPins(kVersion).open();
}

} // namespace freezer
