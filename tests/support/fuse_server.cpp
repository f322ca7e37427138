// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "tests/support/fuse_server.h"

#define FUSE_USE_VERSION 312
#include <fuse3/fuse_lowlevel.h>

#include <fcntl.h>
#include <poll.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>

namespace test
{
namespace
{

constexpr fuse_ino_t kFile = 2;
constexpr const char *kName = "file";

struct Server {
    bool cached;
    int taken;
};

struct stat stat_of(fuse_ino_t inode)
{
    struct stat st {
    };
    st.st_ino = inode;
    st.st_mode = inode == kFile ? S_IFREG | 0444 : S_IFDIR | 0755;
    st.st_nlink = 1;
    st.st_size = inode == kFile ? 4096 : 0;
    return st;
}

void lookup(fuse_req_t request, fuse_ino_t /*parent*/, const char *name)
{
    if (std::strcmp(name, kName) != 0) {
        fuse_reply_err(request, ENOENT);
        return;
    }
    fuse_entry_param entry{};
    entry.ino = kFile;
    entry.attr = stat_of(kFile);
    entry.attr_timeout = 3600;
    entry.entry_timeout = 3600;
    fuse_reply_entry(request, &entry);
}

void getattr(fuse_req_t request, fuse_ino_t inode, fuse_file_info * /*file*/)
{
    const struct stat st = stat_of(inode);
    fuse_reply_attr(request, &st, 3600);
}

void open_file(fuse_req_t request, fuse_ino_t /*inode*/, fuse_file_info *file)
{
    const auto *const server = static_cast<const Server *>(fuse_req_userdata(request));
    file->direct_io = !server->cached;
    fuse_reply_open(request, file);
}

// The request stays with the server for ever.
void read_file_data(fuse_req_t request, fuse_ino_t /*inode*/, size_t /*size*/, off_t /*at*/,
                    fuse_file_info * /*file*/)
{
    const auto *const server = static_cast<const Server *>(fuse_req_userdata(request));
    (void)!::write(server->taken, "r", 1);
}

// Writes "m" when it is mounted, or ends.
[[noreturn]] void serve(const std::string &dir, bool cached, int taken)
{
    Server server{cached, taken};
    fuse_lowlevel_ops operations{};
    operations.lookup = lookup;
    operations.getattr = getattr;
    operations.open = open_file;
    operations.read = read_file_data;
    std::array<char *, 2> words{const_cast<char *>("test"), nullptr};
    fuse_args args = FUSE_ARGS_INIT(1, words.data());
    fuse_session *const session = fuse_session_new(&args, &operations, sizeof(operations), &server);
    if (session && fuse_session_mount(session, dir.c_str()) == 0) {
        (void)!::write(taken, "m", 1);
        fuse_session_loop(session);
    }
    ::_exit(1);
}

} // namespace

FuseServer::FuseServer(bool cached)
{
    if (::access("/dev/fuse", R_OK | W_OK) != 0) {
        why_ = std::string("no /dev/fuse: ") + std::strerror(errno);
        return;
    }
    std::string name = "/tmp/freezerctl-test-fuse-XXXXXX";
    if (!::mkdtemp(name.data()))
        std::abort();
    dir_ = name;
    std::array<int, 2> pipe{};
    if (::pipe2(pipe.data(), O_CLOEXEC) != 0)
        std::abort();
    const pid_t parent = ::getpid();
    pid_ = ::fork();
    if (pid_ < 0)
        std::abort();
    if (pid_ == 0) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        ::prctl(PR_SET_NAME, "fuse-test-srv");
        if (::getppid() != parent)
            ::_exit(1);
        ::close(pipe[0]);
        serve(dir_, cached, pipe[1]);
    }
    ::close(pipe[1]);
    taken_ = pipe[0];
    char byte = 0;
    if (::read(taken_, &byte, 1) != 1 || byte != 'm')
        why_ = "a FUSE file system cannot be mounted here";
}

FuseServer::~FuseServer()
{
    stop();
    if (!dir_.empty()) {
        ::umount2(dir_.c_str(), MNT_DETACH);
        ::rmdir(dir_.c_str());
    }
    if (taken_ >= 0)
        ::close(taken_);
}

void FuseServer::stop()
{
    if (pid_ <= 0)
        return;
    // Scratch's destructor reaps whatever has ended: the number may not be ours any more.
    siginfo_t info{};
    if (::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) == 0) {
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
    }
    pid_ = -1;
}

pid_t FuseServer::spawn_reader(Scratch &scratch, const std::string &below)
{
    const pid_t pid = scratch.spawn(
        [this] {
            const int fd = ::open((dir_ + "/" + kName).c_str(), O_RDONLY | O_CLOEXEC);
            std::array<char, 64> buffer{};
            (void)!::read(fd, buffer.data(), buffer.size());
            sleep_for_ever();
        },
        below);
    char byte = 0;
    pollfd taken{taken_, POLLIN, 0};
    if (::poll(&taken, 1, 30000) != 1 || ::read(taken_, &byte, 1) != 1)
        std::abort(); // the request never came
    return pid;
}

} // namespace test
