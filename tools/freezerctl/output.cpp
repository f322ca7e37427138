// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "tools/freezerctl/output.h"

#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>

#include "tools/freezerctl/exit_code.h"
#include "tools/freezerctl/text.h"

namespace freezerctl
{
namespace
{

// Larger than most reports, and than a pipe's buffer, so that a reader has something to do
// meanwhile.
constexpr size_t kMostKept = size_t{256} * 1024;

// 0, or why not all of it is written.
int write_all(int fd, std::string_view text)
{
    while (!text.empty()) {
        const ssize_t n = ::write(fd, text.data(), text.size());
        if (n < 0 && errno != EINTR)
            return errno;
        if (n > 0)
            text.remove_prefix(static_cast<size_t>(n));
    }
    return 0;
}

} // namespace

bool Output::print(std::string_view text)
{
    if (error_ != 0)
        return false;
    kept_ += text;
    return (when_ == When::kKept && kept_.size() < kMostKept) || flush();
}

bool Output::flush()
{
    if (error_ == 0)
        error_ = write_all(fd_, kept_);
    kept_.clear();
    return error_ == 0;
}

int Output::complain_of_error()
{
    // As a shell shows a command whose reader has gone.
    if (error_ == EPIPE)
        return kSignal + SIGPIPE;
    if (!std::exchange(complained_, true))
        complain("freezerctl: write to " + printable(name_) + ": " + std::strerror(error_) + "\n");
    return kFailed;
}

Output &standard_output()
{
    static Output output(STDOUT_FILENO, "stdout", Output::When::kKept);
    return output;
}

bool print(std::string_view text)
{
    return standard_output().print(text);
}

void complain(std::string_view text)
{
    (void)standard_output().flush();
    (void)write_all(STDERR_FILENO, text);
}

} // namespace freezerctl
