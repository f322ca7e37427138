// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "user/wait_set.h"

#include <sys/epoll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <limits>
#include <unordered_set>
#include <utility>

#include "user/duration.h"

namespace freezer
{
namespace
{

// The set's own; callers' tokens are slot numbers, far below.
constexpr std::uint64_t kInotifyToken = ~0ULL;

// epoll_wait(2) takes milliseconds in an int. Rounded up, so that it does not wake before its time.
int milliseconds_until(std::uint64_t at_ns)
{
    const std::uint64_t since_ns = now_ns();
    const std::uint64_t left_ns = at_ns > since_ns ? at_ns - since_ns : 0;
    const std::uint64_t left_ms = left_ns / 1'000'000 + (left_ns % 1'000'000 != 0);
    return static_cast<int>(std::min<std::uint64_t>(left_ms, std::numeric_limits<int>::max()));
}

} // namespace

Result<WaitSet> WaitSet::open(UniqueFd inotify)
{
    WaitSet set;
    set.inotify_ = std::move(inotify);
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
    }
    if (!listens_to_inotify_) {
        if (auto added = add(inotify_.get(), EPOLLIN, kInotifyToken); !added)
            return added;
        listens_to_inotify_ = true;
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

UniqueFd WaitSet::take_inotify()
{
    // Several watchers may share a descriptor, and then stand side by side.
    for (auto it = watchers_.begin(); it != watchers_.end(); it = watchers_.upper_bound(it->first))
        ::inotify_rm_watch(inotify_.get(), it->first);
    watchers_.clear();
    if (listens_to_inotify_) {
        std::vector<Wake> of_nobody;
        read_changes(of_nobody);
        (void)::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, inotify_.get(), nullptr);
        listens_to_inotify_ = false;
    }
    return std::move(inotify_);
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

Result<std::vector<WaitSet::Wake>> WaitSet::collect(int longest_ms)
{
    if (deadline_ns_) {
        const int left_ms = milliseconds_until(*deadline_ns_);
        longest_ms = longest_ms < 0 ? left_ms : std::min(longest_ms, left_ms);
    }
    std::array<epoll_event, 64> events;
    const int n = ::epoll_wait(epoll_.get(), events.data(), events.size(), longest_ms);
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
        else
            wakes.push_back({Source::kDescriptor, token});
    }
    if (deadline_ns_ && now_ns() >= *deadline_ns_)
        wakes.push_back({Source::kDeadline, 0});
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
