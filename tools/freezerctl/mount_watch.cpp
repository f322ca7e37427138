// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "tools/freezerctl/mount_watch.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace freezerctl
{
namespace
{

// Tokens of the wait set; those of cgroups are their slots.
constexpr std::uint64_t kPostedToken = 1ULL << 40;
constexpr std::uint64_t kRingToken = kPostedToken + 1;

// How many cgroups BPF follows at a time; the rest have the kernel's notifications.
constexpr std::uint32_t kTracked = 256;

constexpr std::uint32_t kWake =
    FZ_WAKE_FROZEN | FZ_WAKE_UNFROZEN | FZ_WAKE_FREEZE | FZ_WAKE_THAW | FZ_WAKE_REMOVED;

// As kernfs_generic_poll() has it (fs/kernfs/file.c), for what polls control files.
constexpr unsigned kAlways = POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM;
constexpr unsigned kChanged = kAlways | POLLERR | POLLPRI;

void ring(const freezer::UniqueFd &event)
{
    const std::uint64_t one = 1;
    (void)!::write(event.get(), &one, sizeof(one));
}

} // namespace

StateWatcher::Follower::Follower(const freezer::Config &config,
                                 std::unique_ptr<freezer::Cgroup> cgroup,
                                 std::function<void()> done)
    : interrupt_(::eventfd(0, EFD_CLOEXEC))
{
    thread_ =
        std::thread([this, config, cgroup = std::move(cgroup), done = std::move(done)]() mutable {
            auto opened = freezer::Freezer::open(config);
            if (!opened)
                return;
            std::vector<freezer::Target> targets;
            const std::string name = cgroup->path();
            targets.push_back({name, std::move(cgroup)});
            freezer::WaitOptions options;
            options.timeout_ns = std::nullopt;
            options.interrupt_fd = interrupt_.get();
            (void)opened->wait(targets, freezer::Goal::kFrozen, options);
            done();
        });
}

StateWatcher::Follower::~Follower()
{
    ring(interrupt_);
    thread_.join();
}

StateWatcher::StateWatcher(const freezer::Config &config, DeferredSignals &deferred,
                           const MountLog &log)
    : config_(config), deferred_(deferred), log_(log)
{
}

void StateWatcher::stop()
{
    if (!thread_.joinable())
        return;
    post([this] { stop_ = true; });
    thread_.join();
    if (loader_.joinable())
        loader_.join();
    watched_.clear(); // with the handles that belong to the session
}

freezer::Status StateWatcher::start()
{
    posted_event_ = freezer::UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!posted_event_)
        return freezer::Error::from_errno(errno, "eventfd");
    auto set = freezer::WaitSet::open();
    if (!set)
        return std::move(set).error();
    set_ = std::move(*set);
    if (auto added = set_.add(posted_event_.get(), EPOLLIN, kPostedToken); !added)
        return added;
    auto opened = freezer::Freezer::open(config_);
    if (!opened)
        return std::move(opened).error();
    freezer_.emplace(std::move(*opened));
    thread_ = std::thread([this] { run(); });
    return {};
}

void StateWatcher::post(std::function<void()> task)
{
    const std::lock_guard lock(mutex_);
    posted_.push_back(std::move(task));
    ring(posted_event_);
}

void StateWatcher::poll(fuse_req_t request, std::shared_ptr<OpenFile> file, fuse_pollhandle *handle)
{
    // A function object must be copyable.
    const auto shared = std::make_shared<PollHandle>(handle);
    post([this, request, file = std::move(file), shared] {
        answer(request, file, std::move(*shared));
    });
}

void StateWatcher::forget(const OpenFile *file)
{
    post([this, file, id = file->cgroup->id()] {
        const auto found = watched_.find(id);
        if (found == watched_.end())
            return;
        found->second.pollers.erase(file);
        unwatch_if_idle(id);
    });
}

void StateWatcher::changed(std::uint64_t cgroup_id)
{
    post([this, cgroup_id] {
        const auto found = watched_.find(cgroup_id);
        if (found != watched_.end())
            look(found->second);
    });
}

void StateWatcher::await_thaw(std::unique_ptr<freezer::Cgroup> cgroup)
{
    const auto shared = std::make_shared<std::unique_ptr<freezer::Cgroup>>(std::move(cgroup));
    post([this, shared] {
        if (Watched *const watched = watch(std::move(*shared))) {
            watched->awaits_thaw = true;
            look(*watched);
        }
    });
}

void StateWatcher::run()
{
    while (!stop_) {
        const auto wakes = set_.wait();
        if (!wakes) {
            log_.line("poll() on freezer.state no longer works: " + wakes.error().message);
            return;
        }
        for (const freezer::WaitSet::Wake &wake : *wakes) {
            if (wake.token == kPostedToken) {
                serve_posted();
            } else if (wake.token == kRingToken) {
                read_events();
            } else if (wake.token < slots_.size() && slots_[wake.token]) {
                look(watched_.at(*slots_[wake.token]));
            }
        }
        if (!loader_.joinable() && config_.use_bpf && !watched_.empty())
            load_tracker();
    }
}

void StateWatcher::serve_posted()
{
    std::vector<std::function<void()>> tasks;
    {
        const std::lock_guard lock(mutex_);
        std::uint64_t count = 0;
        (void)!::read(posted_event_.get(), &count, sizeof(count));
        tasks.swap(posted_);
    }
    for (const auto &task : tasks)
        task();
}

