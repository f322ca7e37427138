// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// Inside the library: how one operation runs on its targets.
#ifndef FREEZERCTL_USER_OPERATION_H
#define FREEZERCTL_USER_OPERATION_H

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "user/account.h"
#include "user/freezer.h"
#include "user/missing_tasks.h"
#include "user/report.h"
#include "user/wait_set.h"

namespace freezer
{

// Arms everything that can wake it, makes the requests, then sleeps and looks until every target is
// settled, time is up or the caller interrupts:
//
//     arm all -> begin() each -> judge() each -> [ sleep -> judge() those that something touched ]
//             -> too_late() each that is left -> finish()
//
// An event only says when to look. What judge() decides on is always a fresh reading of the
// kernel's files, and it may be called at any time, for no reason, and more than once for one
// event.
class Operation
{
  public:
    Operation(const Operation &) = delete;
    Operation &operator=(const Operation &) = delete;
    virtual ~Operation() = default;

    Result<std::vector<TargetReport>> run();

  protected:
    struct Job {
        Job(Cgroup *of, std::uint32_t number, TargetReport &into)
            : cgroup(of), slot(number), report(into)
        {
        }
        Cgroup *cgroup;
        std::uint32_t slot;
        Account account;
        TargetReport &report;           // in reports_
        Reading before;                 // before begin()
        std::optional<Reading> verdict; // what it was settled on, if that was a reading
        std::uint64_t begin_ns = 0;     // just before the request was written
        bool settled = false;
        bool foreign_write = false;           // somebody else wrote a control file since begin()
        bool watching_below = false;          // the cgroup's own notifications are not enough
        std::uint32_t more_wakes = 0;         // FZ_WAKE_* beyond wake_mask()
        std::optional<VerdictSource> touched; // by what, since the last look
        // Where the cgroup announces nothing:
        bool asking = false;          // we asked it to freeze, and may write that again
        bool following = false;       // `missing` says when a reading is worth its while
        MissingTasks missing;         // valid while following
        std::uint64_t written_ns = 0; // the last time that we wrote the request
        std::uint32_t lost = 0;       // Tracker::lost() at the last look
        int frozen_again = 0;         // because the kernel let a task go
        bool moved_in = false;        // a task was moved into a target since this was cleared
    };

    Operation(Freezer &freezer, std::span<Target> targets, Verb verb, Goal goal,
              const WaitOptions &options);

    // The events that end a sleep: FZ_WAKE_*.
    [[nodiscard]] virtual std::uint32_t wake_mask() const = 0;
    // Makes the request. May settle the job.
    virtual void begin(Job &job) = 0;
    // Settles the job if the reading, in which `frozen` was confirmed, decides it.
    virtual void judge(Job &job, const Reading &reading) = 0;
    // Time is up, or the caller interrupts, and the job is not settled: do what was asked for that
    // case and settle it with `outcome`.
    virtual void too_late(Job &job, Outcome outcome);
    // Every job is settled.
    virtual void finish() {}
    // The cgroup was removed under way.
    virtual void gone(Job &job);

    // Asks the cgroup to freeze or to thaw, with all that takes where the kernel announces nothing.
    Status request(Job &job, bool freeze);
    // Stops counting the missing tasks: from now on every event is worth a look.
    void stop_following(Job &job);

    // The nearest ancestor that asks for a freeze, looked up once in a pass for cgroups that share
    // a parent.
    Result<std::optional<std::string>> freezing_ancestor(const Job &job);
    // Says, once, which v1 freezers hold tasks of a v2 target.
    void name_v1_holders(Job &job);

    // Ends a job. The time counts until `at_ns`; 0: now.
    void settle(Job &job, Outcome outcome, std::uint64_t at_ns = 0);
    void fail(Job &job, Error error, std::optional<Actor> actor = std::nullopt);
    // The kernel's files at this moment, with what they leave undecided looked up in the tasks
    // themselves.
    Result<Reading> read_confirmed(Job &job);
    // When the job was frozen, as the reading shows it to be: by the kernel's notification, or now
    // where that does not mean it or is still to come.
    static std::uint64_t frozen_at(Job &job, const Reading &reading);
    // Fails, or calls gone() when that is what the error says.
    void fail_or_gone(Job &job, const Error &error);

