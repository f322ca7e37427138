// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// mount and umount: freezer.state, signal.kill and the other files of 2008 as a file system.
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <system_error>
#include <vector>

#include "tools/freezerctl/cli.h"
#include "tools/freezerctl/mount_server.h"
#include "tools/freezerctl/text.h"
#include "user/files.h"
#include "user/mounts.h"

namespace freezerctl
{
namespace
{

using freezer::Error;
using freezer::ErrorKind;
using freezer::Result;
using freezer::Status;

struct MountArguments {
    std::string point;
    std::string root = "/";
    freezer::HierarchyChoice hierarchy = freezer::HierarchyChoice::kAny;
    freezer::Words words = freezer::Words::k2008;
    bool foreground = false;
    bool allow_other = false;
    bool deferred_signals = false;
    bool no_bpf = false;
};

struct UmountArguments {
    std::string point;
    bool lazy = false;
};

// Not Error::from_errno(): it takes what is missing for a cgroup.
Error directory_error(int errno_value, const std::string &what)
{
    const std::string hint = errno_value == ENOENT ? ": make the directory first" : "";
    return Error{ErrorKind::kSystem, errno_value,
                 what + ": " + std::generic_category().message(errno_value) + hint};
}

// The absolute path of a mount point, whose last part may be a mount that nobody serves any more.
Result<std::string> resolve_point(const std::string &text)
{
    using Path = std::unique_ptr<char, decltype(&::free)>;
    if (const Path whole(::realpath(text.c_str(), nullptr), &::free); whole)
        return std::string(whole.get());
    const int error = errno;
    if (error != ENOTCONN)
        return directory_error(error, "find it");
    std::string path = text;
    while (path.size() > 1 && path.back() == '/')
        path.pop_back();
    const size_t slash = path.rfind('/');
    const std::string above = slash == std::string::npos ? "." : path.substr(0, slash + 1);
    const Path parent(::realpath(above.c_str(), nullptr), &::free);
    if (!parent)
        return directory_error(errno, "find it");
    const std::string parent_path = parent.get();
    return (parent_path == "/" ? "" : parent_path) + "/" + path.substr(slash + 1);
}

// The type of the file system at this very point, "" if nothing is mounted there.
std::string type_mounted_at(const std::string &point)
{
    const std::string text = freezer::read_text("/proc/self/mountinfo");
    std::string type;
    for (const freezer::MountEntry &mount : freezer::parse_mounts(text)) {
        if (mount.point == point)
            type = mount.type; // later ones cover it
    }
    return type;
}

// The mount point as it is to be used, free for a mount.
Result<std::string> prepare_point(const std::string &text)
{
    auto point = resolve_point(text);
    if (!point)
        return point;
    struct stat st {
    };
    const bool ours = type_mounted_at(*point) == kMountType;
    if (::stat(point->c_str(), &st) != 0) {
        const int error = errno;
        if (error != ENOTCONN || !ours)
            return directory_error(error, "look at it");
        // Left by a server that was killed.
        if (::umount2(point->c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) != 0)
            return Error::from_errno(errno, "unmount what a server that was killed has left");
        return prepare_point(text);
    }
    if (ours)
        return Error{ErrorKind::kRefused, EBUSY,
                     "it is mounted already: run 'freezerctl umount " + *point + "' first"};
    if (!S_ISDIR(st.st_mode))
        return Error{ErrorKind::kSystem, ENOTDIR, "it is no directory: name an empty one"};
    return point;
}

// What a server that has become a daemon tells the command that started it: an exit code, and what
// to print.
struct Announcement {
    freezer::UniqueFd pipe;