void StateWatcher::answer(fuse_req_t request, const std::shared_ptr<OpenFile> &file,
                          PollHandle handle)
{
    Watched *watched = nullptr;
    const auto found = watched_.find(file->cgroup->id());
    if (found != watched_.end()) {
        watched = &found->second;
        look(*watched);
    } else if (auto own = file->cgroup->open_below("")) {
        watched = watch(std::move(*own));
    }
    if (!watched || watched->phase != file->seen) {
        fuse_reply_poll(request, watched ? kChanged : kChanged | POLLHUP);
        return;
    }
    watched->pollers[file.get()] = {file, std::move(handle)};
    fuse_reply_poll(request, kAlways);
}

StateWatcher::Watched *StateWatcher::watch(std::unique_ptr<freezer::Cgroup> cgroup)
{
    const std::uint64_t id = cgroup->id();
    auto [it, added] = watched_.try_emplace(id);
    Watched &watched = it->second;
    if (!added)
        return &watched;
    const auto slot = static_cast<std::uint32_t>(
        std::find(slots_.begin(), slots_.end(), std::nullopt) - slots_.begin());
    if (slot == slots_.size())
        slots_.emplace_back();
    slots_[slot] = id;
    watched.slot = slot;
    watched.cgroup = std::move(cgroup);
    // Everything is armed before the first look. What cannot be watched is no reason to refuse: the
    // others wake, too.
    if (auto events = watched.cgroup->notify_fd(); events && *events >= 0)
        (void)set_.add_notifications(*events, slot);
    for (const freezer::WatchPath &path : watched.cgroup->watch_paths())
        (void)set_.watch(path, slot);
    track(watched);
    look(watched);
    return &watched;
}

void StateWatcher::unwatch_if_idle(std::uint64_t cgroup_id)
{
    const auto found = watched_.find(cgroup_id);
    if (found == watched_.end() || !found->second.pollers.empty() || found->second.awaits_thaw)
        return;
    const std::uint32_t slot = found->second.slot;
    set_.unwatch(slot);
    if (tracker_ && slot < kTracked)
        tracker_->unwatch(slot);
    slots_[slot].reset();
    watched_.erase(found);
}

// In a thread of its own: it takes some 100 ms, in which the kernel's notifications serve.
void StateWatcher::load_tracker()
{
    loader_ = std::thread([this] {
        freezer::TrackerOptions options = config_.tracker;
        options.max_targets = kTracked;
        auto opened = freezer::Tracker::open(options);
        if (!opened) {
            log_.line("poll() on freezer.state does without BPF: " + opened.error().message);
            return;
        }
        // A function object must be copyable.
        const auto shared = std::make_shared<freezer::Tracker>(std::move(*opened));
        post([this, shared] { track(std::move(*shared)); });
    });
}

void StateWatcher::track(freezer::Tracker tracker)
{
    tracker_.emplace(std::move(tracker));
    if (!set_.add(tracker_->event_fd(), EPOLLIN, kRingToken)) {
        tracker_.reset();
        return;
    }
    for (auto &[id, watched] : watched_) {
        track(watched);
        look(watched);
    }
}

void StateWatcher::track(Watched &watched)
{
    if (!tracker_ || watched.slot >= kTracked || !watched.cgroup->announces())
        return;
    if (tracker_->watch(watched.slot, *watched.cgroup))
        tracker_->set_wake(watched.slot,
                           watched.watching_below ? kWake | FZ_WAKE_BELOW | FZ_WAKE_TASKS : kWake);
}

void StateWatcher::look(Watched &watched)
{
    auto phase = phase_of(freezer_->state(*watched.cgroup));
    if (!phase)
        return; // of no help; the next event is another chance
    if (*phase == Phase::kFreezing && !watched.watching_below) {
        look_below(watched);
        phase = phase_of(freezer_->state(*watched.cgroup)); // what happened before the watch
        if (!phase)
            return;
    }
    const bool changed = watched.phase != *phase;
    watched.phase = *phase;
    if (*phase != Phase::kFreezing)
        watched.follower.reset();
    else if (changed && !watched.cgroup->announces())
        if (auto own = watched.cgroup->open_below(""))
            watched.follower = std::make_unique<Follower>(
                config_, std::move(*own), [this, id = watched.cgroup->id()] { this->changed(id); });
    for (auto &[file, poller] : watched.pollers) {
        if (poller.handle && poller.file->seen != *phase) {
            (void)fuse_lowlevel_notify_poll(poller.handle.get());
            poller.handle.reset();
        }
    }
    if (watched.awaits_thaw && (*phase == Phase::kThawed || *phase == Phase::kGone)) {
        watched.awaits_thaw = false;
        deferred_.deliver(watched.cgroup->id());
        post([this, id = watched.cgroup->id()] { unwatch_if_idle(id); });
    }
}

// The kernel is silent on some ways in which a cgroup with others below it becomes frozen
// (docs/design.md).
void StateWatcher::look_below(Watched &watched)
{
    const auto below = watched.cgroup->children();
    if (!below || below->empty())
        return;
    watched.watching_below = true;
    for (const freezer::WatchPath &path : watched.cgroup->watch_paths_below())
        (void)set_.watch(path, watched.slot);
    if (tracker_ && watched.slot < kTracked)
        tracker_->set_wake(watched.slot, kWake | FZ_WAKE_BELOW | FZ_WAKE_TASKS);
}

void StateWatcher::read_events()
{
    std::vector<std::uint32_t> touched;
    tracker_->drain([&](const fz_event &event) {
        if (event.target < slots_.size() && slots_[event.target] &&
            std::find(touched.begin(), touched.end(), event.target) == touched.end())
            touched.push_back(event.target);
    });
    for (const std::uint32_t slot : touched)
        look(watched_.at(*slots_[slot]));
}

} // namespace freezerctl
