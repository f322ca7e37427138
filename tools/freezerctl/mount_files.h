// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// The control files of the mounted file system: what reading and writing them does to a cgroup.
#ifndef FREEZERCTL_TOOLS_MOUNT_FILES_H
#define FREEZERCTL_TOOLS_MOUNT_FILES_H

#include <sys/stat.h>
#include <sys/types.h>

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>

#include "tools/freezerctl/mount_client.h"
#include "tools/freezerctl/mount_log.h"
#include "tools/freezerctl/mount_signals.h"
#include "tools/freezerctl/mount_state.h"
#include "user/cgroup.h"
#include "user/freezer_words.h"
#include "user/resolve.h"
#include "user/unique_fd.h"

namespace freezerctl
{

struct ControlFile {
    enum class Kind {
        kTasks,
        kProcesses,
        kState,
        kSelfFreezing,
        kParentFreezing,
        kSignal,
        kNotifyOnRelease,
    } kind;
    const char *name;
    mode_t may; // the permission bits that make sense for it
};

std::span<const ControlFile> control_files();
// nullptr: no such name.
const ControlFile *find_control_file(std::string_view name);

// Attributes of the file of the cgroup that stands behind the control file: its owner and
// permissions decide. ENOENT where the cgroup has no such file (a root has no state).
int stat_control_file(const ControlFile &file, const freezer::Cgroup &cgroup, struct stat &out);
// Changes owner (-1: leaves it) or permissions of that file.
int chown_control_file(const ControlFile &file, const freezer::Cgroup &cgroup, uid_t uid,
                       gid_t gid);
int chmod_control_file(const ControlFile &file, const freezer::Cgroup &cgroup, mode_t mode);

// One open(2) of a client.
struct OpenFile {
    OpenFile(const ControlFile &control_file, std::unique_ptr<freezer::Cgroup> of,
             freezer::UniqueFd behind)
        : file(control_file), cgroup(std::move(of)), backing(std::move(behind))
    {
    }

    const ControlFile &file;
    std::unique_ptr<freezer::Cgroup> cgroup; // still this one when another takes its name
    freezer::UniqueFd backing; // opened by the client's rights, which the kernel looks at later
    std::mutex mutex;
    std::string text;                        // what the last read from the start returned
    std::atomic<Phase> seen = Phase::kNever; // of kState: in that text
};

// errno for a client: of the system call that failed, or what comes nearest.
int errno_of(const freezer::Error &error);

class ControlFiles
{
  public:
    struct Options {
        freezer::Words words = freezer::Words::k2008;
        bool defer_signals = false;
    };
    // `changed` is told of each cgroup whose request was written; `deferred` and the others must
    // outlive this.
    ControlFiles(const freezer::Resolver &resolver, StateReader &states, DeferredSignals &deferred,
                 const MountLog &log, const Options &options,
                 std::function<void(std::uint64_t cgroup_id)> changed)
        : resolver_(resolver), states_(states), deferred_(deferred), log_(log), options_(options),
          changed_(std::move(changed))
    {
    }

    // With the client's rights; `flags` as for open(2). 0 or an errno.
    static int open(const ControlFile &file, std::unique_ptr<freezer::Cgroup> cgroup, int flags,
                    const Client &client, std::shared_ptr<OpenFile> &out);
    // Takes the text anew when it is read from the start.
    int read(OpenFile &file, const Client &client, size_t size, off_t at, std::string &out);
    // 0 or an errno.
    int write(OpenFile &file, const Client &client, std::string_view text);

  private:
    freezer::Result<std::string> text_of(OpenFile &file, const Client &client);
    freezer::Result<std::string> ids_for(const Client &client, const OpenFile &file) const;
    int write_state(OpenFile &file, std::string_view text);
    int move_task(OpenFile &file, const Client &client, std::string_view text);
    int check_move(OpenFile &file, int pid);
    int send_signal(OpenFile &file, std::string_view text);
    // EBUSY, and said in the log, where it would hit this server or the whole machine.
    int check_harmless(const freezer::Cgroup &cgroup, const char *what) const;
    [[nodiscard]] std::unique_ptr<freezer::Cgroup> cgroup_of(int pid,
                                                             const freezer::Cgroup &like) const;

    const freezer::Resolver &resolver_;
    StateReader &states_;
    DeferredSignals &deferred_;
    const MountLog &log_;
    Options options_;
    std::function<void(std::uint64_t)> changed_;
};

} // namespace freezerctl

#endif
