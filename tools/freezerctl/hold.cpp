// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "tools/freezerctl/hold.h"

#include <sys/epoll.h>

#include <set>

#include "tools/freezerctl/privileges.h"
#include "tools/freezerctl/text.h"
#include "user/duration.h"
#include "user/files.h"
#include "user/wait_set.h"

namespace freezerctl
{
namespace
{

using freezer::Target;
using freezer::TargetReport;
using freezer::WaitSet;

// Tokens: the targets count up from zero.
constexpr std::uint64_t kCommandToken = 1ULL << 40;
constexpr std::uint64_t kInterruptToken = kCommandToken + 1;
constexpr std::uint64_t kLetterToken = kCommandToken + 2;

// Whether the freeze that the report is of has left a request of its own.
bool is_held(const TargetReport &report)
{
    return report.requested && !report.rolled_back && !report.killed && report.state &&
           *report.state != freezer::State::kThawed;
}

// A letter to the guardian: "hold" or "stay" (also without us), when to thaw or "-", and for each
// target 1 or 0.
struct Orders {
    bool alone = false;
    std::optional<std::uint64_t> thaw_at_ns;
    std::string marks;
};

std::string written(const Orders &orders)
{
    return std::string(orders.alone ? "stay " : "hold ") +
           (orders.thaw_at_ns ? std::to_string(*orders.thaw_at_ns) : "-") + " " + orders.marks;
}

Orders read_orders(const std::string &text)
{
    const auto words = freezer::split_words(text);
    Orders orders;
    orders.alone = words.at(0) == "stay";
    orders.thaw_at_ns = freezer::parse_number(words.at(1));
    orders.marks = words.at(2);
    return orders;
}

// The guardian's side. Only what this command has frozen is thawed, and nothing is said: there is
// nobody to hear it.
class Guard
{
  public:
    Guard(std::span<Target> targets, Orders orders, Letters &letters)
        : targets_(targets), orders_(std::move(orders)), letters_(letters)
    {
    }

    void stand()
    {
        if (keep_watch())
            for_each_marked([](Target &target) { (void)target.cgroup->request_freeze(false); });
    }

  private:
    // Calls `act` with those that are to be thawed and still ask to freeze.
    template <typename Act> void for_each_marked(Act act)
    {
        for (size_t i = 0; i < targets_.size(); ++i) {
            if (orders_.marks.at(i) != '1')
                continue;
            const auto asks = targets_[i].cgroup->self_freezing();
            if (asks && *asks)
                act(targets_[i]);
            else if (told_)
                orders_.marks[i] = '0'; // a later freeze of somebody else is not ours to end
        }
    }

    // Until it is to thaw. False: there is nothing left to do.
    bool keep_watch()
    {
        auto set = WaitSet::open();
        if (!set || !set->add(letters_.fd(), EPOLLIN, kLetterToken))
            return true;
        for (size_t i = 0; i < targets_.size(); ++i) {
            // Without them it may take a later freeze for its own.
            for (const freezer::WatchPath &path : targets_[i].cgroup->watch_paths())
                (void)set->watch(path, i);
        }
        for (;;) {
            const auto wakes = set->wait();
            if (!wakes)
                return true;
            for (const WaitSet::Wake &wake : *wakes) {
                if (wake.source == WaitSet::Source::kDeadline)
                    return true;
                if (wake.source != WaitSet::Source::kDescriptor)
                    continue;
                const auto letter = letters_.read();
                if (!letter && !(orders_.alone && orders_.thaw_at_ns))
                    return true;
                if (!letter)
                    continue;
                if (*letter == "done")
                    return false;
                orders_ = read_orders(*letter);
                told_ = true;
                if (orders_.thaw_at_ns)
                    set->set_deadline(*orders_.thaw_at_ns);
            }
            bool any = false;
            for_each_marked([&](Target &) { any = true; });
            if (told_ && !any)
                return false;
        }
    }

