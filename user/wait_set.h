// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#ifndef FREEZERCTL_USER_WAIT_SET_H
#define FREEZERCTL_USER_WAIT_SET_H

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "user/cgroup.h"
#include "user/result.h"
#include "user/unique_fd.h"

namespace freezer
{

// Everything that can end a sleep, in one epoll set.
class WaitSet
{
  public:
    enum class Source {
        kDescriptor, // an fd given to add()
        kChange,     // a path given to watch()
        kDeadline,
    };
    struct Wake {
        Source source;
        std::uint64_t token; // as given; 0 for the deadline
    };

    // Uses what take_inotify() of an earlier set gave, if that is given.
    static Result<WaitSet> open(UniqueFd inotify = {});

    // `events` as for epoll_ctl(2), level-triggered. The descriptor stays the caller's.
    Status add(int fd, std::uint32_t events, std::uint64_t token);
    // A cgroup's notification file (Cgroup::notify_fd()), which wakes once for each notification,
    // read since or not: nobody reads that of a target that is settled or gone.
    Status add_notifications(int fd, std::uint64_t token);
    // Wakes when a file is written to (IN_MODIFY), or when an entry of a directory is removed
    // (IN_DELETE). Several tokens may watch one path.
    Status watch(const WatchPath &path, std::uint64_t token);
    // Takes back every watch() of the token.
    void unwatch(std::uint64_t token);
    // Takes back all of them, and hands over what they were made with, for another set: to close it
    // takes the kernel milliseconds (fsnotify_wait_marks_destroyed(), fs/notify/mark.c), and
    // nobody should wait for that. -1: there was no watch().
    UniqueFd take_inotify();
    // Absolute time of CLOCK_MONOTONIC. From then on, and at most a millisecond later, every call
    // below tells of it.
    void set_deadline(std::uint64_t at_ns) { deadline_ns_ = at_ns; }

    // Sleeps until something is there. One wake for each token and source. A signal handler that
    // runs meanwhile makes it return an empty list, and so do three weeks.
    Result<std::vector<Wake>> wait();
    // The same, and empty also when nothing came within that time.
    Result<std::vector<Wake>> wait_at_most(int milliseconds);
    // What is there already, without sleeping.
    Result<std::vector<Wake>> poll();

  private:
    struct Watcher {
        std::uint64_t token;
        std::string name;
    };

    // Sleeps no longer than that, and not beyond the deadline; -1: no longer than to the deadline.
    Result<std::vector<Wake>> collect(int longest_ms);
    void read_changes(std::vector<Wake> &wakes);

    UniqueFd epoll_;
    UniqueFd inotify_;                // made by the first watch() of all
    bool listens_to_inotify_ = false; // since the first of this set
    // Not a timerfd: that is a descriptor more to make, to watch and to close for every operation.
    std::optional<std::uint64_t> deadline_ns_;
    std::multimap<int, Watcher> watchers_; // by watch descriptor
};

} // namespace freezer

#endif
