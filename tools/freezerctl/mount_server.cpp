// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "tools/freezerctl/mount_server.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>

#include "tools/freezerctl/mount_fs.h"
#include "tools/freezerctl/mount_watch.h"
#include "user/files.h"
#include "user/unique_fd.h"

namespace freezerctl
{
namespace
{

using freezer::Error;
using freezer::ErrorKind;
using freezer::UniqueFd;

// No request takes long, so that these do for any number of clients.
constexpr int kThreads = 8;

constexpr std::uint64_t kEndToken = 1;
constexpr std::uint64_t kOtherToken = 2;

// What libfuse prints when something fails is the reason to give for it.
std::string &last_words()
{
    static std::string text;
    return text;
}

__attribute__((format(printf, 2, 0))) void note_words(fuse_log_level /*level*/, const char *format,
                                                      va_list arguments)
{
    std::array<char, 512> text{};
    (void)std::vsnprintf(text.data(), text.size(), format, arguments);
    last_words() = text.data();
    while (last_words().ends_with('\n'))
        last_words().pop_back();
}

void ignore_words(fuse_log_level /*level*/, const char * /*format*/, va_list /*arguments*/) {}

struct SessionDeleter {
    void operator()(fuse_session *session) const { fuse_session_destroy(session); }
};
using FuseSession = std::unique_ptr<fuse_session, SessionDeleter>;

freezer::Result<FuseSession> mount_session(FreezerFs &fs, const ServerOptions &options)
{
    std::string words = std::string("fsname=") + kMountSource +
                        ",subtype=freezerctl,default_permissions,nosuid,nodev,noexec";
    if (options.allow_other)
        words += ",allow_other";
    std::string name = "freezerctl";
    std::string flag = "-o";
    std::array<char *, 4> argv{name.data(), flag.data(), words.data(), nullptr};
    fuse_args args = FUSE_ARGS_INIT(3, argv.data());
    fuse_set_log_func(note_words);
    FuseSession session(
        fuse_session_new(&args, &FreezerFs::operations(), sizeof(fuse_lowlevel_ops), &fs));
    errno = 0;
    const bool mounted = session && fuse_session_mount(session.get(), options.point.c_str()) == 0;
    const int error = errno;
    fuse_opt_free_args(&args);
    fuse_set_log_func(ignore_words); // what comes later is about clients that have gone
    if (mounted)
        return session;
    const std::string reason = last_words().empty() ? std::strerror(error) : last_words();
    return Error{ErrorKind::kSystem, error, "it cannot be mounted: " + reason};
}

// Any number of threads wait; one of them is woken for each request.
bool wait_on(const UniqueFd &epoll, int fd, std::uint32_t events, std::uint64_t token)
{
    epoll_event event{};
    event.events = events;
    event.data.u64 = token;
    return ::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, fd, &event) == 0;
}

void ring(const UniqueFd &event)
{
    const std::uint64_t one = 1;
    (void)!::write(event.get(), &one, sizeof(one));
}

// One thread: serves requests until `end` is readable, or the file system is unmounted, which it
// then tells the others. fuse_session_loop_mt() does the same, but can only be ended by a request
// or a signal that comes at the right moment.
void serve_requests(fuse_session *session, const UniqueFd &end)
{
    const UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
    if (!wait_on(epoll, end.get(), EPOLLIN, kEndToken) ||
        !wait_on(epoll, fuse_session_fd(session), EPOLLIN | EPOLLEXCLUSIVE, kOtherToken)) {
        ring(end);
        return;
    }
    fuse_buf buffer{};
    while (!fuse_session_exited(session)) {
        epoll_event event{};
        const int ready = ::epoll_wait(epoll.get(), &event, 1, -1);
        if (ready < 0 && errno == EINTR)
            continue;
        if (ready < 0 || event.data.u64 == kEndToken)
            break;
        const int n = fuse_session_receive_buf(session, &buffer);
        if (n == -EAGAIN || n == -EINTR)
            continue; // another thread was faster
        if (n <= 0)
            break;
        fuse_session_process_buf(session, &buffer);
    }
    std::free(buffer.mem); // libfuse's, from malloc(3)
    ring(end);
}

// SIGINT, SIGTERM and SIGHUP as something to read, in every thread that is made from now on.
UniqueFd block_signals()
{
    sigset_t set;
    sigemptyset(&set);
    for (const int number : {SIGINT, SIGTERM, SIGHUP})
        sigaddset(&set, number);
    ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
    ::signal(SIGPIPE, SIG_IGN);
    return UniqueFd(::signalfd(-1, &set, SFD_CLOEXEC));
}

// Until a signal comes, or a thread has ended.
void wait_for_end(const UniqueFd &signals, const UniqueFd &end)
{
    const UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
    if (!wait_on(epoll, end.get(), EPOLLIN, kEndToken) ||
        !wait_on(epoll, signals.get(), EPOLLIN, kOtherToken))
        return;
    epoll_event event{};
    while (::epoll_wait(epoll.get(), &event, 1, -1) < 0 && errno == EINTR) {
    }
}

} // namespace

freezer::Status serve(const freezer::Cgroup &root, const ServerOptions &options,
                      const std::function<void()> &mounted)
{
    const UniqueFd signals = block_signals();
    const UniqueFd end(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!signals || !end)
        return Error::from_errno(errno, "make an eventfd");
    ::umask(0);                  // the kernel has applied the client's
    freezer::raise_file_limit(); // an open file of a client is two of ours

    const MountLog log(options.has_stderr);
    auto opened = freezer::Freezer::open(options.config);
    if (!opened)
        return std::move(opened).error();
    const auto resolver = freezer::Resolver::open(); // many threads share it
    if (!resolver)
        return resolver.error();
    StateReader states(std::move(*opened));
    DeferredSignals deferred;
    StateWatcher watcher(options.config, deferred, log);
    deferred.on_queued = [&](const freezer::Cgroup &cgroup) {
        if (auto own = cgroup.open_below(""))
            watcher.await_thaw(std::move(*own));
    };
    ControlFiles files(*resolver, states, deferred, log, options.files,
                       [&](std::uint64_t id) { watcher.changed(id); });
    FreezerFs fs(root, files, watcher);
    fs.on_mounted = mounted;

    auto session = mount_session(fs, options);
    if (!session)
        return std::move(session).error();
    const int fd = fuse_session_fd(session->get());
    (void)::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK);
    auto started = watcher.start();
    if (started) {
        std::vector<std::thread> threads;
        threads.reserve(kThreads);
        for (int i = 0; i < kThreads; ++i)
            threads.emplace_back(serve_requests, session->get(), std::cref(end));
        wait_for_end(signals, end);
        ring(end);
        for (std::thread &thread : threads)
            thread.join();
    }
    watcher.stop();
    // Lazily, so that clients that still hold files open do not keep it; theirs fail from now on.
    fuse_session_unmount(session->get());
    return started;
}

} // namespace freezerctl