    std::span<Target> targets_;
    Orders orders_;
    Letters &letters_;
    bool told_ = false; // what the freeze has done
};

} // namespace

freezer::Result<Hold> Hold::prepare(std::span<Target> targets, const HoldOptions &options,
                                    const InterruptFd &interrupt)
{
    std::optional<Command> command;
    if (!options.command.empty()) {
        CommandOptions for_command;
        // Without us nothing is frozen any more: what it goes on to copy would be torn.
        for_command.death_signal = SIGTERM;
        for_command.mask = interrupt.mask_before();
        auto prepared = Command::prepare(options.command, for_command);
        if (!prepared)
            return std::move(prepared).error();
        command.emplace(std::move(*prepared));
    }
    // Until the reports tell better: all that did not ask by themselves.
    Orders orders;
    for (const Target &target : targets) {
        const auto asks = target.cgroup->self_freezing();
        orders.marks += asks && !*asks ? '1' : '0';
    }
    auto guardian = Guardian::start([&](Letters &letters) {
        keep_capabilities_for(Work::kThaw);
        Guard(targets, orders, letters).stand();
    });
    if (!guardian)
        return std::move(guardian).error();
    return Hold(options, std::move(*guardian), std::move(command));
}

freezer::Status Hold::tell(std::span<const TargetReport> reports, bool alone)
{
    if (options_.thaw_after)
        thaw_at_ns_ = freezer::now_ns() + *options_.thaw_after;
    Orders orders{alone, thaw_at_ns_, {}};
    for (const TargetReport &report : reports)
        orders.marks += is_held(report) ? '1' : '0';
    return guardian_.tell(written(orders));
}

freezer::Status Hold::leave_to_guardian(std::span<const TargetReport> reports)
{
    if (auto told = tell(reports, true); !told)
        return told;
    guardian_.leave();
    return {};
}

Hold::End Hold::wait(Session &session, const InterruptFd &interrupt)
{
    const auto targets = std::span(session.targets());
    auto set = WaitSet::open();
    const auto ready = [&]() -> freezer::Status {
        if (!set)
            return set.error();
        if (auto added = set->add(command_->end_fd(), EPOLLIN, kCommandToken); !added)
            return added;
        if (auto added = set->add(interrupt.get(), EPOLLIN, kInterruptToken); !added)
            return added;
        for (size_t i = 0; i < targets.size(); ++i) {
            const auto fd = targets[i].cgroup->notify_fd();
            if (fd && *fd >= 0) {
                if (auto added = set->add_notifications(*fd, i); !added)
                    return added;
                continue;
            }
            // Without the watches the look at the end still tells.
            for (const freezer::WatchPath &path : targets[i].cgroup->watch_paths())
                (void)set->watch(path, i);
        }
        if (thaw_at_ns_)
            set->set_deadline(*thaw_at_ns_);
        return {};
    };
    if (auto is_ready = ready(); !is_ready) {
        session.refuse("freezerctl", is_ready.error());
        return End::kFailed;
    }

    std::set<std::uint64_t> told;
    const auto look = [&](std::uint64_t i) {
        const auto reading = targets[i].cgroup->read();
        if ((reading && reading->asked) || told.contains(i))
            return;
        // The guardian's clock may be a moment ahead.
        if (thaw_at_ns_ && freezer::now_ns() >= *thaw_at_ns_)
            return;
        told.insert(i);
        disturbed_ = true;
        const bool removed = !reading && reading.error().kind == freezer::ErrorKind::kNoSuchCgroup;
        complain(printable(targets[i].name) +
                 (removed ? ": removed by somebody else while the command runs\n"
                          : ": thawed by somebody else while the command runs: what it reads from "
                            "now on may change under it\n"));
    };
    for (;;) {
        const auto wakes = set->wait();
        if (!wakes) {
            session.refuse("freezerctl", wakes.error());
            return End::kFailed;
        }
        bool ended = false;
        bool time = false;
        for (const WaitSet::Wake &wake : *wakes) {
            if (wake.source == WaitSet::Source::kDeadline) {
                time = true;
            } else if (wake.token == kCommandToken) {
                ended = true;
            } else if (wake.token == kInterruptToken) {
                const auto info = interrupt.read();
                command_->pass_on(info);
                const bool second = signal_ != 0;
                signal_ = static_cast<int>(info.ssi_signo);
                if (second)
                    return End::kSecondSignal;
            } else {
                look(wake.token);
            }
        }
        if (ended) {
            for (size_t i = 0; i < targets.size(); ++i)
                look(i);
            return End::kEnded;
        }
        if (time)
            return End::kTime;
    }
}

int Hold::run_command(Session &session, std::span<const TargetReport> reports,
                      const InterruptFd &interrupt,
                      const std::function<void(const TargetReport &)> &show)
{
    if (auto told = tell(reports, false); !told) {
        session.refuse("freezerctl", told.error());
        return kNotRun;
    }
    End end = End::kEnded;
    if (const auto started = command_->start(); !started)
        complain(printable(options_.command.front()) + ": " + printable(started.error().message) +
                 "\n");
    else
        end = wait(session, interrupt);
    if (end == End::kTime || end == End::kFailed)
        command_->send_signal(SIGTERM);

    std::vector<Target> held;
    for (size_t i = 0; i < reports.size(); ++i) {
        if (is_held(reports[i]))
            held.push_back(std::move(session.targets()[i]));
    }
    freezer::WaitOptions options;
    options.timeout_ns = options_.timeout_ns;
    auto thawed = session.freezer().thaw(held, options);
    if (!thawed)
        session.refuse("freezerctl", thawed.error());
    else
        for (const TargetReport &report : *thawed)
            show(report);
    // What could not be thawed the guardian tries again.
    if (session.code() == kReached)
        (void)guardian_.tell("done");

    switch (end) {
    case End::kTime:
        complain("freezerctl: thawed after " + freezer::format_duration(*options_.thaw_after) +
                 " (--thaw-after) while the command still ran; it got SIGTERM\n");
        (void)command_->finish();
        return kDeadline;
    case End::kSecondSignal:
        return kSignal + signal_;
    case End::kFailed:
        return kFailed;
    case End::kEnded:
        break;
    }
    const int status = command_->finish();
    return status == 0 && (disturbed_ || session.code() != kReached) ? kFailed : status;
}

} // namespace freezerctl
