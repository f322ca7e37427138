// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "tests/support/foreigner.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <system_error>

#include "tests/support/scratch.h"

namespace test
{
namespace
{

bool has_inotify_watch(pid_t pid)
{
    const std::string path = "/proc/" + std::to_string(pid) + "/fdinfo";
    DIR *const directory = ::opendir(path.c_str());
    if (!directory)
        return false;
    bool found = false;
    while (const dirent *const entry = ::readdir(directory)) {
        if (read_file(path + "/" + entry->d_name).find("inotify wd:") != std::string::npos)
            found = true;
    }
    ::closedir(directory);
    return found;
}

} // namespace

// No event tells that another process has fallen asleep: /proc/PID/syscall names the call that it
// is blocked in. Where the kernel does not show it, any sleep will do.
bool sleeps_in_epoll(pid_t pid)
{
    const std::string proc = "/proc/" + std::to_string(pid);
    const std::string call = read_file(proc + "/syscall");
    if (call.empty()) {
        const std::string stat = read_file(proc + "/stat");
        return stat.find(") S ") != std::string::npos;
    }
    char *end = nullptr;
    const long number = std::strtol(call.c_str(), &end, 10);
    if (end == call.c_str())
        return false; // "running"
#ifdef SYS_epoll_wait
    if (number == SYS_epoll_wait)
        return true;
#endif
    return number == SYS_epoll_pwait;
}

Foreigner::Foreigner(const std::function<bool()> &action, When when,
                     const std::function<bool()> &prepare)
{
    int ready[2];
    if (::pipe2(ready, O_CLOEXEC) != 0)
        throw std::system_error(errno, std::generic_category(), "pipe2");
    const pid_t parent = ::getpid();
    pid_ = ::fork();
    if (pid_ < 0)
        throw std::system_error(errno, std::generic_category(), "fork");
    if (pid_ == 0) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        ::prctl(PR_SET_NAME, kComm);
        if (::getppid() != parent || !prepare() || ::write(ready[1], "", 1) != 1)
            ::_exit(1);
        const bool moment = when == When::kAtOnce || eventually([&] {
                                return (when != When::kWatching || has_inotify_watch(parent)) &&
                                       sleeps_in_epoll(parent);
                            });
        ::_exit(moment && action() ? 0 : 1);
    }
    ::close(ready[1]);
    char byte;
    const bool prepared = ::read(ready[0], &byte, 1) == 1;
    ::close(ready[0]);
    if (!prepared) {
        ::waitpid(pid_, nullptr, 0);
        throw std::system_error(ECHILD, std::generic_category(), "the foreigner did not start");
    }
}

Foreigner::~Foreigner()
{
    if (reaped_)
        return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
}

bool Foreigner::succeeded()
{
    int status = 0;
    reaped_ = true;
    return ::waitpid(pid_, &status, 0) == pid_ && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

} // namespace test