    void tell(char code, const std::string &text)
    {
        const std::string message = code + text;
        (void)!::write(pipe.get(), message.data(), message.size());
        pipe.reset();
    }
};

// Nothing of the terminal stays with the daemon; its own file system must not be its directory.
void leave_terminal()
{
    (void)::chdir("/");
    const freezer::UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
    for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
        (void)::dup2(null.get(), fd);
}

int serve_in_foreground(const freezer::Cgroup &root, ServerOptions &options,
                        const std::string &name, Session &session)
{
    options.has_stderr = true;
    const auto served = serve(root, options, [&] {
        MountLog(true).line(root.path() + " of " + root.hierarchy_name() + " is at " +
                            options.point);
    });
    if (!served)
        session.refuse(name, served.error());
    return session.code();
}

// Returns, in the command, when the daemon has mounted it or has given up.
int serve_as_daemon(const freezer::Cgroup &root, ServerOptions &options, const std::string &name,
                    Session &session)
{
    std::array<int, 2> pipe{};
    if (::pipe2(pipe.data(), O_CLOEXEC) != 0) {
        session.refuse(name, Error::from_errno(errno, "make a pipe"));
        return session.code();
    }
    const freezer::UniqueFd reader(pipe[0]);
    Announcement announcement{freezer::UniqueFd(pipe[1])};
    const pid_t pid = ::fork();
    if (pid < 0) {
        session.refuse(name, Error::from_errno(errno, "start the server"));
        return session.code();
    }
    if (pid == 0) {
        ::setsid();
        leave_terminal();
        const auto served = serve(root, options, [&] { announcement.tell(0, ""); });
        if (!served)
            announcement.tell(static_cast<char>(exit_code_of(served.error())),
                              served.error().message);
        ::_exit(served ? 0 : 1);
    }
    announcement.pipe.reset();
    std::string message;
    std::array<char, 1024> buffer{};
    ssize_t n;
    while ((n = ::read(reader.get(), buffer.data(), buffer.size())) > 0 ||
           (n < 0 && errno == EINTR))
        message.append(buffer.data(), n > 0 ? static_cast<size_t>(n) : 0);
    if (message.empty())
        session.refuse(name, Error{ErrorKind::kSystem, 0, "the server died before it was mounted"});
    else if (message.front() != 0)
        session.refuse(name, Error{ErrorKind::kSystem, 0, message.substr(1)});
    return session.code();
}

int mount(const MountArguments &args)
{
    Session session("mount", false);
    if (::access("/dev/fuse", F_OK) != 0) {
        session.refuse("freezerctl", Error{ErrorKind::kUnsupported, ENOENT,
                                           "there is no /dev/fuse: run 'modprobe fuse'"});
        return session.code();
    }
    ServerOptions options;
    options.config.use_bpf = !args.no_bpf;
    if (!session.open(options.config))
        return session.code();
    auto root = session.freezer().resolver().by_path(args.root, args.hierarchy);
    if (!root) {
        session.refuse("--root " + args.root, root.error());
        return session.code();
    }
    auto point = prepare_point(args.point);
    if (!point) {
        session.refuse(args.point, point.error());
        return session.code();
    }
    options.point = std::move(*point);
    options.files = {args.words, args.deferred_signals};
    options.allow_other = args.allow_other;
    return args.foreground ? serve_in_foreground(**root, options, args.point, session)
                           : serve_as_daemon(**root, options, args.point, session);
}

int umount(const UmountArguments &args)
{
    Session session("umount", false);
    auto point = resolve_point(args.point);
    if (!point) {
        session.refuse(args.point, point.error());
        return session.code();
    }
    const std::string type = type_mounted_at(*point);
    if (type != kMountType) {
        session.refuse(args.point,
                       Error{ErrorKind::kSystem, EINVAL,
                             type.empty() ? "nothing is mounted there"
                                          : "what is mounted there is " + type +
                                                ", which 'freezerctl mount' did not make: run "
                                                "'umount'"});
        return session.code();
    }
    if (::umount2(point->c_str(), UMOUNT_NOFOLLOW | (args.lazy ? MNT_DETACH : 0)) != 0) {
        const int error = errno;
        session.refuse(args.point,
                       error == EBUSY
                           ? Error{ErrorKind::kSystem, error,
                                   "it is in use: end what works in it or has a file of it open "
                                   "('fuser -m' names them), or add --lazy"}
                           : Error::from_errno(error, "unmount it"));
    }
    return session.code();
}

void describe_mount(Syntax &syntax, MountArguments &args)
{
    syntax.option("DIRECTORY", args.point, "Where to mount it").required();
    syntax.option("--root", args.root, "Only this cgroup and what is below it (default: all)")
        .value("CGROUP");
    syntax.choice("--hierarchy", args.hierarchy,
                  {{"v1", freezer::HierarchyChoice::kV1}, {"v2", freezer::HierarchyChoice::kV2}},
                  "Where to look for the root (default: v2, or v1 where v2 cannot do it)");
    syntax.choice(
        "--words", args.words, {{"2008", freezer::Words::k2008}, {"v1", freezer::Words::kV1}},
        "What freezer.state calls a thawed cgroup: RUNNING (2008, the default) or THAWED");
    syntax.flag("--foreground", args.foreground, "Stay, and log to stderr");
    syntax.flag("--allow-other", args.allow_other,
                "Let other users in, each with the rights it has in the cgroups");
    syntax.flag("--deferred-signals", args.deferred_signals,
                "Keep signals to a frozen cgroup until it is thawed (v2)");
    syntax.flag("--no-bpf", args.no_bpf, "Do not use BPF: the kernel's notifications alone wake");
}

void describe_umount(Syntax &syntax, UmountArguments &args)
{
    syntax.option("DIRECTORY", args.point, "Where it is mounted").required();
    syntax.flag("--lazy", args.lazy, "Also when it is in use");
}

} // namespace

void add_mount_verbs(Cli &cli)
{
    cli.add_verb<MountArguments>(
        {"mount"}, "Show cgroups as the file system of 2008: freezer.state, tasks, signal.kill",
        describe_mount, mount);
    cli.add_verb<UmountArguments>({"umount"}, "Unmount what mount mounted; no cgroup changes",
                                  describe_umount, umount);
}

} // namespace freezerctl
