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

    static Result<WaitSet> open();

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
    // Absolute time of CLOCK_MONOTONIC.
    Status set_deadline(std::uint64_t at_ns);

    // Sleeps until something is there. One wake for each token and source. A signal handler that
    // runs meanwhile makes it return an empty list.
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

    Result<std::vector<Wake>> collect(int timeout_ms);
    void read_changes(std::vector<Wake> &wakes);

    UniqueFd epoll_;
    UniqueFd inotify_; // made by the first watch(): closing one with watches costs milliseconds
    UniqueFd timer_;
    std::multimap<int, Watcher> watchers_; // by watch descriptor
};

} // namespace freezer

#endif
