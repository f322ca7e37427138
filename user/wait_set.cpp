// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "user/wait_set.h"

#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <unordered_set>

namespace freezer
{
namespace
{

// Tokens of the set's own descriptors; callers' tokens are slot numbers, far below.
constexpr std::uint64_t kInotifyToken = ~0ULL;
constexpr std::uint64_t kTimerToken = ~0ULL - 1;

} // namespace

Result<WaitSet> WaitSet::open()
{
    WaitSet set;
    set.epoll_ = UniqueFd(::epoll_create1(EPOLL_CLOEXEC));
    if (!set.epoll_)
        return Error::from_errno(errno, "epoll_create1");
    return set;
}

Status WaitSet::add(int fd, std::uint32_t events, std::uint64_t token)
{
    epoll_event event{};
    event.events = events;
    event.data.u64 = token;
    if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0)
        return Error::from_errno(errno, "epoll_ctl");
    return {};
}

Status WaitSet::add_notifications(int fd, std::uint64_t token)
{
    return add(fd, EPOLLPRI | EPOLLET, token);
}

Status WaitSet::watch(const WatchPath &path, std::uint64_t token)
{
    if (!inotify_) {
        inotify_ = UniqueFd(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
        if (!inotify_)
            return Error::from_errno(errno, "inotify_init1");
        if (auto added = add(inotify_.get(), EPOLLIN, kInotifyToken); !added)
            return added;
    }
    const std::uint32_t mask = path.name.empty() ? IN_MODIFY : IN_DELETE | IN_ONLYDIR;
    const int wd = ::inotify_add_watch(inotify_.get(), path.path.c_str(), mask | IN_MASK_ADD);
    if (wd < 0)
        return Error::from_errno(errno, "inotify_add_watch " + path.path);
    watchers_.emplace(wd, Watcher{token, path.name});
    return {};
}

void WaitSet::unwatch(std::uint64_t token)
{
    for (auto it = watchers_.begin(); it != watchers_.end();) {
        const int wd = it->first;
        const bool ours = it->second.token == token;
        it = ours ? watchers_.erase(it) : std::next(it);
        if (ours && !watchers_.contains(wd))
            ::inotify_rm_watch(inotify_.get(), wd); // numbers are not used again
    }
}

Status WaitSet::set_deadline(std::uint64_t at_ns)
{
    if (!timer_) {
        timer_ = UniqueFd(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
        if (!timer_)
            return Error::from_errno(errno, "timerfd_create");
        if (auto added = add(timer_.get(), EPOLLIN, kTimerToken); !added)
            return added;
    }
    itimerspec spec{};
    spec.it_value.tv_sec = static_cast<time_t>(at_ns / 1'000'000'000);
    spec.it_value.tv_nsec = static_cast<long>(at_ns % 1'000'000'000);
    if (at_ns == 0)
        spec.it_value.tv_nsec = 1; // zero would disarm it
    if (::timerfd_settime(timer_.get(), TFD_TIMER_ABSTIME, &spec, nullptr) != 0)
        return Error::from_errno(errno, "timerfd_settime");
    return {};
}

Result<std::vector<WaitSet::Wake>> WaitSet::wait()
{
    return collect(-1);
}

Result<std::vector<WaitSet::Wake>> WaitSet::wait_at_most(int milliseconds)
{
    return collect(milliseconds);
}

Result<std::vector<WaitSet::Wake>> WaitSet::poll()
{
    return collect(0);
}

Result<std::vector<WaitSet::Wake>> WaitSet::collect(int timeout_ms)
{
    std::array<epoll_event, 64> events;
    const int n = ::epoll_wait(epoll_.get(), events.data(), events.size(), timeout_ms);
    if (n < 0) {
        const int error = errno;
        if (error == EINTR)
            return std::vector<Wake>();
        return Error::from_errno(error, "epoll_wait");
    }
    std::vector<Wake> wakes;
    for (int i = 0; i < n; ++i) {
        const std::uint64_t token = events[static_cast<size_t>(i)].data.u64;
        if (token == kInotifyToken)
            read_changes(wakes);
        else if (token == kTimerToken)
            wakes.push_back({Source::kDeadline, 0});
        else
            wakes.push_back({Source::kDescriptor, token});
    }
    return wakes;
}

void WaitSet::read_changes(std::vector<Wake> &wakes)
{
    std::unordered_set<std::uint64_t> known; // of thousands of files that change at once, too
    const auto add_once = [&](std::uint64_t token) {
        if (known.insert(token).second)
            wakes.push_back({Source::kChange, token});
    };

    alignas(inotify_event) std::array<char, 16384> buffer;
    ssize_t n;
    while ((n = ::read(inotify_.get(), buffer.data(), buffer.size())) > 0) {
        for (size_t at = 0; at < static_cast<size_t>(n);) {
            inotify_event event;
            std::memcpy(&event, buffer.data() + at, sizeof(event));
            const char *const name = buffer.data() + at + sizeof(event);
            at += sizeof(event) + event.len;
            if (event.mask & IN_Q_OVERFLOW) {
                // Which files changed is not known any more: all may have.
                for (const auto &[wd, watcher] : watchers_)
                    add_once(watcher.token);
                continue;
            }
            const auto [begin, end] = watchers_.equal_range(event.wd);
            for (auto it = begin; it != end; ++it) {
                if (it->second.name.empty() || (event.len > 0 && it->second.name == name))
                    add_once(it->second.token);
            }
        }
    }
}

} // namespace freezer
