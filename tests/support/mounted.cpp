// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "tests/support/mounted.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "tests/support/scratch.h"
#include "tests/support/user.h"

namespace test
{

Mounted::Mounted(const std::string &root, const std::vector<std::string> &options,
                 const std::function<void()> &before, const std::string &point)
    : point_(point)
{
    if (::access("/dev/fuse", R_OK | W_OK) != 0) {
        why_ = std::string("no /dev/fuse: ") + std::strerror(errno);
        return;
    }
    if (!enter_private_mounts()) {
        why_ = std::string("no mount namespace of our own: ") + std::strerror(errno);
        return;
    }
    if (point_.empty()) {
        std::string name = "/tmp/freezerctl-test-mount-XXXXXX";
        if (!::mkdtemp(name.data())) {
            why_ = std::string("mkdtemp: ") + std::strerror(errno);
            return;
        }
        ::chmod(name.c_str(), 0755);
        point_ = made_ = name;
    }
    std::vector<std::string> words{"mount", point_, "--root", root, "--foreground"};
    words.insert(words.end(), options.begin(), options.end());
    server_ = std::make_unique<Command>(words, before);
    if (!server_->says(" is at ") || server_->err.find(" is at ") == std::string::npos)
        why_ = "it was not mounted: " + server_->err;
}

Mounted::~Mounted()
{
    if (server_ && server_->pid() > 0) { // else a test has ended it
        server_->signal(SIGTERM);
        server_->finish();
    }
    ::umount2(point_.c_str(), MNT_DETACH); // of one that was killed
    if (!made_.empty())
        ::rmdir(made_.c_str());
}

std::string Mounted::path(const std::string &below) const
{
    return below.empty() ? point_ : point_ + "/" + below;
}

std::string Mounted::state(const std::string &below) const
{
    std::string text = read_file(path(below.empty() ? "freezer.state" : below + "/freezer.state"));
    while (!text.empty() && text.back() == '\n')
        text.pop_back();
    return text;
}

int write_error(const std::string &path, const std::string &text)
{
    return write_file(path, text) ? 0 : errno;
}

int read_error(const std::string &path)
{
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno;
    std::array<char, 64> buffer{};
    const int error = ::read(fd, buffer.data(), buffer.size()) < 0 ? errno : 0;
    ::close(fd);
    return error;
}

ShellRan shell(const std::string &script)
{
    ShellRan ran;
    FILE *const stream = ::popen(("exec 2>&1\n" + script).c_str(), "re");
    if (!stream)
        return ran;
    std::array<char, 4096> buffer{};
    size_t n = 0;
    while ((n = std::fread(buffer.data(), 1, buffer.size(), stream)) > 0)
        ran.out.append(buffer.data(), n);
    const int status = ::pclose(stream);
    ran.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return ran;
}

int as_user(uid_t uid, const std::function<int()> &body)
{
    const pid_t pid = ::fork();
    if (pid == 0) {
        ::_exit(become(uid) ? body() : 255);
    }
    int status = 0;
    while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

} // namespace test
