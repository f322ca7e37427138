// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "tests/support/scratch.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <system_error>

#include "user/files.h"
#include "user/mounts.h"

namespace test
{
namespace
{

// Fails the running test (GoogleTest catches it), not the whole program.
[[noreturn]] void die(const std::string &what)
{
    throw std::system_error(errno, std::generic_category(), what);
}

// Far beyond any real delay, on a slow emulated machine too.
constexpr int kPatienceMs = 180'000;

// Directories below `dir`, deepest first, and `dir` itself last.
void collect(const std::string &dir, std::vector<std::string> &out)
{
    auto fd = freezer::open_at(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY);
    if (!fd)
        return;
    const auto names = freezer::list_directories_at(fd->get());
    if (!names)
        return;
    for (const std::string &name : *names)
        collect(std::string(dir).append("/").append(name), out);
    out.push_back(dir);
}

} // namespace

const std::string &cgroup2_mount()
{
    static const std::string mount = [] {
        auto mounts = freezer::read_cgroup_mounts();
        if (!mounts)
            return std::string();
        const auto *const found = freezer::find_mount(*mounts, freezer::Hierarchy::kV2);
        return found ? found->mount_point : std::string();
    }();
    return mount;
}

bool eventually(const std::function<bool()> &condition)
{
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(kPatienceMs);
    while (!condition()) {
        if (std::chrono::steady_clock::now() > deadline)
            return false;
        ::poll(nullptr, 0, 1);
    }
    return true;
}

bool enter_private_mounts()
{
    return ::unshare(CLONE_NEWNS) == 0 &&
           ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
}

std::string read_file(const std::string &path)
{
    std::ifstream file(path);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
}

bool write_file(const std::string &path, const std::string &content)
{
    const int fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    const ssize_t n = ::write(fd, content.data(), content.size());
    const int error = errno;
    ::close(fd);
    errno = error;
    return n == static_cast<ssize_t>(content.size());
}

Counters::Counters(size_t n) : size_(n)
{
    void *const memory = ::mmap(nullptr, n * sizeof(*slots_), PROT_READ | PROT_WRITE,
                                MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        die("mmap");
    slots_ = static_cast<std::atomic<std::uint64_t> *>(memory);
}

Counters::~Counters()
{
    ::munmap(slots_, size_ * sizeof(*slots_));
}

std::vector<std::uint64_t> Counters::values() const
{
    std::vector<std::uint64_t> out;
    for (size_t i = 0; i < size_; ++i)
        out.push_back(slots_[i].load());
    return out;
}

Scratch::Scratch()
{
    static int number = 0;
    path_ = "/freezerctl-test-" + std::to_string(::getpid()) + "-" + std::to_string(++number);
    if (::mkdir(dir().c_str(), 0755) != 0)
        die("mkdir " + dir());
}

Scratch::~Scratch()
{
    std::vector<std::string> dirs;
    collect(dir(), dirs);
    for (const std::string &d : dirs)
        write_file(d + "/cgroup.freeze", "0");
    write_file(dir() + "/cgroup.kill", "1");
    eventually([&] {
        // Not only where there is no cgroup.kill: it misses a process whose first thread has ended
        // (kernel/cgroup/cgroup.c, __cgroup_kill(), signals that thread alone).
        for (const std::string &d : dirs) {
            std::istringstream tids(read_file(d + "/cgroup.threads"));
            for (pid_t tid; tids >> tid;)
                ::syscall(SYS_tkill, tid, SIGKILL);
        }
        while (::waitpid(-1, nullptr, WNOHANG) > 0) {
        }
        return event("populated") <= 0;
    });
    while (::waitpid(-1, nullptr, WNOHANG) > 0) {
    }
    for (const std::string &d : dirs)
        eventually([&] { return ::rmdir(d.c_str()) == 0 || errno == ENOENT; });
}

std::string Scratch::dir(const std::string &below) const
{
    return cgroup2_mount() + path_ + (below.empty() ? "" : "/" + below);
}

std::string Scratch::read(const std::string &file, const std::string &below) const
{
    return read_file(dir(below) + "/" + file);
}

bool Scratch::write(const std::string &file, const std::string &content,
                    const std::string &below) const
{
    return write_file(dir(below) + "/" + file, content);
}

int Scratch::event(const std::string &key, const std::string &below) const
{
    std::istringstream text(read("cgroup.events", below));
    std::string name;
    for (int value; text >> name >> value;) {
        if (name == key)
            return value;
    }
    return -1;
}

std::vector<pid_t> Scratch::threads(const std::string &below) const
{
    std::istringstream text(read("cgroup.threads", below));
    std::vector<pid_t> out;
    for (pid_t tid; text >> tid;)
        out.push_back(tid);
    return out;
}

std::vector<std::string> Scratch::cgroups(const std::string &below) const
{
    std::vector<std::string> dirs;
    collect(dir(below), dirs);
    std::reverse(dirs.begin(), dirs.end());
    return dirs;
}

std::vector<pid_t> Scratch::threads_of_tree(const std::string &below) const
{
    std::vector<pid_t> out;
    for (const std::string &directory : cgroups(below)) {
        std::istringstream text(read_file(directory + "/cgroup.threads"));
        for (pid_t tid; text >> tid;)
            out.push_back(tid);
    }
    return out;
}

void Scratch::mkdir(const std::string &below) const
{
    for (size_t slash = 0; slash != std::string::npos;) {
        slash = below.find('/', slash + 1);
        const std::string part = dir(below.substr(0, slash));
        if (::mkdir(part.c_str(), 0755) != 0 && errno != EEXIST)
            die("mkdir " + part);
    }
}

bool Scratch::rmdir(const std::string &below) const
{
    return ::rmdir(dir(below).c_str()) == 0;
}

pid_t Scratch::spawn(const std::function<void()> &body, const std::string &below)
{
    const int fd = ::open(dir(below).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        die("open " + dir(below));
    int ready[2];
    if (::pipe2(ready, O_CLOEXEC) != 0)
        die("pipe2");
    // In a frozen cgroup the child does not run: nothing is to be waited for then. Asked before,
    // since its birth may make the answer "no" until it has reached the refrigerator.
    const bool frozen = event("frozen", below) == 1;
    clone_args args{};
    args.flags = CLONE_INTO_CGROUP;
    args.exit_signal = SIGCHLD;
    args.cgroup = static_cast<__u64>(fd);
    const pid_t parent = ::getpid();
    const pid_t pid = static_cast<pid_t>(::syscall(SYS_clone3, &args, sizeof(args)));
    if (pid < 0) {
        const int error = errno;
        ::close(fd);
        ::close(ready[0]);
        ::close(ready[1]);
        errno = error;
        die("clone3");
    }
    if (pid == 0) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (::getppid() != parent)
            ::_exit(1);
        sigset_t none;
        sigemptyset(&none);
        ::sigprocmask(SIG_SETMASK, &none, nullptr);
        ::close(ready[0]);
        // Born frozen, it gets here when nobody listens any more.
        if (!frozen && ::write(ready[1], "", 1) != 1)
            ::_exit(1);
        ::close(ready[1]);
        try {
            body();
        } catch (const std::exception &error) {
            (void)std::fprintf(stderr, "a child of the test: %s\n", error.what());
            ::_exit(1);
        }
        ::_exit(0);
    }
    ::close(fd);
    ::close(ready[1]);
    char byte;
    const bool started = frozen || ::read(ready[0], &byte, 1) == 1;
    ::close(ready[0]);
    if (!started)
        die("the child did not start");
    return pid;
}

pid_t Scratch::spawn_sleeper(const std::string &below)
{
    return spawn(sleep_for_ever, below);
}

pid_t Scratch::spawn_spinner(Counters &counters, size_t i, const std::string &below)
{
    return spawn(
        [&counters, i] {
            for (;;)
                counters[i].fetch_add(1, std::memory_order_relaxed);
        },
        below);
}

pid_t Scratch::spawn_napper(Counters &counters, size_t i, int milliseconds,
                            const std::string &below)
{
    return spawn(
        [&counters, i, milliseconds] {
            for (;;) {
                counters[i].fetch_add(1, std::memory_order_relaxed);
                ::poll(nullptr, 0, milliseconds);
            }
        },
        below);
}

bool kernel_has_btf()
{
    return ::access("/sys/kernel/btf/vmlinux", R_OK) == 0;
}

bool kernel_skips_programs()
{
    utsname name{};
    return ::uname(&name) == 0 && std::strtoul(name.release, nullptr, 10) >= 7;
}

size_t scaled(size_t n, size_t least)
{
    static const size_t percent = [] {
        const char *const text = std::getenv("FREEZERCTL_TEST_SCALE");
        const unsigned long value = text ? std::strtoul(text, nullptr, 10) : 100;
        return value == 0 ? 100 : static_cast<size_t>(value);
    }();
    return std::max(n * percent / 100, least);
}

void sleep_for_ever()
{
    for (;;)
        ::pause();
}

Straggler::Straggler()
{
    const long page_size = ::sysconf(_SC_PAGESIZE);
    // Faults raised inside system calls are the point, so not UFFD_USER_MODE_ONLY.
    const int probe = static_cast<int>(::syscall(SYS_userfaultfd, O_CLOEXEC));
    if (probe < 0) {
        why_ = std::string("no userfaultfd: ") + std::strerror(errno);
        return;
    }
    ::close(probe);
    page_ = ::mmap(nullptr, static_cast<size_t>(page_size), PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page_ == MAP_FAILED)
        die("mmap");
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets_) != 0)
        die("socketpair");
}

