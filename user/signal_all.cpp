// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "user/signal_all.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstring>
#include <map>
#include <set>
#include <utility>

#include "user/duration.h"
#include "user/files.h"
#include "user/freezer.h"
#include "user/proc_tasks.h"
#include "user/wait_set.h"

namespace freezer
{
namespace
{

// _NSIG of the kernel, everywhere but on MIPS.
constexpr int kLastSignal = 64;

// Without events /proc is read again after times that double from 1 ms to this.
constexpr int kRereadMaxMs = 100;
// A delivery that the kernel side misses wakes nobody: how often its counter is asked.
constexpr int kMissedMs = 250;

std::uint64_t bit_of(int signal)
{
    return 1ULL << (signal - 1);
}

bool is_one_of(int signal, std::initializer_list<int> signals)
{
    return std::find(signals.begin(), signals.end(), signal) != signals.end();
}

std::optional<int> whole_number(std::string_view text)
{
    int value = 0;
    const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || stop != text.data() + text.size())
        return std::nullopt;
    return value;
}

std::optional<std::uint64_t> mask_line(std::string_view line, std::string_view key)
{
    if (!line.starts_with(key))
        return std::nullopt;
    line.remove_prefix(key.size());
    std::uint64_t value = 0;
    const auto [stop, error] = std::from_chars(line.data(), line.data() + line.size(), value, 16);
    if (error != std::errc())
        return std::nullopt;
    return value;
}

} // namespace

Result<int> parse_signal(std::string_view text)
{
    const Error bad{ErrorKind::kInvalid, 0,
                    "'" + std::string(text) +
                        "' is no signal: give a name (TERM, SIGTERM, RTMIN+1) or a number from 1 "
                        "to 64"};
    if (const auto number = whole_number(text)) {
        if (*number >= 1 && *number <= kLastSignal)
            return *number;
        return bad;
    }
    std::string name(text);
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
    if (name.starts_with("SIG"))
        name.erase(0, 3);
    if (name == "RTMIN" || name == "RTMAX")
        name += name == "RTMIN" ? "+0" : "-0";
    if (name.starts_with("RTMIN+") || name.starts_with("RTMAX-")) {
        const auto distance = whole_number(std::string_view(name).substr(6));
        if (!distance || *distance < 0 || *distance > SIGRTMAX - SIGRTMIN)
            return bad;
        return name.starts_with("RTMIN+") ? SIGRTMIN + *distance : SIGRTMAX - *distance;
    }
    for (int signal = 1; signal < SIGRTMIN; ++signal) {
        const char *const known = ::sigabbrev_np(signal);
        if (known && name == known)
            return signal;
    }
    return bad;
}

std::string signal_name(int signal)
{
    if (const char *const name = ::sigabbrev_np(signal))
        return std::string("SIG") + name;
    if (signal >= SIGRTMIN && signal <= SIGRTMAX)
        return "SIGRTMIN+" + std::to_string(signal - SIGRTMIN);
    return std::to_string(signal);
}

Result<std::vector<MemberProcess>> member_processes(Cgroup &top)
{
    std::vector<std::unique_ptr<Cgroup>> storage;
    auto all = walk(top, storage);
    if (!all)
        return std::move(all).error();
    std::vector<MemberProcess> members;
    std::set<int> known;
    for (Cgroup *const cgroup : *all) {
        auto tids = cgroup->own_tasks();
        if (!tids) {
            if (tids.error().kind == ErrorKind::kNoSuchCgroup)
                continue;
            return std::move(tids).error();
        }
        for (const int tid : *tids) {
            const auto member = read_proc_status(tid, cgroup->hierarchy_id());
            if (!member || known.contains(member->tgid))
                continue;
            auto pidfd = hold_process(tid, member->tgid, *cgroup);
            if (!pidfd)
                return std::move(pidfd).error();
            if (!*pidfd)
                continue;
            known.insert(member->tgid);
            const auto pid = static_cast<std::uint32_t>(member->tgid);
            std::string comm = proc_file(pid, "comm");
            if (!comm.empty())
                comm.pop_back(); // its line end
            members.push_back({pid, std::move(comm), std::move(*pidfd)});
        }
    }
    return members;
}