    // Reads out everything that the tracker has sent.
    void drain();
    // Makes ready what snapshot() needs. False: there is none.
    bool load_snapshot();
    // All tasks of all targets, or nullopt without BPF.
    std::optional<std::vector<fz_task_row>> snapshot();
    // Fills tasks and cgroups of the report by counting.
    static void count_members(TargetReport &report, Cgroup &cgroup);
    // The living tasks that are not frozen (or, for a kill, all that are left, zombies with their
    // parents); without BPF guessed from /proc.
    void name_stragglers(Job &job);
    [[nodiscard]] Tracker *tracker();

    Freezer &freezer_;
    Goal goal_;
    const WaitOptions &options_;
    std::vector<TargetReport> reports_;             // what run() returns
    std::vector<Job> jobs_;                         // one for each report
    VerdictSource source_ = VerdictSource::kBefore; // of the look that is being taken

  private:
    // Loads the tracker, unless the request need not wait for it.
    void choose_tracker();
    [[nodiscard]] bool can_begin_without_tracker() const;
    // Loads it after all, where the operation began without.
    void track_from_now();
    Status arm_tracker(WaitSet &set);
    Status watch_all(Tracker &bpf);
    // Lets these events of it wake, too; those that tell of its marks only when all is asked for.
    void set_wake(Job &job, std::uint32_t more);
    Status arm(WaitSet &set);
    // Makes the kernel's own notifications wake it.
    Status arm_notifications(WaitSet &set, Job &job);
    // The same with inotify, which takes no descriptor for each.
    static Status watch_notifications(WaitSet &set, const Job &job);
    void handle(const WaitSet::Wake &wake);
    // Follows the tasks that are not frozen yet; see Cgroup::announces().
    void follow(Job &job);
    // False: a reading would only show what is known already, that tasks are missing.
    bool is_worth_reading(Job &job);
    bool follow_reading(Job &job, const Reading &reading);
    // Writes the request to freeze once more, for tasks that only that freezes.
    void write_again(Job &job);
    // The kernel calls the cgroup frozen, but tasks are missing: whether it let them go.
    bool has_released(Job &job);
    void freeze_again(Job &job);
    // Without an event to wait for: looks again after growing times.
    void start_rereading();
    // inotify on the control files; see sleep_until_settled() for when.
    void watch_files(WaitSet &set);
    // From now on changes below the cgroup, and of single tasks, wake as well.
    void watch_below(Job &job);
    // The job's state may have changed: it is to be looked at.
    void touch(Job &job, VerdictSource source);
    void look_at_touched();
    void look(Job &job);
    Status sleep_until_settled(WaitSet &set);
    void give_up(Outcome outcome);
    // How long the next sleep may be; -1: until something wakes it.
    [[nodiscard]] int longest_sleep_ms() const;
    // See WaitOptions::on_late.
    void tell_late();
    void look_for_kernel_threads();
    std::optional<WhyReport> explain(Job &job);
    // The same, as far as it can be told.
    std::optional<std::string> held_by_ancestor(const Job &job);
    bool any_v1_request();
    void fill_reports();
    // How many tasks the kernel counted in it and below it when it did what was asked, if it told
    // of every cgroup of the reading.
    std::optional<std::uint64_t> counted_tasks(const Job &job, const Reading &of, bool thawed);
    // What the kernel says of the cgroup when all is over.
    void fill_state(Job &job);
    void fill_tracking(Job &job);
    void fill_entries();
    void disarm();

    WaitSet *set_ = nullptr;             // during run()
    std::vector<std::uint32_t> touched_; // slots
    bool watching_files_ = false;
    bool without_tracker_ = false; // so far
    bool silent_ = false;          // some of the cgroups announce nothing
    bool spare_descriptors_ = false;
    bool notifications_later_ = false; // with watch_files()
    // Of one pass over the jobs: what many of them have in common.
    struct SeenAbove {
        std::map<std::string, Result<std::optional<std::string>>> ancestors; // by hierarchy, parent
        std::optional<bool> v1_request;
    };
    SeenAbove seen_above_;
    std::uint64_t late_due_ns_;   // since start_ns_: when on_late is to be told next
    std::optional<Outcome> over_; // the deadline has passed, or the caller interrupts
    int reread_ms_ = 0;           // where nothing wakes: the time until the next look
    std::uint64_t start_ns_ = 0;
    std::uint64_t asked_ns_ = 0; // the last request of begin() was made; 0: not yet
    std::uint64_t dropped_before_ = 0;
    std::uint64_t missed_exits_before_ = 0;
};

} // namespace freezer

#endif
