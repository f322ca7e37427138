// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// freeze, thaw, kill and wait.
#include <unistd.h>

#include <optional>
#include <string>

#include "tools/freezerctl/cli.h"
#include "tools/freezerctl/interrupt.h"
#include "tools/freezerctl/json.h"
#include "tools/freezerctl/text.h"
#include "tools/freezerctl/why_text.h"
#include "user/duration.h"
#include "user/files.h"
#include "user/signal_all.h"

namespace freezerctl
{
namespace
{

using freezer::FreezeOptions;
using freezer::Goal;
using freezer::TargetReport;
using freezer::Verb;

struct OperationArguments {
    TargetArguments targets;
    CommonArguments common;
    std::string timeout;
    bool tasks = false;
    bool require_bpf = false;
    bool unattached = false;
    std::uint32_t ring_bytes = freezer::TrackerOptions().ring_bytes;

    FreezeOptions::OnTimeout on_timeout = FreezeOptions::OnTimeout::kThaw;
    bool all_or_none = false;
    bool remove = false;
    std::string signal;
    bool keep_frozen = false;
    bool wait = false;
    Goal goal = Goal::kFrozen;
};

// What it prints takes an account from the beginning.
bool wants_tracker_first(const OperationArguments &args)
{
    return args.tasks || args.require_bpf || !args.signal.empty();
}

void say_untracked(const freezer::Error &error)
{
    complain("freezerctl: no BPF tracking: " + error.message +
             "; cgroup.events alone tells of completion, without times and actors\n");
}

// Loads the tracker where the request is to wait for it. False, and said, when --require-bpf asks
// for what is not there.
bool prepare_tracking(Session &session, const OperationArguments &args)
{
    const bool silent = !freezer::all_announce(session.targets());
    if (!wants_tracker_first(args) && !silent)
        return true; // it may come later: operate() tells when it does not
    const auto loaded = session.freezer().load_tracker(
        static_cast<std::uint32_t>(session.targets().size()), silent);
    if (loaded)
        return true;
    if (args.require_bpf) {
        complain("freezerctl: no BPF tracking, which --require-bpf asks for: " +
                 loaded.error().message + "\n");
        session.count(kFailed);
        return false;
    }
    if (!args.common.no_bpf)
        say_untracked(loaded.error());
    return true;
}

freezer::Result<std::vector<TargetReport>> call(Session &session, Verb verb,
                                                const OperationArguments &args,
                                                std::optional<std::uint64_t> timeout_ns,
                                                int interrupt_fd)
{
    const auto fill = [&](auto options) {
        options.timeout_ns = timeout_ns;
        options.interrupt_fd = interrupt_fd;
        options.tasks = args.tasks;
        options.on_late = [](const std::string &target, const freezer::WhyReport &report,
                             bool hopeless) {
            // Somebody who watches wants to know; a script gets it with the result.
            if (hopeless || ::isatty(STDERR_FILENO) == 1)
                complain(printable(target) +
                         ": waiting: " + describe(report, terminal_width(STDERR_FILENO)));
        };
        options.notice = [](const std::string &target, const std::string &message) {
            complain(printable(target) + ": " + printable(message) + "\n");
        };
        return options;
    };
    freezer::Freezer &freezer = session.freezer();
    switch (verb) {
    case Verb::kFreeze: {
        auto options = fill(FreezeOptions());
        options.on_timeout = args.on_timeout;
        options.all_or_none = args.all_or_none;
        return freezer.freeze(session.targets(), options);
    }
    case Verb::kThaw:
        return freezer.thaw(session.targets(), fill(freezer::WaitOptions()));
    case Verb::kKill: {
        auto options = fill(freezer::KillOptions());
        options.remove = args.remove;
        return freezer.kill(session.targets(), options);
    }
    case Verb::kWait:
        return freezer.wait(session.targets(), args.goal, fill(freezer::WaitOptions()));
    }
    return freezer::Error{freezer::ErrorKind::kInvalid, 0, "no such verb"};
}

// kill --signal.
int send_signal(Session &session, const OperationArguments &args, int signal,
                std::optional<std::uint64_t> timeout_ns, const InterruptFd &interrupt)
{
    freezer::raise_file_limit(); // a descriptor for each process
    freezer::SignalOptions options;
    options.signal = signal;
    options.keep_frozen = args.keep_frozen;
    options.wait = args.wait;
    options.timeout_ns = timeout_ns;
    options.interrupt_fd = interrupt.get();
    auto reports = session.freezer().signal(session.targets(), options);
    if (!reports) {
        session.refuse("freezerctl", reports.error());
        return session.code();
    }
    for (const freezer::SignalReport &report : *reports) {
        if (args.common.json)
            print(to_json(report, args.wait, session.freezer().tracking()) + "\n");
        else
            print(describe_success(report, args.wait));
        complain(describe_trouble(report));
        session.count(exit_code_of(report.outcome));
    }
    return session.code() == kSignal ? kSignal + interrupt.signal_number() : session.code();
}

int operate(Verb verb, const OperationArguments &args)
{
    const InterruptFd interrupt;
    Session session(to_string(verb), args.common.json);
    auto timeout_ns = freezer::parse_timeout(args.timeout);
    if (!timeout_ns) {
        session.refuse("--timeout", timeout_ns.error());
        return session.code();
    }
    int signal = 0;
    if (!args.signal.empty()) {
        auto parsed = freezer::parse_signal(args.signal);
        if (!parsed) {
            session.refuse("--signal", parsed.error());
            return session.code();
        }
        signal = *parsed;
    }
    freezer::Config config;
    config.use_bpf = !args.common.no_bpf;
    config.tracker.ring_bytes = args.ring_bytes;
    config.tracker.task_events = args.tasks;
    config.tracker.deliveries = signal != 0;
    config.use_attached = !args.unattached;
    config.late_tracking = !wants_tracker_first(args);
    if (!session.open(config) ||
        !session.find_targets(args.targets, verb == Verb::kFreeze || verb == Verb::kKill) ||
        !prepare_tracking(session, args))
        return session.code();

    if (signal != 0)
        return send_signal(session, args, signal, *timeout_ns, interrupt);
    auto reports = call(session, verb, args, *timeout_ns, interrupt.get());
    if (!reports) {
        session.refuse("freezerctl", reports.error());
        return session.code();
    }
    const freezer::Tracking tracking = session.freezer().tracking();
    if (tracking.error && config.late_tracking && config.use_bpf &&
        freezer::all_announce(session.targets()))
        say_untracked(*tracking.error);
    for (const TargetReport &report : *reports) {
        if (args.common.json)
            print(to_json(report, tracking) + "\n");
        else
            print(describe_success(report));
        complain(describe_trouble(report, terminal_width(STDERR_FILENO)));
        session.count(exit_code_of(report));
    }
    return session.code() == kSignal ? kSignal + interrupt.signal_number() : session.code();
}

void add_waiting_options(CLI::App &verb, OperationArguments &args, const std::string &timeout)
{
    args.timeout = timeout;
    verb.add_option("--timeout", args.timeout,
                    "Give up after this time: 10s, 250ms, 2m, infinity (default " + timeout + ")")
        ->type_name("TIME");
    verb.add_flag("--require-bpf", args.require_bpf, "Fail when BPF is not to be had")
        ->excludes("--no-bpf");
    verb.add_option("--ring-bytes", args.ring_bytes, "Size of the tracker's ring buffer")
        ->group(""); // for tests
    verb.add_flag("--unattached", args.unattached, "Do without the attached tracker")
        ->group(""); // for tests and benchmarks
}

} // namespace

void add_operation_verbs(Cli &cli)
{
    const auto add = [&](Verb verb, const std::string &description, const std::string &timeout) {
        auto added = cli.add_verb<OperationArguments>(
            to_string(verb), description,
            [verb](const OperationArguments &args) { return operate(verb, args); });
        add_target_options(*added.first, added.second.targets, true);
        add_hierarchy_option(*added.first, added.second.targets);
        add_common_options(*added.first, added.second.common);
        add_waiting_options(*added.first, added.second, timeout);
        return added;
    };

    auto [freeze, freeze_args] = add(
        Verb::kFreeze, "Freeze cgroups and wait until every task is in the refrigerator", "10s");
    freeze->alias("pause");
    freeze->add_flag("--tasks", freeze_args.tasks, "A row for each task");
    add_choice(*freeze, "--on-timeout", freeze_args.on_timeout,
               {{"thaw", FreezeOptions::OnTimeout::kThaw},
                {"keep", FreezeOptions::OnTimeout::kKeep},
                {"kill", FreezeOptions::OnTimeout::kKill}},
               "At the deadline: take the request back, leave it, or kill (default thaw)");
    freeze->add_flag("--all-or-none", freeze_args.all_or_none,
                     "Thaw those that froze when one of them does not");

    auto [thaw, thaw_args] = add(Verb::kThaw, "Let cgroups run again", "10s");
    (void)thaw_args;
    thaw->alias("resume")->alias("unpause")->alias("unfreeze");

    auto [kill, kill_args] =
        add(Verb::kKill, "Kill every process of cgroups and wait until they are empty", "10s");
    kill->add_flag("--remove", kill_args.remove, "Remove the cgroups when they are empty");
    auto *const signal =
        kill->add_option("--signal", kill_args.signal,
                         "Send this signal (name or number), once to each process, all at one time")
            ->excludes("--remove")
            ->type_name("SIG");
    kill->add_flag("--keep-frozen", kill_args.keep_frozen, "Do not thaw after --signal")
        ->needs(signal);
    kill->add_flag("--wait", kill_args.wait, "Wait until --signal has acted, and say how")
        ->needs(signal);

    auto [wait, wait_args] = add(Verb::kWait, "Sleep until a state holds", "infinity");
    add_choice(*wait, "--for", wait_args.goal,
               {{"frozen", Goal::kFrozen}, {"thawed", Goal::kThawed}, {"empty", Goal::kEmpty}},
               "The state to wait for")
        ->required();
}

} // namespace freezerctl
