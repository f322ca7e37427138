// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// The verbs: what each asks of the kernel, and what it takes for an answer.
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>

#include "user/duration.h"
#include "user/freezer.h"
#include "user/operation.h"
#include "user/proc_tasks.h"

namespace freezer
{
namespace
{

std::string by(const std::optional<Actor> &actor)
{
    return actor ? "" : " by another process";
}

class FreezeOperation final : public Operation
{
  public:
    FreezeOperation(Freezer &freezer, std::span<Target> targets, const FreezeOptions &options)
        : Operation(freezer, targets, Verb::kFreeze, Goal::kFrozen, options), options_(options)
    {
    }

  private:
    [[nodiscard]] std::uint32_t wake_mask() const override
    {
        return FZ_WAKE_FROZEN | FZ_WAKE_THAW | FZ_WAKE_REMOVED;
    }

    void begin(Job &job) override
    {
        if (options_.tasks) {
            note_before(job);
            job.begin_ns = now_ns();
        }
        if (job.before.self_freezing && job.before.frozen) {
            job.report.already = true;
            settle(job, Outcome::kReached);
            return;
        }
        if (auto written = request(job, true); !written) {
            fail_or_gone(job, written.error());
            return;
        }
        job.report.requested = true;
    }

    void judge(Job &job, const Reading &reading) override
    {
        if (!reading.self_freezing) {
            const auto &actor = job.account.foreign_thaw();
            fail(job, Error{ErrorKind::kSystem, 0, "thawed" + by(actor) + " while freezing"},
                 actor);
        } else if (reading.frozen) {
            const auto &killer = job.account.foreign_kill();
            if (job.before.populated && !reading.populated && killer) {
                fail(job, Error{ErrorKind::kSystem, 0, "all its tasks were killed while freezing"},
                     killer);
                return;
            }
            settle(job, Outcome::kReached, frozen_at(job, reading));
        }
    }

    void too_late(Job &job, Outcome outcome) override
    {
        settle(job, outcome);
        if (options_.on_timeout == FreezeOptions::OnTimeout::kThaw)
            roll_back(job); // kKill is Freezer::freeze()'s: a kill is an operation of its own
    }

    void finish() override
    {
        const bool all = std::all_of(jobs_.begin(), jobs_.end(), [](const Job &job) {
            return job.report.outcome == Outcome::kReached;
        });
        if (all || !options_.all_or_none)
            return;
        for (Job &job : jobs_) {
            if (job.report.outcome == Outcome::kReached)
                roll_back(job);
        }
    }

    // Takes our request back if it is ours to take: we changed it, and nobody wrote since.
    void roll_back(Job &job)
    {
        if (!job.report.requested || job.before.self_freezing || job.foreign_write ||
            job.account.foreign_freeze())
            return;
        const auto asks = job.cgroup->self_freezing();
        if (!asks || !*asks)
            return;
        if (auto written = job.cgroup->request_freeze(false); written)
            job.report.rolled_back = true;
        else
            job.report.warnings.push_back("could not be thawed again: " + written.error().message);
    }

    void note_before(Job &job)
    {
        if (!before_)
            before_ = snapshot();
        if (before_)
            job.account.note_before(*before_, job.slot);
    }

    const FreezeOptions &options_;
    std::optional<std::vector<fz_task_row>> before_; // one pass serves all targets
};

class ThawOperation final : public Operation
{
  public:
    ThawOperation(Freezer &freezer, std::span<Target> targets, const WaitOptions &options)
        : Operation(freezer, targets, Verb::kThaw, Goal::kThawed, options)
    {
    }

  private:
    [[nodiscard]] std::uint32_t wake_mask() const override
    {
        return FZ_WAKE_UNFROZEN | FZ_WAKE_FREEZE | FZ_WAKE_REMOVED;
    }

    void begin(Job &job) override
    {
        if (!job.before.self_freezing) {
            job.report.already = !job.before.frozen;
            return; // an ancestor may hold it: judge() says so
        }
        if (auto written = request(job, false); !written) {
            fail_or_gone(job, written.error());
            return;
        }
        job.report.requested = true;
    }

