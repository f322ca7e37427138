// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// Programs that the benchmark runs, and how it ends itself: Ctrl-C must leave nothing behind, so it
// becomes an exception and every destructor runs.
#ifndef FREEZERCTL_BENCH_PROCESS_H
#define FREEZERCTL_BENCH_PROCESS_H

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "user/result.h"

namespace bench
{

using Arguments = std::vector<std::string>;

// What keeps one contestant, or the whole benchmark, from going on.
class Failure : public std::runtime_error
{
  public:
    using std::runtime_error::runtime_error;
};

class Interrupted : public std::exception
{
  public:
    explicit Interrupted(int signal) : signal_(signal) {}
    [[nodiscard]] const char *what() const noexcept override { return "interrupted"; }
    [[nodiscard]] int signal() const { return signal_; }

  private:
    int signal_;
};

// From now on SIGINT and SIGTERM only make the next check_interrupt() throw.
void catch_signals();
void check_interrupt();
// Sleeps; throws Interrupted.
void rest_until(std::uint64_t deadline_ns);
void rest(std::uint64_t ns);

// The value of what must not fail, or a Failure with its error.
template <typename T> T need(freezer::Result<T> result)
{
    if (!result)
        throw Failure(result.error().message);
    return std::move(*result);
}
void need(const freezer::Status &status);

struct Ran {
    std::uint64_t begin_ns = 0; // before it was started
    std::uint64_t told_ns = 0;  // its first output came, if it was run by run_told()
    std::uint64_t end_ns = 0;   // after it was reaped
    int status = 0;             // the exit code, or 128 and the signal that killed it
    std::string output;         // stdout and stderr, as far as it is worth while
};

// Runs a program, given by its whole path, to its end. It is of a process group of its own: Ctrl-C
// on the terminal is for the benchmark, which lets it finish first.
Ran run(const Arguments &arguments);
// The same; any exit code but 0 is a Failure with what it printed.
Ran run_well(const Arguments &arguments);
// The same, with an eye on its output, which goes into a pipe that ends with the program: nothing
// that it leaves behind may write there. A program that prints nothing tells by its end.
Ran run_told(const Arguments &arguments);

// Runs it well once more, for the most memory that it had at one time: "VmHWM" of /proc/PID/status,
// of the moment of its end. getrusage(2) does not tell: what it says is never less than what the
// process had that ran the program, which is the benchmark itself.
// 0: it was missed; so it is when another thread than the first ends the process.
long peak_memory_kib(const Arguments &arguments);

// Where PATH has the program.
std::optional<std::string> find_program(const std::string &name);

} // namespace bench

#endif
