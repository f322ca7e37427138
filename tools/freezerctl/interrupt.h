// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#ifndef FREEZERCTL_TOOLS_INTERRUPT_H
#define FREEZERCTL_TOOLS_INTERRUPT_H

#include <sys/signalfd.h>
#include <unistd.h>

#include <csignal>
#include <initializer_list>

#include "user/unique_fd.h"

namespace freezerctl
{

inline constexpr std::initializer_list<int> kInterrupts{SIGINT, SIGTERM};
// What a command that runs for us is sent in our place.
inline constexpr std::initializer_list<int> kPassedOn{SIGINT,  SIGTERM, SIGHUP,
                                                      SIGQUIT, SIGUSR1, SIGUSR2};

// Signals as something to wait for. Once blocked they stay so: from
// then on only an orderly end, with its rollback, may end the process.
class InterruptFd
{
  public:
    explicit InterruptFd(std::initializer_list<int> signals = kInterrupts)
    {
        sigset_t set;
        sigemptyset(&set);
        for (const int signal : signals)
            sigaddset(&set, signal);
        sigprocmask(SIG_BLOCK, &set, &mask_before_);
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
    // What was blocked before: for a command.
    [[nodiscard]] const sigset_t &mask_before() const { return mask_before_; }

  private:
    sigset_t mask_before_{};
    freezer::UniqueFd fd_;
};

} // namespace freezerctl

#endif