Result<size_t> signal_members(Cgroup &top, int signal)
{
    // A process that has got it may have forked before, and its child in turn: each look is one
    // generation more. Nothing that ends needs many.
    constexpr int kLooks = 64;
    std::map<std::uint32_t, UniqueFd> reached; // held, so that no id among them is used again
    for (int look = 0; look < kLooks; ++look) {
        auto members = member_processes(top);
        if (!members)
            return std::move(members).error();
        bool any_new = false;
        for (MemberProcess &member : *members) {
            if (reached.contains(member.pid))
                continue;
            any_new = true;
            if (::syscall(SYS_pidfd_send_signal, member.pidfd.get(), signal, nullptr, 0) != 0) {
                const int error = errno;
                if (error != ESRCH) // it was a zombie
                    return Error::from_errno(error, "signal process " + std::to_string(member.pid));
            }
            reached.emplace(member.pid, std::move(member.pidfd));
        }
        if (!any_new)
            return reached.size();
    }
    return Error::from_errno(EAGAIN, "reach every process");
}

SignalFate fate_of(int signal, const SignalMasks &masks)
{
    const std::uint64_t bit = bit_of(signal);
    if (is_one_of(signal, {SIGKILL, SIGSTOP}))
        return SignalFate::kActs;
    // kernel/signal.c, prepare_signal() and __send_signal_locked(): real-time signals queue; a
    // signal that is blocked is kept even if it is ignored.
    if (signal < SIGRTMIN && (masks.pending & bit))
        return SignalFate::kAlreadyPending;
    if (masks.blocked_by_all & bit)
        return SignalFate::kBlocked;
    if (masks.ignored & bit)
        return SignalFate::kIgnored;
    if (!(masks.caught & bit) && is_one_of(signal, {SIGCHLD, SIGCONT, SIGURG, SIGWINCH}))
        return SignalFate::kIgnored;
    return SignalFate::kActs;
}

std::optional<SignalMasks> read_signal_masks(std::uint32_t pid)
{
    const std::string directory = "/proc/" + std::to_string(pid);
    SignalMasks masks;
    bool found = false;
    const std::string status = read_text(directory + "/status");
    for (const std::string_view line : split_lines(status)) {
        if (const auto mask = mask_line(line, "ShdPnd:\t")) {
            masks.pending = *mask;
            found = true;
        } else if (const auto ignored = mask_line(line, "SigIgn:\t")) {
            masks.ignored = *ignored;
        } else if (const auto caught = mask_line(line, "SigCgt:\t")) {
            masks.caught = *caught;
        }
    }
    if (!found)
        return std::nullopt;
    masks.blocked_by_all = ~0ULL;
    auto tasks = open_at(AT_FDCWD, directory + "/task", O_RDONLY | O_DIRECTORY);
    if (!tasks)
        return std::nullopt;
    auto threads = list_directories_at(tasks->get());
    if (!threads)
        return std::nullopt;
    const std::string below = directory + "/task/";
    for (const std::string &thread : *threads) {
        const std::string text = read_text(below + thread + "/status");
        for (const std::string_view line : split_lines(text)) {
            if (const auto blocked = mask_line(line, "SigBlk:\t"))
                masks.blocked_by_all &= *blocked;
        }
    }
    return masks;
}

namespace
{

constexpr std::uint64_t kRingToken = 1ULL << 40;
constexpr std::uint64_t kInterruptToken = kRingToken + 1;

SignalledProcess::End end_of(SignalFate fate)
{
    switch (fate) {
    case SignalFate::kActs:
        return SignalledProcess::End::kPending;
    case SignalFate::kIgnored:
        return SignalledProcess::End::kIgnored;
    case SignalFate::kBlocked:
        return SignalledProcess::End::kBlocked;
    case SignalFate::kAlreadyPending:
        return SignalledProcess::End::kAlreadyPending;
    }
    return SignalledProcess::End::kPending;
}

} // namespace

// Sends to frozen cgroups, thaws them and follows what becomes of the signals.
class SignalSweep
{
  public:
    SignalSweep(Tracker *tracker, const SignalOptions &options)
        : tracker_(tracker), options_(options)
    {
    }