    void judge(Job &job, const Reading &reading) override
    {
        if (reading.self_freezing) {
            const auto &actor = job.account.foreign_freeze();
            fail(job, Error{ErrorKind::kSystem, 0, "frozen again" + by(actor) + " while thawing"},
                 actor);
            return;
        }
        auto ancestor = freezing_ancestor(job);
        if (!ancestor) {
            fail_or_gone(job, ancestor.error());
        } else if (*ancestor) {
            job.report.already = false;
            fail(job, Error{ErrorKind::kSystem, 0,
                            "its own request is thawed, but it stays frozen by its ancestor " +
                                **ancestor + ": thaw that"});
        } else if (!reading.frozen) {
            settle(job, Outcome::kReached);
            name_v1_holders(job);
        } else {
            // The kernel clears `frozen` within the write, so one that is not in sight holds it.
            job.report.already = false;
            fail(job, Error{ErrorKind::kSystem, 0,
                            "it stays frozen by an ancestor outside this mount or cgroup "
                            "namespace: thaw it from there"});
        }
    }
};

class WaitOperation final : public Operation
{
  public:
    WaitOperation(Freezer &freezer, std::span<Target> targets, Goal goal,
                  const WaitOptions &options)
        : Operation(freezer, targets, Verb::kWait, goal, options)
    {
    }

  private:
    [[nodiscard]] std::uint32_t wake_mask() const override
    {
        switch (goal_) {
        case Goal::kFrozen:
            return FZ_WAKE_FROZEN | FZ_WAKE_REMOVED;
        case Goal::kThawed:
            return FZ_WAKE_UNFROZEN | FZ_WAKE_THAW | FZ_WAKE_REMOVED;
        case Goal::kEmpty:
            return FZ_WAKE_EMPTY | FZ_WAKE_REMOVED;
        }
        return 0;
    }

    void begin(Job &job) override
    {
        if (holds(job, job.before)) {
            job.report.already = true;
            settle(job, Outcome::kReached);
        }
    }

    void judge(Job &job, const Reading &reading) override
    {
        if (!holds(job, reading))
            return;
        settle(job, Outcome::kReached,
               goal_ == Goal::kFrozen  ? frozen_at(job, reading)
               : goal_ == Goal::kEmpty ? job.account.empty_ns()
                                       : 0);
    }

    void gone(Job &job) override
    {
        if (goal_ != Goal::kEmpty) {
            Operation::gone(job);
            return;
        }
        job.report.removed = true;
        settle(job, Outcome::kReached);
    }

    [[nodiscard]] bool holds(Job &job, const Reading &reading)
    {
        switch (goal_) {
        case Goal::kFrozen:
            return reading.frozen;
        case Goal::kEmpty:
            return !reading.populated;
        case Goal::kThawed:
            if (reading.frozen || reading.self_freezing)
                return false;
            break;
        }
        auto ancestor = freezing_ancestor(job);
        return ancestor && !*ancestor;
    }
};

// Kills until the cgroup is empty: with one request where the kernel has it, else by freezing it
// (so that nothing forks), signalling every process, thawing it where that must be for a signal to
// take effect, and looking again whenever something changes.
class KillOperation final : public Operation
{
  public:
    KillOperation(Freezer &freezer, std::span<Target> targets, const KillOptions &options)
        : Operation(freezer, targets, Verb::kKill, Goal::kEmpty, options), options_(options),
          sweeps_(targets.size())
    {
    }

  private:
    // A kill by signals. The requests that are taken back so that the signals take effect are
    // remembered, and made again once the cgroups are empty.
    struct Sweep {
        enum class Stage { kNone, kFreezing, kDying } stage = Stage::kNone;
        std::vector<std::unique_ptr<Cgroup>> storage;
        std::vector<Cgroup *> frozen_before; // below the target, and itself
    };

    [[nodiscard]] std::uint32_t wake_mask() const override
    {
        return FZ_WAKE_EMPTY | FZ_WAKE_POPULATED | FZ_WAKE_FROZEN | FZ_WAKE_REMOVED |
               FZ_COUNT_TASKS; // the deaths
    }

