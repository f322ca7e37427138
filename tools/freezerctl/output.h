// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// What the command says: on stdout, into a file, on stderr.
#ifndef FREEZERCTL_TOOLS_OUTPUT_H
#define FREEZERCTL_TOOLS_OUTPUT_H

#include <string>
#include <string_view>
#include <utility>

namespace freezerctl
{

// Not stdio: its first use takes page faults and system calls just when somebody waits for the
// line, and with it what could not be written is easily forgotten.
class Output
{
  public:
    enum class When {
        kKept, // until there is much of it, or flush()
        kAtOnce,
    };

    // The descriptor stays the caller's. `name` is for errors.
    Output(int fd, std::string name, When when) : fd_(fd), name_(std::move(name)), when_(when) {}
    Output(const Output &) = delete;
    Output &operator=(const Output &) = delete;

    // False, from the first write that fails on: after that nothing more is written.
    bool print(std::string_view text);
    bool flush();

    // Why a write failed (an errno value); 0: none did.
    [[nodiscard]] int error() const { return error_; }
    // Says so on stderr, once, unless the reader has gone; and returns the exit code for it. Only
    // where there was an error.
    [[nodiscard]] int complain_of_error();

  private:
    int fd_;
    std::string name_;
    When when_;
    std::string kept_;
    int error_ = 0;
    bool complained_ = false;
};

// stdout's, which keeps. Whoever ends the process otherwise than by returning from main() flushes
// it.
Output &standard_output();

bool print(std::string_view text); // to stdout

// To stderr, at once and after what was printed before.
void complain(std::string_view text);

} // namespace freezerctl

#endif