    // The slot is the index of the target.
    Status arm(std::span<Target> targets)
    {
        auto set = WaitSet::open();
        if (!set)
            return std::move(set).error();
        set_ = std::move(*set);
        if (!tracker_ || !options_.wait)
            return {};
        for (size_t i = 0; i < targets.size(); ++i) {
            const auto slot = static_cast<std::uint32_t>(i);
            if (auto watched = tracker_->watch(slot, *targets[i].cgroup); !watched)
                return watched;
        }
        missed_before_ = tracker_->missed_deliveries();
        tracker_->watch_signal(static_cast<std::uint32_t>(options_.signal));
        drain();
        return set_.add(tracker_->event_fd(), EPOLLIN, kRingToken);
    }

    void disarm(size_t targets)
    {
        if (!tracker_)
            return;
        tracker_->watch_signal(0);
        for (size_t i = 0; i < targets; ++i)
            tracker_->unwatch(static_cast<std::uint32_t>(i));
    }

    void send(Cgroup &cgroup, SignalReport &report)
    {
        auto members = member_processes(cgroup);
        if (!members) {
            report.outcome = Outcome::kFailed;
            report.error = std::move(members).error();
            return;
        }
        for (MemberProcess &member : *members) {
            const auto masks = read_signal_masks(member.pid);
            if (::syscall(SYS_pidfd_send_signal, member.pidfd.get(), options_.signal, nullptr, 0) !=
                0) {
                const int error = errno;
                if (error == ESRCH)
                    continue; // it was a zombie, or died of a signal from before
                report.outcome = Outcome::kFailed;
                report.error =
                    Error::from_errno(error, "signal process " + std::to_string(member.pid));
                continue;
            }
            ++report.sent;
            const SignalFate fate = masks ? fate_of(options_.signal, *masks) : SignalFate::kActs;
            report.processes.push_back({member.pid, member.comm, end_of(fate)});
            if (options_.wait && fate == SignalFate::kActs)
                pending_.push_back({&report, report.processes.size() - 1, std::move(member.pidfd),
                                    masks && (masks->caught & bit_of(options_.signal))});
        }
    }

    // Until every signal has acted, time is up, or the caller interrupts; nullopt: the first.
    Result<std::optional<Outcome>> wait(std::uint64_t start_ns)
    {
        for (size_t i = 0; i < pending_.size(); ++i) {
            if (auto added = set_.add(pending_[i].pidfd.get(), EPOLLIN, i); !added)
                return std::move(added).error();
            by_pid_[entry(pending_[i]).pid] = i;
        }
        if (options_.interrupt_fd >= 0) {
            if (auto added = set_.add(options_.interrupt_fd, EPOLLIN, kInterruptToken); !added)
                return std::move(added).error();
        }
        if (options_.timeout_ns)
            set_.set_deadline(later(start_ns, *options_.timeout_ns));
        left_ = pending_.size();
        // Then only /proc tells of handlers and stops.
        bool blind = !tracker_;
        int reread_ms = 1;
        if (tracker_)
            drain();
        while (left_ > 0) {
            auto wakes = set_.wait_at_most(blind ? reread_ms : kMissedMs);
            if (!wakes)
                return std::move(wakes).error();
            if (wakes->empty())
                blind = blind || tracker_->missed_deliveries() != missed_before_;
            if (wakes->empty() && blind) {
                reread_ms = std::min(reread_ms * 2, kRereadMaxMs);
                look_at_proc();
            }
            for (const WaitSet::Wake &wake : *wakes) {
                if (wake.source == WaitSet::Source::kDeadline)
                    return std::optional(Outcome::kDeadline);
                if (wake.token == kInterruptToken)
                    return std::optional(Outcome::kInterrupted);
                if (wake.token == kRingToken)
                    drain();
                else
                    died(wake.token);
            }
        }
        return std::optional<Outcome>();
    }

    // Whether a process of this report is undecided.
    [[nodiscard]] static bool undecided(const SignalReport &report)
    {
        return std::any_of(report.processes.begin(), report.processes.end(),
                           [](const auto &p) { return p.end == SignalledProcess::End::kPending; });
    }

  private:
    struct Pending {
        SignalReport *report;
        size_t index;
        UniqueFd pidfd;
        bool caught;
    };

    static SignalledProcess &entry(const Pending &pending)
    {
        return pending.report->processes[pending.index];
    }

    void decide(Pending &pending, SignalledProcess::End end)
    {
        if (entry(pending).end != SignalledProcess::End::kPending)
            return;
        entry(pending).end = end;
        --left_;
    }