Straggler::~Straggler()
{
    for (const int fd : {uffd_, sockets_[0], sockets_[1]}) {
        if (fd >= 0)
            ::close(fd);
    }
    if (page_)
        ::munmap(page_, static_cast<size_t>(::sysconf(_SC_PAGESIZE)));
}

pid_t Straggler::spawn(Scratch &scratch, const std::string &below, Call call)
{
    const pid_t pid = scratch.spawn(
        [this, call] {
            // A userfaultfd serves the memory of the process that made it: the child makes it and
            // hands it to the parent. Blocking ones always poll as an error (fs/userfaultfd.c).
            const int uffd = static_cast<int>(::syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK));
            uffdio_api api{};
            api.api = UFFD_API;
            uffdio_register range{};
            range.range.start = reinterpret_cast<__u64>(page_);
            range.range.len = static_cast<__u64>(::sysconf(_SC_PAGESIZE));
            range.mode = UFFDIO_REGISTER_MODE_MISSING;
            if (uffd < 0 || ::ioctl(uffd, UFFDIO_API, &api) != 0 ||
                ::ioctl(uffd, UFFDIO_REGISTER, &range) != 0)
                die("userfaultfd");
            char byte = 0;
            iovec io{&byte, 1};
            alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
            msghdr message{};
            message.msg_iov = &io;
            message.msg_iovlen = 1;
            message.msg_control = control;
            message.msg_controllen = sizeof(control);
            cmsghdr *const head = CMSG_FIRSTHDR(&message);
            head->cmsg_level = SOL_SOCKET;
            head->cmsg_type = SCM_RIGHTS;
            head->cmsg_len = CMSG_LEN(sizeof(int));
            std::memcpy(CMSG_DATA(head), &uffd, sizeof(uffd));
            int pipe[2];
            if (::sendmsg(sockets_[1], &message, 0) != 1 || ::pipe(pipe) != 0)
                die("sendmsg");
            if (call == Call::kVfork) {
                clone_args args{};
                args.flags = CLONE_VFORK | CLONE_PARENT_SETTID;
                args.parent_tid = reinterpret_cast<__u64>(page_);
                args.exit_signal = SIGCHLD;
                (void)::syscall(SYS_clone3, &args, sizeof(args));
            } else {
                (void)!::write(pipe[1], page_, 1);
            }
            sleep_for_ever();
        },
        below);

    char byte;
    iovec io{&byte, 1};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    msghdr message{};
    message.msg_iov = &io;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof(control);
    // This process holds the other end too, so a child that dies is no end of file.
    pollfd handed{sockets_[0], POLLIN, 0};
    if (::poll(&handed, 1, kPatienceMs) != 1 ||
        ::recvmsg(sockets_[0], &message, MSG_CMSG_CLOEXEC) != 1)
        die("the straggler did not start");
    std::memcpy(&uffd_, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(uffd_));
    // Its fault is a message on the descriptor: then it is blocked.
    pollfd fault{uffd_, POLLIN, 0};
    if (::poll(&fault, 1, kPatienceMs) != 1 || fault.revents != POLLIN)
        die("the straggler did not block");
    return pid;
}

void Straggler::release()
{
    uffdio_zeropage zero{};
    zero.range.start = reinterpret_cast<__u64>(page_);
    zero.range.len = static_cast<__u64>(::sysconf(_SC_PAGESIZE));
    if (::ioctl(uffd_, UFFDIO_ZEROPAGE, &zero) != 0 && errno != EEXIST)
        die("UFFDIO_ZEROPAGE");
}

} // namespace test
