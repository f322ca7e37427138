// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// The demo's tasks: sleeping, spinning, multi-threaded, stopped, and in a cgroup below. Its
// argument is a cgroup's directory with a child "nested"; it prints "ready" and lives until its
// input ends.
#include <sys/prctl.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <string>
#include <thread>

namespace
{

void start(const std::string &cgroup, const char *name, const std::function<void()> &body)
{
    const pid_t pid = ::fork();
    if (pid < 0) {
        std::perror("fork");
        std::exit(1);
    }
    if (pid != 0)
        return;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::prctl(PR_SET_NAME, name);
    std::ofstream procs(cgroup + "/cgroup.procs");
    procs << "0" << std::flush;
    if (!procs)
        ::_exit(1);
    body();
    ::_exit(0);
}

void sleep_for_ever()
{
    for (;;)
        ::pause();
}

[[noreturn]] void spin()
{
    for (volatile unsigned long n = 0;;)
        n = n + 1;
}

} // namespace

int main(int argc, char **argv)
{
    if (argc != 2) {
        std::fprintf(stderr, "usage: demo_workload CGROUP_DIRECTORY\n");
        return 2;
    }
    const std::string cgroup = argv[1];
    for (int i = 0; i < 3; ++i)
        start(cgroup, "sleeper", sleep_for_ever);
    start(cgroup, "spinner", spin);
    start(cgroup, "stopped", [] {
        ::raise(SIGSTOP);
        sleep_for_ever();
    });
    start(cgroup, "threads", [] {
        for (int i = 0; i < 3; ++i)
            std::thread(sleep_for_ever).detach();
        sleep_for_ever();
    });
    start(cgroup + "/nested", "nested", sleep_for_ever);
    std::printf("ready\n");
    std::fflush(stdout);
    char byte;
    while (::read(STDIN_FILENO, &byte, 1) > 0) {
    }
    return 0;
}