    void died(std::uint64_t index)
    {
        Pending &pending = pending_[index];
        decide(pending, SignalledProcess::End::kDead);
        pending.pidfd.reset(); // which takes it out of the set
    }

    void drain()
    {
        tracker_->drain([&](const fz_event &event) {
            if (event.kind != FZ_EV_DELIVERED)
                return;
            const auto it = by_pid_.find(event.task.tgid);
            if (it == by_pid_.end() || event.value != static_cast<std::uint32_t>(options_.signal))
                return; // SIGKILL of another's doing shows as a death
            Pending &pending = pending_[it->second];
            if (event.flags & FZ_EVF_HANDLED)
                decide(pending, SignalledProcess::End::kHandled);
            else if (is_one_of(options_.signal, {SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU}))
                decide(pending, SignalledProcess::End::kStopped);
        });
    }

    void look_at_proc()
    {
        for (Pending &pending : pending_) {
            if (entry(pending).end != SignalledProcess::End::kPending)
                continue;
            const auto masks = read_signal_masks(entry(pending).pid);
            if (!masks || (masks->pending & bit_of(options_.signal)))
                continue;
            if (pending.caught) {
                decide(pending, SignalledProcess::End::kHandled);
                continue;
            }
            const auto stat = parse_proc_stat(proc_file(entry(pending).pid, "stat"));
            if (stat && stat->state == 'T')
                decide(pending, SignalledProcess::End::kStopped);
        }
    }

    Tracker *tracker_;
    const SignalOptions &options_;
    WaitSet set_;
    std::vector<Pending> pending_;
    std::map<std::uint32_t, size_t> by_pid_;
    size_t left_ = 0;
    std::uint64_t missed_before_ = 0;
};

Result<std::vector<SignalReport>> Freezer::signal(std::span<Target> targets,
                                                  const SignalOptions &options)
{
    const std::uint64_t start_ns = now_ns();
    config_.tracker.deliveries |= options.wait;
    FreezeOptions freeze_options;
    static_cast<WaitOptions &>(freeze_options) = options;
    freeze_options.tasks = false;
    auto frozen = freeze(targets, freeze_options);
    if (!frozen)
        return std::move(frozen).error();

    std::vector<SignalReport> reports(targets.size());
    SignalSweep sweep(tracker_ ? &*tracker_ : nullptr, options);
    auto armed = sweep.arm(targets);
    for (size_t i = 0; i < targets.size(); ++i) {
        SignalReport &report = reports[i];
        report.freeze = std::move((*frozen)[i]);
        report.signal = options.signal;
        report.outcome = report.freeze.outcome;
        report.error = report.freeze.error;
        if (report.outcome != Outcome::kReached)
            continue; // nothing is sent: not every process could have got it at once
        if (armed) {
            sweep.send(*targets[i].cgroup, report);
        } else {
            report.outcome = Outcome::kFailed;
            report.error = armed.error();
        }
    }
    for (size_t i = 0; i < targets.size(); ++i) {
        SignalReport &report = reports[i];
        if (report.freeze.outcome != Outcome::kReached || report.freeze.already ||
            options.keep_frozen)
            continue;
        auto thawed = targets[i].cgroup->request_freeze(false);
        if (!thawed && thawed.error().kind != ErrorKind::kNoSuchCgroup) {
            report.outcome = Outcome::kFailed;
            report.error = thawed.error();
        }
    }
    if (options.wait && armed) {
        auto over = sweep.wait(start_ns);
        for (SignalReport &report : reports) {
            if (report.outcome != Outcome::kReached)
                continue;
            if (!over) {
                report.outcome = Outcome::kFailed;
                report.error = over.error();
            } else if (*over && SignalSweep::undecided(report)) {
                report.outcome = **over;
            }
        }
    }
    sweep.disarm(targets.size());
    for (size_t i = 0; i < targets.size(); ++i) {
        auto reading = targets[i].cgroup->read();
        auto ancestor = targets[i].cgroup->freezing_ancestor();
        if (reading && ancestor)
            reports[i].state = state_of(*reading, ancestor->has_value());
        reports[i].elapsed_ns = now_ns() - start_ns;
    }
    return reports;
}

} // namespace freezer