    void begin(Job &job) override
    {
        if (!job.before.populated) {
            job.report.already = true;
            done(job, 0);
            return;
        }
        count_members(job.report, *job.cgroup);
        auto killed = job.cgroup->kill();
        if (!killed && killed.error().kind == ErrorKind::kUnsupported)
            killed = start_sweep(job);
        if (!killed) {
            fail_or_gone(job, killed.error());
            return;
        }
        job.report.requested = true;
    }

    Status start_sweep(Job &job)
    {
        sweeps_[job.slot].stage = Sweep::Stage::kFreezing;
        job.moved_in = false;
        auto asked = request(job, true);
        // What cannot be frozen may well die, and then the rest can be.
        if (asked && job.cgroup->signals_wait_for_thaw())
            signal(*job.cgroup, &Cgroup::own_tasks);
        return asked;
    }

    void judge(Job &job, const Reading &reading) override
    {
        Sweep &sweep = sweeps_[job.slot];
        if (!reading.populated) {
            done(job, job.account.empty_ns());
        } else if (sweep.stage == Sweep::Stage::kNone) {
            // cgroup.kill signals each process's first thread alone, which passes it on to the
            // others, but not when it has ended before (__cgroup_kill() in kernel/cgroup/cgroup.c;
            // complete_signal() in kernel/signal.c; seen on 6.18).
            signal(*job.cgroup, &Cgroup::headless_processes);
        } else if (!job.cgroup->signals_wait_for_thaw()) {
            // Takes effect at once, and the freeze can stay.
            signal(*job.cgroup, &Cgroup::own_tasks);
        } else if (sweep.stage == Sweep::Stage::kFreezing) {
            if (!reading.frozen)
                return;
            signal(*job.cgroup, &Cgroup::own_tasks);
            let_die(job);
        } else if (job.moved_in) {
            if (auto again = start_sweep(job); !again)
                fail_or_gone(job, again.error());
        }
    }

    // Every task has its signal: thaws whatever keeps it from taking effect.
    void let_die(Job &job)
    {
        Sweep &sweep = sweeps_[job.slot];
        sweep.stage = Sweep::Stage::kDying;
        thaw_tree(job);
        auto ancestor = job.cgroup->freezing_ancestor();
        if (ancestor && *ancestor)
            fail(job, Error{ErrorKind::kSystem, 0,
                            "every task has its SIGKILL, but is held by the frozen ancestor " +
                                **ancestor + ": they die when that is thawed"});
    }

    void thaw_tree(Job &job)
    {
        Sweep &sweep = sweeps_[job.slot];
        std::vector<std::unique_ptr<Cgroup>> storage;
        if (auto all = walk(*job.cgroup, storage)) {
            for (Cgroup *const cgroup : *all) {
                if (cgroup == job.cgroup)
                    continue;
                const auto asks = cgroup->self_freezing();
                if (!asks || !*asks)
                    continue;
                (void)cgroup->request_freeze(false);
                sweep.frozen_before.push_back(cgroup);
            }
        }
        std::move(storage.begin(), storage.end(), std::back_inserter(sweep.storage));
        thaw(job);
    }

    void thaw(Job &job)
    {
        if (auto thawed = request(job, false);
            !thawed && thawed.error().kind != ErrorKind::kNoSuchCgroup)
            job.report.warnings.push_back("could not be thawed again: " + thawed.error().message);
    }

    void gone(Job &job) override
    {
        job.report.removed = true;
        settle(job, Outcome::kReached);
    }

    void too_late(Job &job, Outcome outcome) override
    {
        sweeps_[job.slot].frozen_before.clear(); // frozen again, the rest could never die
        leave_as_found(job, true);
        settle(job, outcome);
    }

    void done(Job &job, std::uint64_t at_ns)
    {
        leave_as_found(job, false);
        if (options_.remove) {
            auto removed = remove_tree(*job.cgroup);
            if (!removed && removed.error().sys_errno == EBUSY)
                return; // somebody put a task in again: an event follows
            if (!removed && removed.error().kind != ErrorKind::kNoSuchCgroup) {
                fail(job, removed.error());
                return;
            }
            job.report.removed = true;
        }
        settle(job, Outcome::kReached, at_ns);
    }

