// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "tools/bench/process.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <ctime>
#include <sstream>
#include <string_view>
#include <system_error>

#include "user/duration.h"
#include "user/files.h"
#include "user/unique_fd.h"

namespace bench
{
namespace
{

// Far beyond what any contestant needs: one that hangs must not hang the benchmark.
constexpr int kPatienceMs = 60'000;
constexpr size_t kOutputKept = 8000;
constexpr size_t kOutputShown = 400;

volatile std::sig_atomic_t g_signal = 0;

// posix_spawn(3) and not fork(2): it does not copy the page tables, so that what the benchmark has
// in memory is not a part of the time.
pid_t spawn(const Arguments &arguments, int output)
{
    std::vector<char *> argv;
    argv.reserve(arguments.size() + 1);
    for (const std::string &argument : arguments)
        argv.push_back(const_cast<char *>(argument.c_str()));
    argv.push_back(nullptr);

    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    ::posix_spawn_file_actions_init(&files);
    ::posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    ::posix_spawn_file_actions_adddup2(&files, output, STDOUT_FILENO);
    ::posix_spawn_file_actions_adddup2(&files, output, STDERR_FILENO);
    ::posix_spawnattr_init(&attributes);
    ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
    pid_t pid = -1;
    const int error = ::posix_spawn(&pid, argv.front(), &files, &attributes, argv.data(), environ);
    ::posix_spawnattr_destroy(&attributes);
    ::posix_spawn_file_actions_destroy(&files);
    if (error != 0)
        throw Failure("run " + arguments.front() + ": " + std::generic_category().message(error));
    return pid;
}

// Returns when the process has ended, or kills it. `on_output`: what is to be done whenever there
// is something to read at `output`; -1: nothing is expected.
template <typename OnOutput> void wait_for_end(pid_t pid, int output, const OnOutput &on_output)
{
    const freezer::UniqueFd end(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    for (;;) {
        std::array<pollfd, 2> readable{{{end.get(), POLLIN, 0}, {output, POLLIN, 0}}};
        const int n = ::poll(readable.data(), readable.size(), kPatienceMs);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            ::kill(pid, SIGKILL);
        if (n <= 0 || readable[0].revents != 0)
            return;
        if (!on_output())
            output = -1;
    }
}

int reap(pid_t pid)
{
    int status = 0;
    while (::waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR)
            throw Failure("wait for a program");
    }
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

// A file in memory for what a program prints.
class Output
{
  public:
    Output() : fd_(::memfd_create("output", MFD_CLOEXEC))
    {
        if (!fd_)
            throw Failure("no file for the output of a program");
    }
    [[nodiscard]] int fd() const { return fd_.get(); }
    [[nodiscard]] std::string text() const
    {
        std::string text = need(freezer::read_all(fd_.get(), "output")).substr(0, kOutputKept);
        text.resize(text.find_last_not_of(" \n") + 1);
        return text;
    }

  private:
    freezer::UniqueFd fd_;
};

void must_be_well(const Arguments &arguments, int status, const std::string &output)
{
    if (status == 0)
        return;
    // Of a thousand cgroups the first few words say which command it was.
    std::string command = arguments.front();
    for (size_t i = 1; i < std::min<size_t>(arguments.size(), 4); ++i)
        command += " " + arguments[i];
    throw Failure("'" + command + "' ended with " + std::to_string(status) + ": " +
                  output.substr(0, kOutputShown));
}

// Runs a process that was seized with PTRACE_O_TRACEEXIT until it is about to end; false if it
// ended without that stop.
bool stops_at_its_end(pid_t pid)
{
    constexpr int kEnding = SIGTRAP | PTRACE_EVENT_EXIT << 8;
    for (;;) {
        int status = 0;
        // It stays to be reaped when it has ended.
        siginfo_t info{};
        if (::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WSTOPPED | WNOWAIT) != 0) {
            if (errno == EINTR)
                continue;
            return false;
        }
        if (info.si_code != CLD_TRAPPED && info.si_code != CLD_STOPPED)
            return false;
        if (::waitpid(pid, &status, __WALL) != pid)
            return false;
        if (status >> 8 == kEnding)
            return true;
        // On its way to it: a signal, which it shall have.
        ::ptrace(PTRACE_CONT, pid, nullptr, WSTOPSIG(status));
    }
}

} // namespace

void catch_signals()
{
    struct sigaction action {
    };
    action.sa_handler = [](int signal) { g_signal = signal; };
    for (const int signal : {SIGINT, SIGTERM})
        ::sigaction(signal, &action, nullptr);
}

void check_interrupt()
{
    if (g_signal != 0)
        throw Interrupted(g_signal);
}

void rest_until(std::uint64_t deadline_ns)
{
    const timespec until{static_cast<time_t>(deadline_ns / 1'000'000'000),
                         static_cast<long>(deadline_ns % 1'000'000'000)};
    do
        check_interrupt();
    while (::clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr) == EINTR);
}

void rest(std::uint64_t ns)
{
    rest_until(freezer::now_ns() + ns);
}

void need(const freezer::Status &status)
{
    if (!status)
        throw Failure(status.error().message);
}

Ran run(const Arguments &arguments)
{
    const Output output;
    Ran ran;
    ran.begin_ns = freezer::now_ns();
    const pid_t pid = spawn(arguments, output.fd());
    wait_for_end(pid, -1, [] { return false; });
    ran.status = reap(pid);
    ran.end_ns = freezer::now_ns();
    ran.output = output.text();
    return ran;
}

Ran run_told(const Arguments &arguments)
{
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0)
        throw Failure("no pipe for the output of a program");
    const freezer::UniqueFd output(ends[0]);
    freezer::UniqueFd input(ends[1]);
    (void)::fcntl(output.get(), F_SETFL, O_NONBLOCK);
    Ran ran;
    // False: there is no more.
    const auto read_out = [&] {
        std::array<char, 4096> text;
        ssize_t n = 0;
        while ((n = ::read(output.get(), text.data(), text.size())) > 0) {
            if (ran.told_ns == 0)
                ran.told_ns = freezer::now_ns();
            if (ran.output.size() < kOutputKept)
                ran.output.append(text.data(), static_cast<size_t>(n));
        }
        return n < 0 && errno == EAGAIN;
    };
    ran.begin_ns = freezer::now_ns();
    const pid_t pid = spawn(arguments, input.get());
    input.reset();
    wait_for_end(pid, output.get(), read_out);
    ran.status = reap(pid);
    ran.end_ns = freezer::now_ns();
    (void)read_out();
    if (ran.told_ns == 0 || ran.told_ns > ran.end_ns)
        ran.told_ns = ran.end_ns;
    must_be_well(arguments, ran.status, ran.output);
    return ran;
}

Ran run_well(const Arguments &arguments)
{
    Ran ran = run(arguments);
    must_be_well(arguments, ran.status, ran.output);
    return ran;
}

long peak_memory_kib(const Arguments &arguments)
{
    const Output output;
    const pid_t pid = spawn(arguments, output.fd());
    long peak_kib = 0;
    if (::ptrace(PTRACE_SEIZE, pid, nullptr, PTRACE_O_TRACEEXIT) == 0 && stops_at_its_end(pid)) {
        const std::string text = freezer::read_text("/proc/" + std::to_string(pid) + "/status");
        for (const std::string_view line : freezer::split_lines(text)) {
            const auto words = freezer::split_words(line);
            if (words.size() > 1 && words[0] == "VmHWM:")
                peak_kib = std::strtol(words[1].data(), nullptr, 10);
        }
        ::ptrace(PTRACE_CONT, pid, nullptr, 0);
    }
    must_be_well(arguments, reap(pid), output.text());
    return peak_kib;
}

std::optional<std::string> find_program(const std::string &name)
{
    const char *const path = std::getenv("PATH");
    std::istringstream directories(path ? path : "/usr/sbin:/usr/bin:/sbin:/bin");
    for (std::string directory; std::getline(directories, directory, ':');) {
        const std::string file = directory.append("/").append(name);
        if (::access(file.c_str(), X_OK) == 0)
            return file;
    }
    return std::nullopt;
}

} // namespace bench
