// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "tools/freezerctl/command.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "user/files.h"

namespace freezerctl
{
namespace
{

// As fork(2), with the child born in the cgroup, or moved there before this returns.
freezer::Result<pid_t> fork_into(int cgroup)
{
    clone_args args{};
    args.flags = CLONE_INTO_CGROUP;
    args.exit_signal = SIGCHLD;
    args.cgroup = static_cast<__u64>(cgroup);
    auto pid = static_cast<pid_t>(::syscall(SYS_clone3, &args, sizeof(args)));
    if (pid >= 0)
        return pid;
    // clone3(2): 5.3, and container filters hide it; CLONE_INTO_CGROUP: 5.7.
    if (errno != ENOSYS && errno != E2BIG && errno != EINVAL)
        return freezer::Error::from_errno(errno, "start a process in the cgroup");
    pid = ::fork();
    if (pid < 0)
        return freezer::Error::from_errno(errno, "start a process");
    if (pid == 0)
        return pid;
    if (auto moved = freezer::write_file_at(cgroup, "cgroup.procs", std::to_string(pid)); !moved) {
        (void)::kill(pid, SIGKILL);
        (void)::waitpid(pid, nullptr, 0);
        return std::move(moved).error();
    }
    return pid;
}

// In the child, after fork(2): system calls only.
[[noreturn]] void run_when_told(int go, int failed, char *const *arguments,
                                const CommandOptions &options)
{
    // Should its parent be gone by now, the end of `go` tells.
    if (options.death_signal != 0)
        ::prctl(PR_SET_PDEATHSIG, options.death_signal);
    if (options.mask)
        ::sigprocmask(SIG_SETMASK, &*options.mask, nullptr);
    char word = 0;
    ssize_t n = 0;
    while ((n = ::read(go, &word, 1)) < 0 && errno == EINTR) {
    }
    if (n != 1)
        ::_exit(0);
    ::execvp(arguments[0], arguments);
    const int error = errno;
    (void)!::write(failed, &error, sizeof(error));
    ::_exit(error == ENOENT ? 127 : 126);
}

} // namespace

// Not in the header, where g++ 12 takes the -1 of a descriptor that was moved from for a pointer of
// the Result around it, and warns that it is freed.
Command::Command(Command &&other) noexcept = default;
Command &Command::operator=(Command &&other) noexcept = default;

freezer::Result<Command> Command::prepare(const std::vector<std::string> &arguments,
                                          const CommandOptions &options)
{
    std::vector<char *> argv;
    argv.reserve(arguments.size() + 1);
    for (const std::string &argument : arguments)
        argv.push_back(const_cast<char *>(argument.c_str()));
    argv.push_back(nullptr);

    int go[2];
    int failed[2];
    if (::pipe2(go, O_CLOEXEC) != 0)
        return freezer::Error::from_errno(errno, "make a pipe");
    Command command;
    const freezer::UniqueFd go_reader(go[0]);
    command.go_ = freezer::UniqueFd(go[1]);
    if (::pipe2(failed, O_CLOEXEC) != 0)
        return freezer::Error::from_errno(errno, "make a pipe");
    command.failed_ = freezer::UniqueFd(failed[0]);
    const freezer::UniqueFd failed_writer(failed[1]);

    if (options.cgroup >= 0) {
        auto pid = fork_into(options.cgroup);
        if (!pid)
            return std::move(pid).error();
        command.pid_ = *pid;
    } else {
        command.pid_ = ::fork();
    }
    if (command.pid_ < 0)
        return freezer::Error::from_errno(errno, "start a process");
    if (command.pid_ == 0) {
        // Else it would hold its own door open.
        command.go_.reset();
        command.failed_.reset();
        run_when_told(go[0], failed[1], argv.data(), options);
    }
    // pidfd_open(2): 5.3
    command.pidfd_ =
        freezer::UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, command.pid_, 0)));
    if (!command.pidfd_)
        return freezer::Error::from_errno(errno, "watch the command");
    return command;
}

freezer::Status Command::start()
{
    auto given = give_word();
    return given ? started() : given;
}

freezer::Status Command::give_word()
{
    if (::write(go_.get(), "g", 1) != 1)
        return freezer::Error::from_errno(errno, "start the command");
    go_.reset();
    return {};
}

freezer::Status Command::started()
{
    // Ends when execvp(3) has closed the other end.
    int error = 0;
    ssize_t n = 0;
    while ((n = ::read(failed_.get(), &error, sizeof(error))) < 0 && errno == EINTR) {
    }
    if (n == static_cast<ssize_t>(sizeof(error)))
        return freezer::Error::from_errno(error, "run the command");
    return {};
}

void Command::send_signal(int number) const
{
    (void)::syscall(SYS_pidfd_send_signal, pidfd_.get(), number, nullptr, 0);
}

void Command::pass_on(const signalfd_siginfo &info) const
{
    if (info.ssi_code != SI_KERNEL)
        send_signal(static_cast<int>(info.ssi_signo));
}

int Command::finish() const
{
    int status = 0;
    while (::waitpid(pid_, &status, 0) < 0) {
        if (errno != EINTR)
            return 1;
    }
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

} // namespace freezerctl
