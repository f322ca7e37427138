// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "tests/support/command.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <sstream>
#include <stdexcept>

#include "tests/support/scratch.h"

namespace test
{
namespace
{

constexpr int kPatienceMs = 60'000;

// The number of the system call that the process sleeps in; -1: it runs, or is gone.
long sleeping_in(pid_t pid)
{
    std::istringstream text(read_file("/proc/" + std::to_string(pid) + "/syscall"));
    long number = -1;
    text >> number;
    return text ? number : -1;
}

bool is_epoll_wait(long number)
{
#ifdef SYS_epoll_wait
    if (number == SYS_epoll_wait)
        return true;
#endif
#ifdef SYS_epoll_pwait2
    if (number == SYS_epoll_pwait2)
        return true;
#endif
    return number == SYS_epoll_pwait;
}

} // namespace

std::string binary()
{
    const char *const path = std::getenv("FREEZERCTL");
    return path ? path : "build/freezerctl";
}

Command::Command(const std::vector<std::string> &arguments, const std::function<void()> &before)
{
    std::string program = binary();
    std::vector<std::string> words{program};
    words.insert(words.end(), arguments.begin(), arguments.end());
    std::vector<char *> argv;
    argv.reserve(words.size() + 1);
    for (std::string &word : words)
        argv.push_back(word.data());
    argv.push_back(nullptr);

    std::array<int, 2> out_pipe{};
    std::array<int, 2> err_pipe{};
    if (::pipe2(out_pipe.data(), O_CLOEXEC) != 0 || ::pipe2(err_pipe.data(), O_CLOEXEC) != 0)
        throw std::runtime_error("pipe2");
    pid_ = ::fork();
    if (pid_ < 0)
        throw std::runtime_error("fork");
    if (pid_ == 0) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        const int null = ::open("/dev/null", O_RDONLY);
        ::dup2(null, STDIN_FILENO);
        ::dup2(out_pipe[1], STDOUT_FILENO);
        ::dup2(err_pipe[1], STDERR_FILENO);
        if (before)
            before();
        ::execv(argv[0], argv.data());
        ::_exit(127);
    }
    ::close(out_pipe[1]);
    ::close(err_pipe[1]);
    fds_ = {out_pipe[0], err_pipe[0]};
}

Command::~Command()
{
    if (pid_ > 0) {
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
    }
    close(0);
    close(1);
}

void Command::signal(int number) const
{
    if (pid_ > 0) // -1 is every process of the machine
        ::kill(pid_, number);
}

bool Command::wait_until_it_waits()
{
    siginfo_t info{};
    return eventually([&] {
               return is_epoll_wait(sleeping_in(pid_)) ||
                      (::waitid(P_PID, static_cast<id_t>(pid_), &info,
                                WEXITED | WNOHANG | WNOWAIT) == 0 &&
                       info.si_pid == pid_);
           }) &&
           info.si_pid != pid_;
}

bool Command::says(const std::string &text)
{
    while (out.find(text) == std::string::npos && err.find(text) == std::string::npos) {
        if (read_some() != Read::kSome)
            return false;
    }
    return true;
}

void Command::close_output()
{
    close(0);
}

void Command::close(size_t stream)
{
    if (fds_[stream] >= 0)
        ::close(fds_[stream]);
    fds_[stream] = -1;
}

Command::Read Command::read_some()
{
    if (fds_[0] < 0 && fds_[1] < 0)
        return Read::kEnd;
    std::array<pollfd, 2> set{{{fds_[0], POLLIN, 0}, {fds_[1], POLLIN, 0}}};
    const int ready = ::poll(set.data(), set.size(), kPatienceMs);
    if (ready < 0 && errno == EINTR)
        return Read::kSome;
    if (ready <= 0)
        return Read::kTimeout;
    for (size_t i = 0; i < set.size(); ++i) {
        if (set[i].revents == 0)
            continue;
        std::array<char, 4096> buffer{};
        const ssize_t n = ::read(fds_[i], buffer.data(), buffer.size());
        if (n > 0)
            (i == 0 ? out : err).append(buffer.data(), static_cast<size_t>(n));
        else
            close(i);
    }
    return Read::kSome;
}

Ran Command::finish()
{
    Read read = Read::kSome;
    while (read == Read::kSome)
        read = read_some();
    if (read == Read::kTimeout) {
        ADD_FAILURE() << "the command did not end";
        ::kill(pid_, SIGKILL);
    }
    int status = 0;
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    pid_ = -1;
    return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), out, err};
}

Ran run(const std::string &arguments)
{
    std::istringstream text(arguments);
    std::vector<std::string> words;
    for (std::string word; text >> word;)
        words.push_back(word);
    return run(words);
}

Ran run(const std::vector<std::string> &arguments)
{
    return Command(arguments).finish();
}

} // namespace test
