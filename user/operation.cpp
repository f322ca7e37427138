// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "user/operation.h"

#include <sys/epoll.h>

#include <algorithm>
#include <cerrno>
#include <set>
#include <utility>

#include "user/duration.h"
#include "user/files.h"
#include "user/proc_tasks.h"

namespace freezer
{
namespace
{

// Tokens in the wait set: slots count up from zero.
constexpr std::uint64_t kRingToken = 1ULL << 40;
constexpr std::uint64_t kInterruptToken = kRingToken + 1;
// Plus a slot: a notification of a cgroup or of one below it, which is nobody's write.
constexpr std::uint64_t kBelowTokens = 1ULL << 41;

// Ending an inotify group costs some 10 ms, more than most freezes take; loading the tracker some
// 100 ms. They join when a wait turns out to be a long one.
constexpr int kShortWaitMs = 100;
constexpr std::uint64_t kLateTrackerNs = 500'000'000;
constexpr int kRereadMaxMs = 100;
constexpr int kLongestTimerMs = 3'600'000;
constexpr int kFrozenAgainMax = 20;
// What a process has open beside the cgroups, at most; beyond that, see arm_notifications().
constexpr std::uint64_t kOtherDescriptors = 100;
// Of all that it may have, for what is below the cgroups: one in so many.
constexpr std::uint64_t kShareOfDescriptors = 8;

} // namespace

Operation::Operation(Freezer &freezer, std::span<Target> targets, Verb verb, Goal goal,
                     const WaitOptions &options)
    : freezer_(freezer), goal_(goal), options_(options), reports_(targets.size()),
      silent_(!all_announce(targets)), late_due_ns_(options.late_after_ns)
{
    jobs_.reserve(targets.size());
    for (size_t i = 0; i < targets.size(); ++i) {
        Job &job =
            jobs_.emplace_back(targets[i].cgroup.get(), static_cast<std::uint32_t>(i), reports_[i]);
        job.report.target = targets[i].name;
        job.report.path = job.cgroup->path();
        job.report.hierarchy = job.cgroup->hierarchy_name();
        job.report.id = job.cgroup->id();
        job.report.verb = verb;
        job.report.goal = goal;
    }
}

Tracker *Operation::tracker()
{
    return freezer_.tracker_ ? &*freezer_.tracker_ : nullptr;
}

Result<std::vector<TargetReport>> Operation::run()
{
    freezer_.late_ = false;
    auto set = WaitSet::open(std::move(freezer_.inotify_));
    if (!set)
        return std::move(set).error();
    set_ = &*set;
    const size_t descriptors = file_limit() / kShareOfDescriptors;
    for (Job &job : jobs_)
        job.cgroup->keep_below(descriptors / 2 / jobs_.size());
    choose_tracker();
    start_ns_ = now_ns();
    if (auto armed = arm(*set); !armed) {
        disarm();
        return std::move(armed).error();
    }
    for (Job &job : jobs_) {
        auto reading = read_confirmed(job);
        if (!reading) {
            fail_or_gone(job, reading.error());
            continue;
        }
        job.before = std::move(*reading);
        // Before the request, for afterwards somebody waits.
        if (job.report.verb == Verb::kFreeze)
            job.report.held_by_ancestor = held_by_ancestor(job);
    }
    for (Job &job : jobs_) {
        if (job.settled)
            continue;
        source_ = VerdictSource::kBefore;
        job.begin_ns = now_ns();
        begin(job);
        drain(); // the requests of many targets make more events than there is room for
        if (!job.settled && goal_ == Goal::kFrozen && !job.cgroup->announces() &&
            job.before.asked && !job.following)
            follow(job);
    }
    asked_ns_ = now_ns();
    // From now on a mark wakes; those that came before are seen by the look at all that follows.
    for (Job &job : jobs_) {
        if (tracker() && !job.settled)
            set_wake(job, job.more_wakes);
    }
    if (options_.on_requested)
        options_.on_requested();
    // What our own writes left in the queues is no sign of others.
    (void)set->poll();
    for (Job &job : jobs_)
        touch(job, VerdictSource::kImmediate);
    look_at_touched();
    if (auto slept = sleep_until_settled(*set); !slept) {
        for (Job &job : jobs_) {
            if (!job.settled)
                fail(job, slept.error());
        }
    }
    finish();
    fill_reports();
    disarm();
    freezer_.inotify_ = set->take_inotify();
    return std::move(reports_);
}

bool Operation::can_begin_without_tracker() const
{
    return freezer_.config_.late_tracking && freezer_.config_.use_bpf && !options_.tasks &&
           !silent_ &&
           (goal_ != Goal::kFrozen || std::none_of(jobs_.begin(), jobs_.end(), [](const Job &job) {
                return job.cgroup->verdict_takes_tasks();
            }));
}

void Operation::choose_tracker()
{
    const auto targets = static_cast<std::uint32_t>(jobs_.size());
    without_tracker_ = !freezer_.has_tracker(targets, silent_) && !freezer_.tracker_ &&
                       can_begin_without_tracker();
    freezer_.late_ |= without_tracker_;
    if (!without_tracker_)
        (void)freezer_.load_tracker(targets, silent_); // see Freezer::tracking()
}

void Operation::track_from_now()
{
    if (!std::exchange(without_tracker_, false))
        return;
    const auto targets = static_cast<std::uint32_t>(jobs_.size());
    if (!freezer_.load_tracker(targets, false) || !arm_tracker(*set_)) {
        if (!watching_files_)
            watch_files(*set_);
        return;
    }
    for (Job &job : jobs_)
        touch(job, VerdictSource::kRingBuffer); // what happened before
}

Status Operation::arm_tracker(WaitSet &set)
{
    Tracker *const bpf = tracker();
    if (!bpf)
        return {};
    dropped_before_ = bpf->dropped();
    missed_exits_before_ = bpf->missed_exits();
    auto watched = watch_all(*bpf);
    if (!watched && watched.error().sys_errno == EBUSY && bpf->pinned()) {
        // Another process watches one, and a cgroup has one watcher on the attached tracker.
        freezer_.leave_attached();
        choose_tracker();
        return arm_tracker(set);
    }
    if (!watched)
        return watched;
    drain(); // of an earlier operation
    return set.add(bpf->event_fd(), EPOLLIN, kRingToken);
}

Status Operation::watch_all(Tracker &bpf)
{
    const auto lock = bpf.lock_targets();
    for (Job &job : jobs_) {
        if (job.settled)
            continue;
        if (auto watched = bpf.watch(job.slot, *job.cgroup); !watched)
            return watched;
        set_wake(job, 0);
        if (!job.cgroup->announces())
            job.lost = bpf.lost(job.slot);
    }
    return {};
}

void Operation::set_wake(Job &job, std::uint32_t more)
{
    job.more_wakes = more;
    tracker()->set_wake(job.slot, wake_mask() | more | (asked_ns_ == 0 ? FZ_WAKE_LATER : 0));
}

Status Operation::arm(WaitSet &set)
{
    if (auto armed = arm_tracker(set); !armed)
        return armed;
    spare_descriptors_ = jobs_.size() * 3 + kOtherDescriptors > file_limit();
    // The tracker tells the same, and without a watch for each.
    notifications_later_ = spare_descriptors_ && tracker() != nullptr;
    for (Job &job : jobs_) {
        if (auto armed = arm_notifications(set, job); !armed) {
            fail_or_gone(job, armed.error());
            continue;
        }
        // Requests are seen with inotify all the same.
        const bool silent = !job.cgroup->announces();
        const bool freezes = goal_ == Goal::kFrozen || (silent && goal_ == Goal::kEmpty);
        // Now, so that no request waits for it.
        if (freezes && tracker() && job.cgroup->verdict_takes_tasks()) {
            (void)load_snapshot();
            set_wake(job, FZ_COUNT_TASKS);
        }
        if (freezes && silent && !tracker())
            start_rereading();
    }
    if (!tracker() && !without_tracker_)
        watch_files(set);
    if (options_.interrupt_fd >= 0) {
        if (auto added = set.add(options_.interrupt_fd, EPOLLIN, kInterruptToken); !added)
            return added;
    }
    if (options_.timeout_ns)
        set.set_deadline(later(start_ns_, *options_.timeout_ns));
    return {};
}

Status Operation::arm_notifications(WaitSet &set, Job &job)
{
    if (notifications_later_)
        return {};
    if (spare_descriptors_)
        return watch_notifications(set, job);
    auto fd = job.cgroup->notify_fd();
    if (!fd)
        return std::move(fd).error();
    return *fd >= 0 ? set.add_notifications(*fd, job.slot) : Status();
}

Status Operation::watch_notifications(WaitSet &set, const Job &job)
{
    const auto path = job.cgroup->notify_path();
    return path ? set.watch(*path, kBelowTokens + job.slot) : Status();
}

void Operation::watch_files(WaitSet &set)
{
    watching_files_ = true;
    for (Job &job : jobs_) {
        if (job.settled)
            continue;
        if (notifications_later_)
            (void)watch_notifications(set, job);
        for (const WatchPath &path : job.cgroup->watch_paths()) {
            auto watched = set.watch(path, job.slot);
            // Where it cannot be watched (too many watches, no permission above), the tracker's
            // events serve; without BPF a foreign thaw is then only seen at the deadline.
            if (!watched && !tracker() && watched.error().sys_errno == ENOSPC)
                job.report.warnings.push_back(
                    "out of inotify watches (fs.inotify.max_user_watches): a foreign thaw or "
                    "removal may go unnoticed until the deadline");
        }
    }
}

Status Operation::sleep_until_settled(WaitSet &set)
{
    while (!std::all_of(jobs_.begin(), jobs_.end(), [](const Job &job) { return job.settled; })) {
        // The tracker sees foreign requests and removals; inotify, which also sees writes that
        // change nothing, joins when the wait turns out to be a long one.
        const int longest_ms = longest_sleep_ms();
        auto wakes = longest_ms < 0 ? set.wait() : set.wait_at_most(longest_ms);
        if (!wakes)
            return std::move(wakes).error();
        if (wakes->empty() && reread_ms_ != 0) {
            reread_ms_ = std::min(reread_ms_ * 2, kRereadMaxMs);
            for (Job &job : jobs_)
                touch(job, VerdictSource::kReread);
        } else if (wakes->empty() && !watching_files_) {
            watch_files(set);
            seen_above_ = {};
            for (Job &job : jobs_) {
                touch(job, VerdictSource::kInotify); // what happened before the watch
                if (!job.settled)
                    name_v1_holders(job);
            }
            if (!without_tracker_)
                look_for_kernel_threads();
        }
        for (const WaitSet::Wake &wake : *wakes)
            handle(wake);
        look_at_touched();
        if (without_tracker_ && now_ns() - asked_ns_ >= kLateTrackerNs) {
            track_from_now();
            look_for_kernel_threads();
            look_at_touched();
        }
        if (over_) {
            give_up(*over_);
            return {};
        }
        if (options_.on_late && now_ns() - start_ns_ >= late_due_ns_)
            tell_late();
    }
    return {};
}

int Operation::longest_sleep_ms() const
{
    // Of many tasks the requests take long, and as long they may take to follow them.
    const auto asking_ms = static_cast<int>(
        std::min<std::uint64_t>((asked_ns_ - start_ns_) / 1'000'000, kLongestTimerMs));
    const int short_ms = std::max(kShortWaitMs, asking_ms);
    int longest_ms = reread_ms_ != 0 ? reread_ms_ : watching_files_ ? -1 : short_ms;
    const auto wake_after = [&, at_ns = now_ns()](std::uint64_t from_ns, std::uint64_t after_ns) {
        const std::uint64_t since_ns = at_ns - from_ns;
        const std::uint64_t left_ns = after_ns > since_ns ? after_ns - since_ns : 0;
        const auto left_ms =
            static_cast<int>(std::min<std::uint64_t>(left_ns / 1'000'000 + 1, kLongestTimerMs));
        longest_ms = longest_ms < 0 ? left_ms : std::min(longest_ms, left_ms);
    };
    if (options_.on_late)
        wake_after(start_ns_, late_due_ns_);
    if (without_tracker_)
        wake_after(asked_ns_, kLateTrackerNs);
    return longest_ms;
}

std::optional<WhyReport> Operation::explain(Job &job)
{
    if (goal_ == Goal::kThawed)
        return std::nullopt; // no task holds up a thaw
    auto report = freezer_.why(*job.cgroup, goal_ == Goal::kFrozen ? WhyReport::Purpose::kFreeze
                                                                   : WhyReport::Purpose::kKill);
    if (!report)
        return std::nullopt;
    return std::move(*report);
}

void Operation::tell_late()
{
    for (Job &job : jobs_) {
        if (job.settled)
            continue;
        if (const auto report = explain(job); report && !report->tasks.empty())
            options_.on_late(job.report.target, *report, false);
    }
    late_due_ns_ = now_ns() - start_ns_ + options_.late_after_ns;
}

// On v2 a kernel thread is counted and never frozen (76f969e8948d), so no wait will help.
void Operation::look_for_kernel_threads()
{
    if (goal_ != Goal::kFrozen)
        return;
    const auto rows = snapshot();
    if (!rows)
        return;
    for (Job &job : jobs_) {
        const auto thread = std::find_if(rows->begin(), rows->end(), [&](const fz_task_row &row) {
            return row.target == job.slot && (row.flags & FZ_PF_KTHREAD) != 0;
        });
        if (job.settled || thread == rows->end() || !job.cgroup->announces())
            continue;
        job.report.warnings.push_back("it holds the kernel thread " +
                                      std::to_string(thread->task.tid) + " " +
                                      comm_of(thread->task) + " and so will never read frozen");
        if (!options_.on_late)
            continue;
        if (const auto report = explain(job))
            options_.on_late(job.report.target, *report, true);
    }
}

void Operation::handle(const WaitSet::Wake &wake)
{
    if (wake.source == WaitSet::Source::kDeadline) {
        over_ = over_.value_or(Outcome::kDeadline);
    } else if (wake.token == kInterruptToken) {
        over_ = Outcome::kInterrupted;
    } else if (wake.token == kRingToken) {
        drain();
    } else if (wake.token >= kBelowTokens) {
        touch(jobs_[wake.token - kBelowTokens], VerdictSource::kInotify);
    } else {
        const bool file = wake.source == WaitSet::Source::kDescriptor;
        Job &job = jobs_[wake.token];
        job.foreign_write |= !file;
        touch(job, file ? VerdictSource::kEventsFile : VerdictSource::kInotify);
    }
}

void Operation::give_up(Outcome outcome)
{
    for (Job &job : jobs_)
        touch(job, VerdictSource::kDeadline);
    look_at_touched();
    // All are named before the first is touched: a rollback would change what there is to see.
    for (Job &job : jobs_) {
        if (job.settled)
            continue;
        name_stragglers(job);
        job.report.why = explain(job);
    }
    for (Job &job : jobs_) {
        if (!job.settled)
            too_late(job, outcome);
    }
}

void Operation::touch(Job &job, VerdictSource source)
{
    if (!job.touched)
        touched_.push_back(job.slot);
    job.touched = source;
}

void Operation::look_at_touched()
{
    drain();                    // who it was, before it is judged
    while (!touched_.empty()) { // a look reads events, too
        seen_above_ = {};
        for (const std::uint32_t slot : std::exchange(touched_, {})) {
            Job &job = jobs_[slot];
            source_ = *std::exchange(job.touched, std::nullopt);
            look(job);
        }
    }
}

void Operation::look(Job &job)
{
    if (job.settled || !is_worth_reading(job))
        return;
    auto reading = read_confirmed(job);
    if (reading && reading->flagged && !reading->frozen && !job.watching_below) {
        watch_below(job);
        reading = read_confirmed(job); // what happened before the watch
    }
    if (!reading) {
        fail_or_gone(job, reading.error());
        return;
    }
    if (!job.cgroup->announces() && !follow_reading(job, *reading))
        return;
    judge(job, *reading);
    if (job.settled)
        job.verdict = std::move(*reading);
}

// False: not to be judged, for another look follows.
bool Operation::follow_reading(Job &job, const Reading &reading)
{
    if (!job.following) {
        // Somebody asked it to freeze.
        if (goal_ == Goal::kFrozen && reading.asked && !reading.frozen)
            follow(job);
        if (source_ == VerdictSource::kReread && job.asking && reading.self_freezing &&
            !reading.frozen)
            write_again(job);
        return true;
    }
    if (!reading.asked) {
        stop_following(job);
        return true;
    }
    if (reading.frozen)
        return job.missing.none() || !has_released(job);
    if (job.missing.none()) {
        // Nobody is missing, and yet it is not frozen: a task on its last steps out of the cgroup
        // (since 6.19 it leaves after its last switch), or one that no event told of.
        job.missing.note_lost();
        start_rereading();
        if (source_ == VerdictSource::kReread && job.asking)
            write_again(job);
    }
    return true;
}

Status Operation::request(Job &job, bool freeze)
{
    if (!freeze || job.cgroup->announces()) {
        stop_following(job);
        job.asking = false;
        return job.cgroup->request_freeze(freeze);
    }
    follow(job); // before the write, so that no arrival is missed
    job.asking = true;
    auto written = job.cgroup->request_freeze(true);
    job.written_ns = now_ns();
    return written;
}

void Operation::follow(Job &job)
{
    Tracker *const bpf = tracker();
    if (!bpf)
        return;
    const std::uint64_t now = now_ns();
    job.account.begin_request(now);
    bpf->begin_request(job.slot, now);
    job.missing = MissingTasks();
    job.following = true;
    set_wake(job, FZ_WAKE_MISSING);
    bpf->watch_moves(true);
    touch(job, VerdictSource::kImmediate);
}

void Operation::stop_following(Job &job)
{
    if (!std::exchange(job.following, false) || !tracker())
        return;
    set_wake(job, 0);
}

bool Operation::is_worth_reading(Job &job)
{
    if (!job.following)
        return true;
    bool in_vain = false;
    for (;;) {
        if (const std::uint32_t lost = tracker()->lost(job.slot); lost != job.lost) {
            job.lost = lost;
            job.missing.note_lost();
        }
        if (job.missing.wants_write() && job.asking)
            write_again(job);
        if (!job.missing.stale())
            break;
        const auto rows = snapshot();
        if (!rows) {
            stop_following(job);
            start_rereading();
            return true;
        }
        if (!job.before.frozen) // by an ancestor
            job.account.note_in_place(*rows, job.slot, job.written_ns);
        // A write freezes what sleeps so; if it did not, only the kernel's file tells more.
        const bool written = job.missing.was_written();
        in_vain |= job.missing.rebase(*rows, job.slot) && written;
        drain();
    }
    if (in_vain || job.missing.none() || source_ == VerdictSource::kDeadline)
        return true;
    if (source_ != VerdictSource::kInotify)
        return false;
    // Somebody wrote: of interest if that took the request back.
    const auto asks = job.cgroup->self_freezing();
    return !asks || !*asks;
}

void Operation::write_again(Job &job)
{
    // A thaw by somebody else must not be overwritten; judge() is to see it.
    const auto asks = job.cgroup->self_freezing();
    if (!asks || !*asks) {
        job.missing.note_written();
        touch(job, VerdictSource::kInotify);
        return;
    }
    // Others' writes first, for the change that our own makes is passed over.
    const auto handle_all = [&](bool pass_over) {
        auto wakes = set_->poll();
        if (!wakes)
            return;
        for (const WaitSet::Wake &wake : *wakes) {
            if (!pass_over || wake.source != WaitSet::Source::kChange || wake.token != job.slot)
                handle(wake);
        }
    };
    if (watching_files_)
        handle_all(false);
    (void)job.cgroup->request_freeze(true);
    job.written_ns = now_ns();
    job.missing.note_written();
    if (watching_files_)
        handle_all(true);
}

bool Operation::has_released(Job &job)
{
    const auto still_missing = [&] {
        const auto rows = snapshot();
        return rows && std::any_of(rows->begin(), rows->end(), [&](const fz_task_row &row) {
                   return row.target == job.slot && row.exit_state == 0 &&
                          !(row.flags & (FZ_PF_EXITING | FZ_PF_KTHREAD | FZ_PF_NOFREEZE)) &&
                          !(row.bits & FZ_ROW_FROZEN);
               });
    };
    // Not one that was moved in since the reading: then the file says FREEZING again.
    if (!still_missing())
        return false;
    const auto again = job.cgroup->read();
    if (!again || !again->frozen || !still_missing())
        return false;
    if (job.asking)
        freeze_again(job);
    return true;
}

void Operation::freeze_again(Job &job)
{
    if (job.frozen_again++ == 0)
        job.report.warnings.emplace_back(
            "the kernel called it FROZEN and let a task go: it was frozen again (a bug of kernels "
            "with commit 254a142007, \"cgroup_freezing: Check if not frozen\", when somebody reads "
            "freezer.state during a freeze: update the kernel)");
    if (job.frozen_again > kFrozenAgainMax) {
        fail(job, Error{ErrorKind::kSystem, 0, "the kernel lets its tasks go again and again"});
        return;
    }
    // In that state a write of FROZEN does nothing: freezing() says no.
    (void)job.cgroup->request_freeze(false);
    (void)job.cgroup->request_freeze(true);
    job.written_ns = now_ns();
    job.missing.note_written();
    touch(job, VerdictSource::kRingBuffer);
}

void Operation::start_rereading()
{
    if (reread_ms_ == 0)
        reread_ms_ = 1;
}

void Operation::name_v1_holders(Job &job)
{
    // v1 cgroups hold their own tasks; and looking costs nothing where no v1 cgroup asks for it.
    if (!job.cgroup->announces() || !any_v1_request())
        return;
    const auto rows = snapshot();
    if (!rows)
        return;
    std::set<std::string> paths;
    size_t tasks = 0;
    for (const fz_task_row &row : *rows) {
        if (row.target != job.slot || !(row.bits & FZ_ROW_HELD_BY_V1))
            continue;
        ++tasks;
        paths.insert(freezer_.resolver_.v1_path_of(row.task.tid));
    }
    if (paths.empty())
        return;
    job.report.held_by_v1.assign(paths.begin(), paths.end());
    if (options_.notice)
        options_.notice(job.report.target, std::to_string(tasks) +
                                               (tasks == 1 ? " task is" : " tasks are") +
                                               " still held by v1 " + *paths.begin());
}

Result<Reading> Operation::read_confirmed(Job &job)
{
    auto reading = job.cgroup->read();
    if (!reading || !reading->frozen || reading->undecided.empty())
        return reading;
    const std::set<std::uint64_t> undecided(reading->undecided.begin(), reading->undecided.end());
    const auto runs = [&](const TaskEntry &task) {
        return !task.frozen && undecided.contains(task.cgroup_id);
    };
    const auto rows = snapshot();
    const auto tasks =
        rows ? job.account.reconcile(*rows, job.slot).tasks : tasks_from_proc(*job.cgroup);
    reading->frozen = std::none_of(tasks.begin(), tasks.end(), runs);
    return reading;
}

std::uint64_t Operation::frozen_at(Job &job, const Reading &reading)
{
    const std::uint64_t told_ns = reading.undecided.empty() ? job.account.frozen_ns() : 0;
    const std::uint64_t at_ns = told_ns != 0 ? told_ns : now_ns();
    // No arrival may be later than the verdict, whatever events are still to be read.
    job.account.note_confirmed(at_ns);
    return at_ns;
}

void Operation::watch_below(Job &job)
{
    job.watching_below = true;
    track_from_now();
    if (Tracker *const bpf = tracker()) {
        set_wake(job, FZ_WAKE_BELOW | FZ_WAKE_TASKS);
        bpf->watch_moves(true);
        return;
    }
    for (const WatchPath &path : job.cgroup->watch_paths_below())
        (void)set_->watch(path, kBelowTokens + job.slot);
    // Of single tasks nothing tells without BPF.
    start_rereading();
}

void Operation::too_late(Job &job, Outcome outcome)
{
    settle(job, outcome);
}

void Operation::gone(Job &job)
{
    job.report.actor = job.account.remover();
    job.report.error =
        Error{ErrorKind::kNoSuchCgroup, ENOENT, "the cgroup was removed while waiting"};
    settle(job, Outcome::kNoSuchCgroup);
}

void Operation::settle(Job &job, Outcome outcome, std::uint64_t at_ns)
{
    job.settled = true;
    job.report.outcome = outcome;
    job.report.source = source_;
    const std::uint64_t end_ns = at_ns != 0 ? at_ns : now_ns();
    const std::uint64_t begin_ns = job.begin_ns != 0 ? job.begin_ns : start_ns_;
    job.report.elapsed_ns = end_ns > begin_ns ? end_ns - begin_ns : 0;
    // The last arrival may have been seen in the kernel's files, and its program be still to run.
    if (tracker())
        tracker()->stop_wakes(job.slot);
}

void Operation::fail(Job &job, Error error, std::optional<Actor> actor)
{
    job.report.error = std::move(error);
    job.report.actor = std::move(actor);
    settle(job, Outcome::kFailed);
}

void Operation::fail_or_gone(Job &job, const Error &error)
{
    if (error.kind == ErrorKind::kNoSuchCgroup) {
        drain(); // who removed it
        gone(job);
    } else {
        fail(job, error);
    }
}

void Operation::drain()
{
    if (Tracker *const bpf = tracker()) {
        bpf->drain([&](const fz_event &event) {
            if (event.kind == FZ_EV_MOVED) {
                for (Job &job : jobs_) {
                    job.moved_in |= (event.flags & FZ_EVF_INTO) != 0;
                    job.missing.apply(event);
                    if ((job.watching_below || !job.cgroup->announces()) && !job.settled)
                        touch(job, VerdictSource::kRingBuffer);
                }
                return;
            }
            if (event.target >= jobs_.size())
                return;
            Job &job = jobs_[event.target];
            job.account.apply(event);
            job.missing.apply(event);
            if (!job.settled && (event.kind < FZ_EV_ARRIVED || job.watching_below || job.following))
                touch(job, VerdictSource::kRingBuffer);
        });
    }
}

bool Operation::load_snapshot()
{
    track_from_now();
    if (!tracker())
        return false;
    if (!freezer_.snapshot_) {
        auto made = TaskSnapshot::beside(*tracker());
        if (!made)
            return false;
        freezer_.snapshot_ = std::move(*made);
    }
    return true;
}

std::optional<std::vector<fz_task_row>> Operation::snapshot()
{
    if (!load_snapshot())
        return std::nullopt;
    auto rows = freezer_.snapshot_->take();
    if (!rows)
        return std::nullopt;
    return std::move(*rows);
}

void Operation::count_members(TargetReport &report, Cgroup &cgroup)
{
    const auto size = cgroup.size();
    if (!size)
        return;
    report.cgroups = size->cgroups;
    report.tasks = size->tasks;
}

void Operation::name_stragglers(Job &job)
{
    const auto rows = snapshot();
    std::vector<TaskEntry> &out = job.report.stragglers;
    if (!rows) {
        out = tasks_from_proc(*job.cgroup);
        if (goal_ == Goal::kFrozen)
            std::erase_if(out, [](const TaskEntry &task) { return task.frozen; });
        return;
    }
    if (goal_ == Goal::kFrozen) {
        out = job.account.reconcile(*rows, job.slot).tasks;
        std::erase_if(out, [](const TaskEntry &task) { return task.frozen; });
    } else {
        out = survivors(*rows, job.slot);
    }
    for (TaskEntry &task : out) {
        complete_from_proc(task);
        if (task.note == TaskEntry::Note::kHeldByV1)
            task.v1_path = freezer_.resolver_.v1_path_of(task.tid);
    }
}

Result<std::optional<std::string>> Operation::freezing_ancestor(const Job &job)
{
    const std::string &path = job.cgroup->path();
    const std::string parent =
        std::to_string(job.cgroup->hierarchy_id()) + path.substr(0, path.rfind('/'));
    auto found = seen_above_.ancestors.find(parent);
    if (found == seen_above_.ancestors.end() || !found->second)
        found =
            seen_above_.ancestors.insert_or_assign(parent, job.cgroup->freezing_ancestor()).first;
    return found->second;
}

std::optional<std::string> Operation::held_by_ancestor(const Job &job)
{
    auto ancestor = freezing_ancestor(job);
    return ancestor ? std::move(*ancestor) : std::nullopt;
}

bool Operation::any_v1_request()
{
    if (!seen_above_.v1_request)
        seen_above_.v1_request = freezer_.resolver_.any_v1_request();
    return *seen_above_.v1_request;
}

void Operation::fill_reports()
{
    drain();
    seen_above_ = {};
    for (Job &job : jobs_) {
        if (job.report.outcome != Outcome::kNoSuchCgroup && !job.report.removed)
            fill_state(job);
        fill_tracking(job);
    }
    if (options_.tasks)
        fill_entries();
}

std::optional<std::uint64_t> Operation::counted_tasks(const Job &job, const Reading &of,
                                                      bool thawed)
{
    const auto own = thawed ? job.account.thawed_tasks() : job.account.frozen_tasks();
    if (!own || of.cgroups <= 1)
        return own;
    // Where one that has children holds tasks, too, its mark may have come before they were frozen.
    // Of all others it comes with the last task, and the reading that found it has waited since for
    // css_set_lock, under which it is told.
    if (!tracker() || (!thawed && !of.undecided.empty()))
        return std::nullopt;
    const fz_target told = tracker()->target(job.slot);
    if ((!thawed && told.below_again != 0) || (told.below >> 32) != of.cgroups - 1)
        return std::nullopt;
    return *own + (told.below & UINT32_MAX);
}

void Operation::fill_state(Job &job)
{
    TargetReport &report = job.report;
    // A kill may have frozen it again, and a freeze may have been taken back.
    const bool stands = job.verdict && report.outcome == Outcome::kReached &&
                        report.verb != Verb::kKill && !report.rolled_back;
    if (!stands) {
        auto reading = read_confirmed(job);
        if (!reading)
            return;
        job.verdict = std::move(*reading);
    }
    // A freeze asked before; and what was found thawed is held by none.
    if (!stands || report.verb == Verb::kWait)
        report.held_by_ancestor = held_by_ancestor(job);
    report.state = state_of(*job.verdict, report.held_by_ancestor.has_value());
    if (report.verb == Verb::kKill)
        return;
    // To read the ids of many tasks takes longer than to freeze them; the kernel has just counted.
    const bool thawed = report.verb == Verb::kThaw && report.requested;
    const Reading &of = thawed ? job.before : *job.verdict;
    const auto counted = stands && of.frozen ? counted_tasks(job, of, thawed) : std::nullopt;
    if (counted) {
        report.cgroups = of.cgroups;
        report.tasks = *counted;
    } else {
        count_members(report, *job.cgroup);
        // A reading shows the mark before the event of it is made, under css_set_lock, which
        // whoever reads the ids of tasks takes, too (css_task_iter_start(),
        // kernel/cgroup/cgroup.c): by now it is there.
        drain();
    }
}

void Operation::fill_tracking(Job &job)
{
    Tracker *const bpf = tracker();
    if (!bpf || freezer_.late_)
        return; // it did not see the beginning
    TargetReport &report = job.report;
    // Which target a lost event belonged to is lost with it.
    report.dropped_events = bpf->dropped() - dropped_before_;
    report.complete = report.dropped_events == 0;

    if (report.dropped_events != 0)
        job.account.note_target(bpf->target(job.slot));

    const auto counts = bpf->counts(job.slot);
    if (!counts)
        return;
    if (report.verb == Verb::kKill && bpf->missed_exits() == missed_exits_before_)
        report.deaths = counts->exited;
    if (report.goal != Goal::kFrozen)
        return;
    report.slowest = job.account.completer();
    const std::uint64_t request_ns = job.account.request_ns();
    if (counts->slowest && request_ns != 0 && counts->slowest_ns >= request_ns) {
        // Its switch comes after the moment when it was counted; see Account::arrival_of().
        const std::uint64_t frozen_ns = job.account.frozen_ns();
        const std::uint64_t at_ns =
            frozen_ns != 0 ? std::min(counts->slowest_ns, frozen_ns) : counts->slowest_ns;
        report.slowest = TaskTime{counts->slowest->tid, counts->slowest->tgid,
                                  comm_of(*counts->slowest), at_ns - request_ns};
    }
    const auto &in_place = job.account.frozen_in_place();
    if (in_place && (!report.slowest || report.slowest->after_ns < in_place->after_ns))
        report.slowest = in_place;
}

void Operation::fill_entries()
{
    auto rows = snapshot();
    drain(); // arrivals whose switch came while the snapshot was taken
    for (Job &job : jobs_) {
        TargetReport &report = job.report;
        if (!report.state)
            continue;
        if (!rows) {
            report.entries = tasks_from_proc(*job.cgroup);
            continue;
        }
        auto account = job.account.reconcile(*rows, job.slot);
        report.entries = std::move(account.tasks);
        // The records hold every arrival that the ring buffer lost, so only what neither tells is
        // missing.
        report.complete = account.unexplained == 0;
    }
}

void Operation::disarm()
{
    for (Job &job : jobs_)
        job.cgroup->keep_below(0);
    if (Tracker *const bpf = tracker()) {
        const auto lock = bpf->lock_targets();
        for (Job &job : jobs_)
            bpf->unwatch(job.slot);
        bpf->watch_moves(false);
    }
}

} // namespace freezer
