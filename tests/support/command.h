// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// The real binary, as a user runs it.
#ifndef FREEZERCTL_TESTS_COMMAND_H
#define FREEZERCTL_TESTS_COMMAND_H

#include <sys/types.h>

#include <array>
#include <functional>
#include <string>
#include <vector>

namespace test
{

struct Ran {
    int status = -1; // the exit code, or 128 and the number of the signal that killed it
    std::string out;
    std::string err;
};

// The command's file: $FREEZERCTL, else build/freezerctl.
std::string binary();

// A run of the command, with no standard input.
class Command
{
  public:
    // `before` runs in the child just before exec: limits, namespaces, ids, directories.
    explicit Command(const std::vector<std::string> &arguments,
                     const std::function<void()> &before = {});
    Command(const Command &) = delete;
    Command &operator=(const Command &) = delete;
    // Kills it if it still runs.
    ~Command();

    [[nodiscard]] pid_t pid() const { return pid_; }
    // Nothing happens once finish() has returned.
    void signal(int number) const;
    // Reads until it has printed the text on either stream. False: it ended before, or a minute
    // passed.
    bool says(const std::string &text);
    // Ends the reading side of its stdout.
    void close_output();
    // Returns when it sleeps in epoll_wait(2), as it does while it waits for a cgroup; false if it
    // ended instead. No event tells when a process goes to sleep, so this looks again and again.
    bool wait_until_it_waits();
    // Reads what it printed until it ends; fails the test when that takes more than a minute.
    Ran finish();

    // What it has printed, as far as it was read.
    std::string out;
    std::string err;

  private:
    enum class Read { kSome, kEnd, kTimeout };
    Read read_some();
    void close(size_t stream);

    pid_t pid_ = -1;
    std::array<int, 2> fds_{-1, -1}; // of its stdout and stderr
};

// Runs it to its end. The first form splits at spaces.
Ran run(const std::string &arguments);
Ran run(const std::vector<std::string> &arguments);

} // namespace test

#endif
