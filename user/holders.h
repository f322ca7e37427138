// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// Who can help a task that hangs: found in /proc, without touching a file system that may hang too.
#ifndef FREEZERCTL_USER_HOLDERS_H
#define FREEZERCTL_USER_HOLDERS_H

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bpf/abi.h"
#include "user/classify.h"
#include "user/mounts.h"
#include "user/result.h"

namespace freezer
{

struct Holder {
    enum class Role {
        kUserfaultfdOwner, // has the userfaultfd open
        kFuseServer,       // has /dev/fuse open
        kMount,            // no process: the mount that is waited for
        kTracer,
        kVforkChild,
        kParent,    // must reap the zombie
        kV1Freezer, // no process: the cgroup
    } role = Role::kTracer;
    std::uint32_t pid = 0; // 0: no process
    std::string comm;
    char state_letter = '?';
    std::string path; // of a mount or a cgroup
    std::string type; // of a mount, its file system ("fuse.sshfs"); of a v1 cgroup, its state
    std::string source;
    Confidence confidence = Confidence::kSure;
};
// "userfaultfd-owner", ...; static storage.
const char *to_string(Holder::Role role);

// The number after "key:" in a text of the form of /proc/PID/fdinfo/FD or /proc/PID/status.
std::optional<std::uint64_t> value_after(std::string_view text, std::string_view key);

// The process ids in /proc.
std::vector<std::uint32_t> list_processes(const std::string &proc = "/proc");

// Looks for open files once, when first asked, and answers for any number of tasks from that.
class HolderFinder
{
  public:
    // Every userfaultfd and /dev/fuse that is open on the machine.
    using OpenFiles = std::function<Result<std::vector<fz_open_file>>()>;

    // From `open_files` or, without it and where it fails, from /proc/PID/fd, which takes half a
    // second for ten thousand processes. `proc` is a seam for tests.
    explicit HolderFinder(OpenFiles open_files = {}, std::string proc = "/proc")
        : open_files_(std::move(open_files)), proc_(std::move(proc))
    {
    }

    // Those that can help, the likeliest first. `all` is the look that the task is from: a vfork
    // child is found in it.
    std::vector<Holder> find(const TaskRecord &task, Cause cause,
                             const std::vector<TaskRecord> &all);
    // The mount of the file that the task's system call works on, where its first argument is a
    // descriptor.
    [[nodiscard]] std::optional<MountEntry> mount_in_use(const TaskRecord &task) const;

    // Some processes' files could not be looked at.
    [[nodiscard]] bool incomplete() const { return incomplete_; }

  private:
    struct OpenFile {
        std::uint32_t pid;
        // Of a userfaultfd: faults that wait for it. Of /dev/fuse: the connection; nullopt: not
        // told.
        std::optional<std::uint64_t> detail;
    };
    void scan();
    void note(bool userfaultfd, std::uint32_t pid, const std::string &fd);
    void scan_process(std::uint32_t pid, const std::string &dir);
    [[nodiscard]] std::string read(std::uint32_t pid, const std::string &file) const;
    [[nodiscard]] Holder process(Holder::Role role, std::uint32_t pid, Confidence confidence) const;
    void find_userfaultfd(const TaskRecord &task, std::vector<Holder> &out);
    void find_fuse(const TaskRecord &task, std::vector<Holder> &out);
    [[nodiscard]] std::optional<MountEntry> fuse_mount(const TaskRecord &task) const;
    void find_v1(const TaskRecord &task, std::vector<Holder> &out) const;

    OpenFiles open_files_;
    std::string proc_;
    bool scanned_ = false;
    bool incomplete_ = false;
    std::vector<OpenFile> userfaultfds_;
    std::vector<OpenFile> fuse_devices_;
};

} // namespace freezer

#endif
