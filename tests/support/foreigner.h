// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// Somebody else who comes in between.
#ifndef FREEZERCTL_TESTS_FOREIGNER_H
#define FREEZERCTL_TESTS_FOREIGNER_H

#include <sys/types.h>

#include <functional>
#include <string>

namespace test
{

// A process outside the cgroups under test that acts once on them, while the test is inside an
// operation of the library. Its name is kComm.
class Foreigner
{
  public:
    static constexpr const char *kComm = "foreigner";

    enum class When {
        kAsleep,   // as soon as the test sleeps in epoll
        kWatching, // and has an inotify watch
        kAtOnce,   // the action waits for its moment itself
    };
    // Returns when `prepare` has run in the other process, which then waits for its moment and runs
    // `action`. Both return whether they succeeded.
    explicit Foreigner(
        const std::function<bool()> &action, When when = When::kAsleep,
        const std::function<bool()> &prepare = [] { return true; });
    Foreigner(const Foreigner &) = delete;
    Foreigner &operator=(const Foreigner &) = delete;
    ~Foreigner();

    [[nodiscard]] pid_t pid() const { return pid_; }
    // Waits for its end: whether it did what it should. Once.
    bool succeeded();

  private:
    pid_t pid_;
    bool reaped_ = false;
};

// Whether the process is blocked in epoll_wait(2) or one of its kind.
bool sleeps_in_epoll(pid_t pid);

} // namespace test

#endif
