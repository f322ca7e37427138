// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// The least that a program can be which freezes, or thaws, and looks again after a fixed time until
// it is done, as runc, youki, CRIU and snapd do. Beside the real ones, which do more, it says what
// the waiting alone costs.
//
//     poller MILLISECONDS 1|0 DIRECTORY...
#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>

namespace
{

[[noreturn]] void fail(const char *what)
{
    std::perror(what);
    std::exit(1);
}

int open_file(const char *directory, const char *name, int flags)
{
    char path[4096];
    std::snprintf(path, sizeof(path), "%s/%s", directory, name);
    const int fd = ::open(path, flags | O_CLOEXEC);
    if (fd < 0)
        fail(path);
    return fd;
}

bool says(const char *directory, const char *words)
{
    char text[256];
    const int fd = open_file(directory, "cgroup.events", O_RDONLY);
    const ssize_t n = ::read(fd, text, sizeof(text) - 1);
    if (n < 0)
        fail("read");
    ::close(fd);
    text[n] = '\0';
    return std::strstr(text, words) != nullptr;
}

} // namespace

int main(int argc, char **argv)
{
    if (argc < 4)
        return 2;
    const long pause_ms = std::atol(argv[1]);
    const char *const request = argv[2];
    const char *const words = *request == '1' ? "frozen 1" : "frozen 0";
    const timespec pause{pause_ms / 1000, pause_ms % 1000 * 1'000'000};
    for (int i = 3; i < argc; ++i) {
        const int fd = open_file(argv[i], "cgroup.freeze", O_WRONLY);
        if (::write(fd, request, 1) != 1)
            fail("write");
        ::close(fd);
    }
    for (int i = 3; i < argc; ++i) {
        while (!says(argv[i], words))
            ::nanosleep(&pause, nullptr);
    }
    return 0;
}
