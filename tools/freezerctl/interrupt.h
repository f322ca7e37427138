// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#ifndef FREEZERCTL_TOOLS_INTERRUPT_H
#define FREEZERCTL_TOOLS_INTERRUPT_H

#include <sys/signalfd.h>
#include <unistd.h>

#include <csignal>

#include "user/unique_fd.h"

namespace freezerctl
{

// SIGINT and SIGTERM as something to wait for. Once blocked they stay so: from then on only an
// orderly end, with its rollback, may end the process.
class InterruptFd
{
  public:
    InterruptFd()
    {
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, SIGINT);
        sigaddset(&set, SIGTERM);
        sigprocmask(SIG_BLOCK, &set, nullptr);
        fd_ = freezer::UniqueFd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
    }
    [[nodiscard]] int get() const { return fd_.get(); }
    // The signal that came, SIGTERM if none can be read.
    [[nodiscard]] signalfd_siginfo read() const
    {
        signalfd_siginfo info{};
        if (::read(fd_.get(), &info, sizeof(info)) != sizeof(info))
            info.ssi_signo = SIGTERM;
        return info;
    }
    [[nodiscard]] int signal_number() const { return static_cast<int>(read().ssi_signo); }

  private:
    freezer::UniqueFd fd_;
};

} // namespace freezerctl

#endif
