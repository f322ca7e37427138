// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "tools/freezerctl/mount_files.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <csignal>

#include "user/files.h"
#include "user/pid_namespace.h"
#include "user/proc_tasks.h"
#include "user/signal_all.h"

namespace freezerctl
{
namespace
{

using freezer::Cgroup;
using freezer::Error;
using freezer::ErrorKind;
using freezer::Result;
using Kind = ControlFile::Kind;

constexpr std::array<ControlFile, 7> kFiles{
    {{Kind::kTasks, "tasks", 0666},
     {Kind::kProcesses, "cgroup.procs", 0666},
     {Kind::kState, "freezer.state", 0666},
     {Kind::kSelfFreezing, "freezer.self_freezing", 0444},
     {Kind::kParentFreezing, "freezer.parent_freezing", 0444},
     {Kind::kSignal, "signal.kill", 0222},
     {Kind::kNotifyOnRelease, "notify_on_release", 0666}}};

// CGROUP_LOCAL_BUFFER_SIZE, 64, of kernel/cgroup.c in 2008: what does not fit with its end is
// E2BIG.
constexpr size_t kLongestWrite = 63;

bool is_v2(const Cgroup &cgroup)
{
    return cgroup.hierarchy_id() == 0;
}

bool is_threaded(const Cgroup &cgroup)
{
    const auto type = freezer::read_record_at(cgroup.directory(), "cgroup.type"); // 4.14
    return type && *type == "threaded\n";
}

bool has_file(const Cgroup &cgroup, const char *name)
{
    return ::faccessat(cgroup.directory(), name, F_OK, 0) == 0;
}

// The cgroup's own file whose owner and permissions are those of the control file.
const char *backing_of(const ControlFile &file, const Cgroup &cgroup)
{
    const bool v2 = is_v2(cgroup);
    switch (file.kind) {
    case Kind::kTasks:
        return !v2 ? "tasks" : is_threaded(cgroup) ? "cgroup.threads" : "cgroup.procs";
    case Kind::kProcesses:
        return "cgroup.procs";
    case Kind::kState:
        return v2 ? "cgroup.freeze" : "freezer.state";
    case Kind::kSelfFreezing:
    case Kind::kParentFreezing:
        return v2 ? "cgroup.freeze" : file.name;
    case Kind::kSignal:
        // cgroup.kill: 5.14
        return !v2                               ? "freezer.state"
               : has_file(cgroup, "cgroup.kill") ? "cgroup.kill"
                                                 : "cgroup.freeze";
    case Kind::kNotifyOnRelease:
        return v2 ? "cgroup.procs" : file.name;
    }
    return "";
}

// What a file may hold at most. As in sysfs not its real size, but not 0 either: sendfile(2) passes
// nothing on of a file that has none (seen on 7.3, where busybox's cat printed nothing).
constexpr off_t kSize = 1 << 20;

// Of a file that was opened: its cgroup is gone.
int dead_or(int error)
{
    return error == ENOENT ? ENODEV : error;
}

int write_fd(int fd, std::string_view text)
{
    ssize_t n;
    do {
        n = ::write(fd, text.data(), text.size());
    } while (n < 0 && errno == EINTR);
    return n < 0 ? dead_or(errno) : 0;
}

std::string line_of(bool flag)
{
    return flag ? "1\n" : "0\n";
}

} // namespace

std::span<const ControlFile> control_files()
{
    return kFiles;
}

const ControlFile *find_control_file(std::string_view name)
{
    const auto *const found = std::find_if(
        kFiles.begin(), kFiles.end(), [&](const ControlFile &file) { return file.name == name; });
    return found != kFiles.end() ? found : nullptr;
}

int stat_control_file(const ControlFile &file, const Cgroup &cgroup, struct stat &out)
{
    if (::fstatat(cgroup.directory(), backing_of(file, cgroup), &out, AT_SYMLINK_NOFOLLOW) != 0)
        return errno;
    out.st_mode = S_IFREG | (out.st_mode & file.may);
    out.st_size = kSize;
    return 0;
}

int chown_control_file(const ControlFile &file, const Cgroup &cgroup, uid_t uid, gid_t gid)
{
    return ::fchownat(cgroup.directory(), backing_of(file, cgroup), uid, gid,
                      AT_SYMLINK_NOFOLLOW) != 0
               ? errno
               : 0;
}

int chmod_control_file(const ControlFile &file, const Cgroup &cgroup, mode_t mode)
{
    return ::fchmodat(cgroup.directory(), backing_of(file, cgroup), mode & 0777, 0) != 0 ? errno
                                                                                         : 0;
}

int errno_of(const Error &error)
{
    if (error.sys_errno != 0)
        return error.sys_errno;
    switch (error.kind) {
    case ErrorKind::kInvalid:
        return EINVAL;
    case ErrorKind::kNoSuchCgroup:
        return ENODEV;
    case ErrorKind::kRefused:
        return EBUSY;
    case ErrorKind::kPermission:
        return EACCES;
    case ErrorKind::kUnsupported:
        return EOPNOTSUPP;
    case ErrorKind::kSystem:
        break;
    }
    return EIO;
}

int ControlFiles::open(const ControlFile &file, std::unique_ptr<Cgroup> cgroup, int flags,
                       const Client &client, std::shared_ptr<OpenFile> &out)
{
    const char *const name = backing_of(file, *cgroup);
    const int access = flags & O_ACCMODE;
    if (file.may == 0222 && access != O_WRONLY)
        return EACCES; // root, too: there is nothing to read
    if (file.may == 0444 && access != O_RDONLY)
        return EACCES;
    freezer::UniqueFd backing;
    {
        const ActingAs acting(client);
        if (!acting.possible())
            return EACCES;
        backing =
            freezer::UniqueFd(::openat(cgroup->directory(), name, access | O_CLOEXEC | O_NOFOLLOW));
        if (!backing)
            return errno;
    }
    out = std::make_shared<OpenFile>(file, std::move(cgroup), std::move(backing));
    return 0;
}

int ControlFiles::read(OpenFile &file, const Client &client, size_t size, off_t at,
                       std::string &out)
{
    const std::lock_guard lock(file.mutex);
    if (at == 0) {
        auto text = text_of(file, client);
        if (!text)
            return dead_or(errno_of(text.error()));
        file.text = std::move(*text);
    }
    if (at < 0 || static_cast<size_t>(at) >= file.text.size())
        out.clear();
    else
        out = file.text.substr(static_cast<size_t>(at), size);
    return 0;
}

Result<std::string> ControlFiles::text_of(OpenFile &file, const Client &client)
{
    Cgroup &cgroup = *file.cgroup;
    switch (file.file.kind) {
    case Kind::kTasks:
    case Kind::kProcesses:
        return ids_for(client, file);
    case Kind::kState: {
        const auto state = states_.state(cgroup);
        if (const auto phase = phase_of(state))
            file.seen = *phase;
        if (!state)
            return state.error();
        return std::string(word_of(*state, options_.words)) + "\n";
    }
    case Kind::kSelfFreezing: {
        const auto self = cgroup.self_freezing();
        if (!self)
            return self.error();
        return line_of(*self);
    }
    case Kind::kParentFreezing: {
        const auto ancestor = cgroup.freezing_ancestor();
        if (!ancestor)
            return ancestor.error();
        return line_of(ancestor->has_value());
    }
    case Kind::kNotifyOnRelease:
        if (!is_v2(cgroup))
            return freezer::read_record(file.backing.get(), file.file.name);
        return std::string("0\n");
    case Kind::kSignal:
        break;
    }
    return Error{ErrorKind::kInvalid, EINVAL, "nothing to read"};
}

Result<std::string> ControlFiles::ids_for(const Client &client, const OpenFile &file) const
{
    // v2 has the threads in a file of their own; what is written moves processes.
    const char *const name = file.file.kind == Kind::kProcesses ? "cgroup.procs"
                             : is_v2(*file.cgroup)              ? "cgroup.threads"
                                                                : "tasks";
    auto text = freezer::read_file_at(file.cgroup->directory(), name);
    if (!text || client.tid == 0)
        return text;
    const auto space = freezer::PidNamespace::of(client.tid);
    if (!space || space->is_own())
        return text;
    std::string out;
    for (const std::string_view line : freezer::split_lines(*text)) {
        const auto tid = static_cast<int>(freezer::parse_number(line).value_or(0));
        // 0, as the kernel has it: there is one, but it cannot be named.
        out += std::to_string(space->from_own(tid).value_or(0)) + "\n";
    }
    return out;
}

int ControlFiles::write(OpenFile &file, const Client &client, std::string_view text)
{
    if (text.size() > kLongestWrite)
        return E2BIG;
    switch (file.file.kind) {
    case Kind::kTasks:
    case Kind::kProcesses:
        return move_task(file, client, text);
    case Kind::kState:
        return write_state(file, text);
    case Kind::kSignal:
        return send_signal(file, text);
    case Kind::kNotifyOnRelease:
        if (!is_v2(*file.cgroup))
            return write_fd(file.backing.get(), text);
        // v2 runs no program when a cgroup becomes empty: it cannot be switched on.
        return freezer::strip(text) == "0" ? 0 : EINVAL;
    case Kind::kSelfFreezing:
    case Kind::kParentFreezing:
        break;
    }
    return EINVAL;
}

// A client that freezes itself is not frozen before it has its answer: until then it waits in
// request_wait_answer() (fs/fuse/dev.c), which is no place to freeze. When its write(2) returns it
// is, as in 2008, without a step between.
int ControlFiles::write_state(OpenFile &file, std::string_view text)
{
    const auto freeze = freezer::parse_freezer_word(text);
    if (!freeze)
        return EINVAL;
    if (*freeze) {
        if (const int error = check_harmless(*file.cgroup, "freeze"); error != 0)
            return error;
    } else if (options_.defer_signals) {
        // Before the thaw, so that nothing runs in between; with a request above it is none.
        if (const auto ancestor = file.cgroup->freezing_ancestor(); ancestor && !*ancestor)
            deferred_.deliver(file.cgroup->id());
    }
    const char *const word =
        is_v2(*file.cgroup) ? (*freeze ? "1" : "0") : (*freeze ? "FROZEN" : "THAWED");
    const int error = write_fd(file.backing.get(), word);
    if (error == 0)
        changed_(file.cgroup->id());
    return error;
}

int ControlFiles::move_task(OpenFile &file, const Client &client, std::string_view text)
{
    const auto number = freezer::parse_number(freezer::strip(text));
    if (!number || *number > INT_MAX)
        return EINVAL;
    int pid = static_cast<int>(*number);
    if (client.tid == 0)
        return ESRCH; // its pid namespace cannot be seen from here, nor what it calls by a number
    if (pid == 0) {
        pid = client.tid;
    } else {
        const auto space = freezer::PidNamespace::of(client.tid);
        const auto here = space ? space->to_own(pid) : std::nullopt;
        if (!here)
            return ESRCH;
        pid = *here;
    }
    if (const int error = check_move(file, pid); error != 0)
        return error;
    return write_fd(file.backing.get(), std::to_string(pid));
}

// "Anything frozen can't move or be moved to/from" (2008). Today's kernel moves them, so this is as
// good as the moment at which it looks.
int ControlFiles::check_move(OpenFile &file, int pid)
{
    Cgroup &target = *file.cgroup;
    const auto from = cgroup_of(pid, target);
    if (from && from->id() == target.id())
        return 0; // it stays
    const auto frozen = [&](Cgroup &cgroup, Phase &phase) {
        const auto found = phase_of(states_.state(cgroup));
        phase = found ? *found : Phase::kNever; // a root has no state
        return phase == Phase::kFrozen;
    };
    Phase there = Phase::kNever;
    Phase here = Phase::kNever;
    if (frozen(target, there) || (from && frozen(*from, here)))
        return EBUSY;
    if (there == Phase::kFreezing) {
        const auto mine = freezer::read_proc_status(pid, target.hierarchy_id());
        if (mine && mine->tgid == ::getpid()) {
            log_.line("refused to be moved to " + target.path() + ", which is to freeze");
            return EBUSY;
        }
    }
    if (here == Phase::kFreezing) {
        const auto tasks = freezer::own_tasks_from_proc(*from);
        const auto is_it = [&](const freezer::TaskEntry &task) {
            return task.frozen && (task.tid == static_cast<std::uint32_t>(pid) ||
                                   task.tgid == static_cast<std::uint32_t>(pid));
        };
        if (std::any_of(tasks.begin(), tasks.end(), is_it))
            return EBUSY;
    }
    return 0;
}

int ControlFiles::send_signal(OpenFile &file, std::string_view text)
{
    const auto number = freezer::parse_number(freezer::strip(text));
    if (!number || *number == 0 || *number > 64)
        return EINVAL;
    const int signal = static_cast<int>(*number);
    Cgroup &cgroup = *file.cgroup;
    if (const auto alive = cgroup.self_freezing(); !alive)
        return dead_or(errno_of(alive.error()));
    if (const int error = check_harmless(cgroup, "signal"); error != 0)
        return error;
    if (options_.defer_signals && !cgroup.signals_wait_for_thaw()) {
        const auto phase = phase_of(states_.state(cgroup));
        if (phase && (*phase == Phase::kFreezing || *phase == Phase::kFrozen)) {
            const auto queued = deferred_.queue(cgroup, signal);
            return queued ? 0 : dead_or(errno_of(queued.error()));
        }
    }
    if (signal == SIGKILL) {
        // Forks cannot outrun it. What it does not reach (user/cgroup.h) the next lines do.
        const auto killed = cgroup.kill();
        if (!killed && killed.error().kind == ErrorKind::kNoSuchCgroup)
            return ENODEV;
    }
    const auto sent = freezer::signal_members(cgroup, signal);
    return sent ? 0 : dead_or(errno_of(sent.error()));
}

int ControlFiles::check_harmless(const Cgroup &cgroup, const char *what) const
{
    const auto harmless = resolver_.check_harmless(cgroup, resolver_.own_cgroups(cgroup));
    if (harmless)
        return 0;
    log_.line(std::string("refused to ") + what + " " + cgroup.path() + ": " +
              harmless.error().message);
    return EBUSY;
}

std::unique_ptr<Cgroup> ControlFiles::cgroup_of(int pid, const Cgroup &like) const
{
    auto found = resolver_.by_pid(pid, is_v2(like) ? freezer::HierarchyChoice::kV2
                                                   : freezer::HierarchyChoice::kV1);
    return found ? std::move(*found) : nullptr;
}

} // namespace freezerctl
