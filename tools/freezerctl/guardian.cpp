// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "tools/freezerctl/guardian.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <exception>
#include <memory>
#include <utility>
#include <vector>

#include "user/files.h"

namespace freezerctl
{
namespace
{

using freezer::Error;
using freezer::UniqueFd;

// The longest letter: a byte for each target of a command line and a little.
constexpr size_t kLongestLetter = 1 << 17;

// Whoever waits for the end of a pipe waits until the last one has closed it.
void close_all_but_cgroups(int kept)
{
    std::vector<int> others;
    {
        const std::unique_ptr<DIR, int (*)(DIR *)> all(::opendir("/proc/self/fd"), &::closedir);
        while (const dirent *const entry = all ? ::readdir(all.get()) : nullptr) {
            const auto fd = freezer::parse_number(entry->d_name);
            struct statfs fs {
            };
            if (!fd || ::fstatfs(static_cast<int>(*fd), &fs) != 0)
                continue;
            if (static_cast<int>(*fd) > STDERR_FILENO && static_cast<int>(*fd) != kept &&
                static_cast<int>(*fd) != ::dirfd(all.get()) && fs.f_type != CGROUP2_SUPER_MAGIC &&
                fs.f_type != CGROUP_SUPER_MAGIC)
                others.push_back(static_cast<int>(*fd));
        }
    }
    for (const int fd : others)
        ::close(fd);
}

// In the child: nothing that ends or stops others is to end or stop it.
void step_aside(int socket)
{
    ::setsid();
    for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGTTIN, SIGTTOU, SIGPIPE,
                             SIGALRM, SIGUSR1, SIGUSR2})
        (void)::signal(signal, SIG_IGN);
    ::prctl(PR_SET_NAME, "freezer-guard");
    UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
    for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
        (void)::dup2(null.get(), stream);
    null.reset();
    close_all_but_cgroups(socket);
    (void)!::chdir("/");
}

} // namespace

std::optional<std::string> Letters::read()
{
    std::string text(kLongestLetter, '\0');
    ssize_t n = 0;
    while ((n = ::recv(socket_.get(), text.data(), text.size(), 0)) < 0 && errno == EINTR) {
    }
    if (n <= 0) {
        socket_.reset();
        return std::nullopt;
    }
    text.resize(static_cast<size_t>(n));
    return text;
}

freezer::Result<Guardian> Guardian::start(const std::function<void(Letters &)> &duty)
{
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0)
        return Error::from_errno(errno, "make a socket");
    Guardian guardian;
    guardian.socket_ = UniqueFd(ends[0]);
    UniqueFd its_end(ends[1]);
    guardian.pid_ = ::fork();
    if (guardian.pid_ < 0)
        return Error::from_errno(errno, "start a process");
    if (guardian.pid_ == 0) {
        guardian.socket_.reset();
        step_aside(its_end.get());
        (void)!::send(its_end.get(), "", 1, MSG_NOSIGNAL); // it stands
        try {
            Letters letters(std::move(its_end));
            duty(letters);
        } catch (const std::exception &) {
            ::_exit(1);
        }
        ::_exit(0);
    }
    its_end.reset();
    char byte = 0;
    ssize_t n = 0;
    while ((n = ::recv(guardian.socket_.get(), &byte, 1, 0)) < 0 && errno == EINTR) {
    }
    if (n != 1)
        return Error{freezer::ErrorKind::kSystem, 0, "the guardian did not start"};
    return guardian;
}

Guardian::Guardian(Guardian &&other) noexcept
    : pid_(std::exchange(other.pid_, -1)), socket_(std::move(other.socket_))
{
}

Guardian::~Guardian()
{
    socket_.reset();
    while (pid_ > 0 && ::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
}

freezer::Status Guardian::tell(const std::string &text) const
{
    if (::send(socket_.get(), text.data(), text.size(), MSG_NOSIGNAL) < 0)
        return Error::from_errno(errno, "tell the guardian");
    return {};
}

} // namespace freezerctl