    // The freeze was only a means, and so was the thaw.
    void leave_as_found(Job &job, bool late)
    {
        Sweep &sweep = sweeps_[job.slot];
        if (sweep.stage == Sweep::Stage::kNone)
            return;
        if (!job.before.self_freezing)
            thaw(job);
        else if (sweep.stage == Sweep::Stage::kDying && !late)
            sweep.frozen_before.push_back(job.cgroup);
        for (Cgroup *const cgroup : std::exchange(sweep.frozen_before, {})) {
            if (auto frozen = cgroup->request_freeze(true);
                !frozen && frozen.error().kind != ErrorKind::kNoSuchCgroup)
                job.report.warnings.push_back("could not be frozen again: " +
                                              frozen.error().message);
        }
    }

    static void signal(Cgroup &top, Result<std::vector<int>> (Cgroup::*victims)())
    {
        std::vector<std::unique_ptr<Cgroup>> storage;
        auto all = walk(top, storage);
        if (!all)
            return;
        for (Cgroup *const cgroup : *all) {
            auto tids = (cgroup->*victims)();
            if (!tids)
                continue;
            for (const int tid : *tids)
                kill_process_of(tid, *cgroup);
        }
    }

    static void kill_process_of(int tid, const Cgroup &cgroup)
    {
        const auto status = read_proc_status(tid, cgroup.hierarchy_id());
        if (!status)
            return;
        if (const auto process = hold_process(tid, status->tgid, cgroup); process && *process)
            (void)::syscall(SYS_pidfd_send_signal, process->get(), SIGKILL, nullptr, 0);
    }

    // Children first.
    static Status remove_tree(Cgroup &top)
    {
        std::vector<std::unique_ptr<Cgroup>> storage;
        auto all = walk(top, storage);
        if (!all)
            return std::move(all).error();
        for (auto it = all->rbegin(); it != all->rend(); ++it) {
            auto removed = (*it)->remove();
            if (!removed && (*it == &top || removed.error().kind != ErrorKind::kNoSuchCgroup))
                return removed;
        }
        return {};
    }

    const KillOptions &options_;
    std::vector<Sweep> sweeps_; // by slot
};

} // namespace

Result<std::vector<TargetReport>> Freezer::freeze(std::span<Target> targets,
                                                  const FreezeOptions &options)
{
    auto reports = FreezeOperation(*this, targets, options).run();
    if (!reports || options.on_timeout != FreezeOptions::OnTimeout::kKill)
        return reports;

    std::vector<Target> late; // borrowed from `targets`
    std::vector<size_t> index;
    for (size_t i = 0; i < targets.size(); ++i) {
        const Outcome outcome = (*reports)[i].outcome;
        if (outcome != Outcome::kDeadline && outcome != Outcome::kInterrupted)
            continue;
        late.push_back(Target{targets[i].name, std::move(targets[i].cgroup)});
        index.push_back(i);
    }
    if (late.empty())
        return reports;
    KillOptions kill_options;
    kill_options.timeout_ns = options.timeout_ns; // and not interruptible: it was the last resort
    auto killed = kill(late, kill_options);
    for (size_t i = 0; i < late.size(); ++i) {
        TargetReport &report = (*reports)[index[i]];
        targets[index[i]].cgroup = std::move(late[i].cgroup);
        report.killed = killed && (*killed)[i].outcome == Outcome::kReached;
        if (report.killed)
            report.state = (*killed)[i].state;
        else
            report.warnings.push_back(
                "could not be killed: " +
                (killed ? "tasks are left after the deadline" : killed.error().message));
    }
    return reports;
}

Result<std::vector<TargetReport>> Freezer::thaw(std::span<Target> targets,
                                                const WaitOptions &options)
{
    return ThawOperation(*this, targets, options).run();
}

Result<std::vector<TargetReport>> Freezer::kill(std::span<Target> targets,
                                                const KillOptions &options)
{
    return KillOperation(*this, targets, options).run();
}

Result<std::vector<TargetReport>> Freezer::wait(std::span<Target> targets, Goal goal,
                                                const WaitOptions &options)
{
    return WaitOperation(*this, targets, goal, options).run();
}

} // namespace freezer
