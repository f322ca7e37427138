// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "tests/support/scratch_v1.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <sstream>

#include "user/files.h"
#include "user/mounts.h"

namespace test
{
namespace
{

std::string find_v1()
{
    auto mounts = freezer::read_cgroup_mounts();
    if (!mounts)
        return "";
    const auto *const found = freezer::find_mount(*mounts, freezer::Hierarchy::kV1Freezer);
    return found ? found->mount_point : "";
}

std::string mount_v1()
{
    static char dir[] = "/tmp/freezerctl-v1-XXXXXX";
    if (!enter_private_mounts() || !::mkdtemp(dir))
        return "";
    if (::mount("none", dir, "cgroup", 0, "freezer") != 0) {
        ::rmdir(dir);
        return "";
    }
    return dir;
}

// Directories below `dir`, deepest first, and `dir` itself last.
void collect(const std::string &dir, std::vector<std::string> &out)
{
    auto fd = freezer::open_at(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY);
    if (!fd)
        return;
    if (const auto names = freezer::list_directories_at(fd->get())) {
        const std::string below = dir + "/";
        for (const std::string &name : *names)
            collect(below + name, out);
    }
    out.push_back(dir);
}

std::vector<pid_t> ids(const std::string &text)
{
    std::istringstream in(text);
    std::vector<pid_t> out;
    for (pid_t id; in >> id;)
        out.push_back(id);
    return out;
}

} // namespace

const std::string &v1_mount()
{
    static const std::string mount = [] {
        const std::string found = find_v1();
        return found.empty() ? mount_v1() : found;
    }();
    return mount;
}

ScratchV1::ScratchV1() : path_(v2_.path())
{
    if (::mkdir(dir().c_str(), 0755) != 0) {
        std::perror(dir().c_str());
        std::abort();
    }
}

ScratchV1::~ScratchV1()
{
    std::vector<std::string> dirs;
    collect(dir(), dirs);
    for (const std::string &d : dirs)
        write_file(d + "/freezer.state", "THAWED");
    eventually([&] {
        bool empty = true;
        for (const std::string &d : dirs) {
            for (const pid_t tid : ids(read_file(d + "/tasks"))) {
                ::syscall(SYS_tkill, tid, SIGKILL);
                empty = false;
            }
        }
        while (::waitpid(-1, nullptr, WNOHANG) > 0) {
        }
        return empty;
    });
    for (const std::string &d : dirs)
        eventually([&] { return ::rmdir(d.c_str()) == 0 || errno == ENOENT; });
}

std::string ScratchV1::dir(const std::string &below) const
{
    return v1_mount() + path_ + (below.empty() ? "" : "/" + below);
}

void ScratchV1::mkdir(const std::string &below) const
{
    for (size_t slash = 0; slash != std::string::npos;) {
        slash = below.find('/', slash + 1);
        ::mkdir(dir(below.substr(0, slash)).c_str(), 0755);
    }
}

std::string ScratchV1::read(const std::string &file, const std::string &below) const
{
    return read_file(dir(below) + "/" + file);
}

bool ScratchV1::write(const std::string &file, const std::string &content,
                      const std::string &below) const
{
    return write_file(dir(below) + "/" + file, content);
}

std::string ScratchV1::state(const std::string &below) const
{
    std::string text = read("freezer.state", below);
    if (!text.empty())
        text.pop_back();
    return text;
}

std::vector<pid_t> ScratchV1::tasks(const std::string &below) const
{
    return ids(read("tasks", below));
}

void ScratchV1::adopt(pid_t pid, const std::string &below) const
{
    if (!write("cgroup.procs", std::to_string(pid), below)) {
        std::perror("move into v1");
        std::abort();
    }
}

pid_t ScratchV1::spawn(const std::function<void()> &body, const std::string &below)
{
    const std::string procs = dir(below) + "/cgroup.procs";
    Counters ready(1);
    const pid_t pid = v2_.spawn([&] {
        if (!write_file(procs, "0"))
            ::_exit(1);
        ready[0] = 1;
        body();
    });
    if (!eventually([&] { return ready[0] == 1; })) {
        std::fprintf(stderr, "the child did not enter %s\n", procs.c_str());
        std::abort();
    }
    return pid;
}

pid_t ScratchV1::spawn_sleeper(const std::string &below)
{
    return spawn(sleep_for_ever, below);
}

pid_t ScratchV1::spawn_spinner(Counters &counters, size_t i, const std::string &below)
{
    return spawn(
        [&counters, i] {
            for (;;)
                counters[i].fetch_add(1, std::memory_order_relaxed);
        },
        below);
}

} // namespace test
