// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// poll(2) on freezer.state: wakes clients when the state of a cgroup changes.
#ifndef FREEZERCTL_TOOLS_MOUNT_WATCH_H
#define FREEZERCTL_TOOLS_MOUNT_WATCH_H

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "tools/freezerctl/mount_files.h"
#include "tools/freezerctl/mount_log.h"
#include "tools/freezerctl/mount_signals.h"
#include "tools/freezerctl/mount_state.h"
#include "user/freezer.h"
#include "user/tracker.h"
#include "user/unique_fd.h"
#include "user/wait_set.h"

namespace freezerctl
{

// One thread that sleeps until something may have changed: a BPF event where that is to be had, and
// always the kernel's own notifications. It then reads the state, and wakes who has read another.
// The other threads hand their requests over to it.
class StateWatcher
{
  public:
    StateWatcher(const freezer::Config &config, DeferredSignals &deferred, const MountLog &log);
    StateWatcher(const StateWatcher &) = delete;
    StateWatcher &operator=(const StateWatcher &) = delete;
    ~StateWatcher() { stop(); }
    // Starts the thread, which inherits the signal mask.
    freezer::Status start();
    // Ends it. Nothing that is asked from then on is answered.
    void stop();

    // Answers a FUSE request to poll: ready when the state is not the one that this open file has
    // read last. `handle`: to wake it later, or nullptr; ownership passes.
    void poll(fuse_req_t request, std::shared_ptr<OpenFile> file, fuse_pollhandle *handle);
    // The file was closed.
    void forget(const OpenFile *file);
    // The request of the cgroup was written by this process.
    void changed(std::uint64_t cgroup_id);
    // Deferred signals of the cgroup are to be delivered when it is thawed.
    void await_thaw(std::unique_ptr<freezer::Cgroup> cgroup);

  private:
    struct PollHandleDeleter {
        void operator()(fuse_pollhandle *handle) const { fuse_pollhandle_destroy(handle); }
    };
    using PollHandle = std::unique_ptr<fuse_pollhandle, PollHandleDeleter>;

    struct Poller {
        std::shared_ptr<OpenFile> file;
        PollHandle handle; // none: it does not wait at this moment
    };

    // Where nothing announces that a freeze is complete, a thread that follows its tasks.
    class Follower
    {
      public:
        Follower(const freezer::Config &config, std::unique_ptr<freezer::Cgroup> cgroup,
                 std::function<void()> done);
        Follower(const Follower &) = delete;
        Follower &operator=(const Follower &) = delete;
        ~Follower();

      private:
        freezer::UniqueFd interrupt_;
        std::thread thread_;
    };

    struct Watched {
        std::unique_ptr<freezer::Cgroup> cgroup;
        std::uint32_t slot = 0;
        Phase phase = Phase::kNever; // at the last look
        bool watching_below = false;
        bool awaits_thaw = false; // for deferred signals
        std::map<const OpenFile *, Poller> pollers;
        std::unique_ptr<Follower> follower;
    };

    void run();
    void post(std::function<void()> task);
    void serve_posted();
    void answer(fuse_req_t request, const std::shared_ptr<OpenFile> &file, PollHandle handle);
    Watched *watch(std::unique_ptr<freezer::Cgroup> cgroup);
    void unwatch_if_idle(std::uint64_t cgroup_id);
    void load_tracker();
    void track(freezer::Tracker tracker);
    void track(Watched &watched);
    void look(Watched &watched);
    void look_below(Watched &watched);
    void read_events();

    freezer::Config config_;
    DeferredSignals &deferred_;
    const MountLog &log_;
    std::mutex mutex_;
    std::vector<std::function<void()>> posted_;
    bool stop_ = false;
    freezer::UniqueFd posted_event_;
    std::thread thread_;

    // Of the thread alone:
    freezer::WaitSet set_;
    std::optional<freezer::Freezer> freezer_;
    std::thread loader_; // of the tracker, once something is watched
    std::optional<freezer::Tracker> tracker_;
    std::map<std::uint64_t, Watched> watched_;        // by cgroup id
    std::vector<std::optional<std::uint64_t>> slots_; // who has it
};

} // namespace freezerctl

#endif
