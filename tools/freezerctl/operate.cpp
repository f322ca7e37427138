// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// freeze, thaw, kill and wait.
#include <unistd.h>

#include <optional>
#include <string>

#include "tools/freezerctl/cli.h"
#include "tools/freezerctl/hold.h"
#include "tools/freezerctl/interrupt.h"
#include "tools/freezerctl/json.h"
#include "tools/freezerctl/priority.h"
#include "tools/freezerctl/privileges.h"
#include "tools/freezerctl/progress.h"
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
    std::string thaw_after;
    std::string report_file;
    std::vector<std::string> command;
    bool remove = false;
    std::string signal;
    bool keep_frozen = false;
    bool wait = false;
    Goal goal = Goal::kFrozen;
};

// Of more the requests take long enough for those that were asked first to need the CPU.
constexpr size_t kUrgentTargets = 16;

// Whether the requests are to go ahead of what they wake. Those that are killed die best one after
// the other, while the rest is still being told: all at once they stand in each other's way.
bool is_urgent(Verb verb, size_t targets)
{
    return verb != Verb::kKill && targets <= kUrgentTargets;
}

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
                                                int interrupt_fd, Progress &progress)
{
    const auto fill = [&](auto options) {
        options.timeout_ns = timeout_ns;
        options.interrupt_fd = interrupt_fd;
        options.tasks = args.tasks;
        // A thaw has nothing to wait for, and those that it woke are not to delay its report.
        if (verb != Verb::kThaw)
            options.on_requested = restore_priority;
        options.on_late = [&](const std::string &target, const freezer::WhyReport &report,
                              bool hopeless) { progress.tell(target, report, hopeless); };
        options.notice = [&](const std::string &target, const std::string &message) {
            progress.clear();
            complain(printable(target) + ": " + printable(message) + "\n");
        };
        return options;
    };
    freezer::Freezer &freezer = session.freezer();
    switch (verb) {
    case Verb::kFreeze: {
        auto options = fill(FreezeOptions());
        options.on_timeout = args.on_timeout;
        options.all_or_none = args.all_or_none || !args.command.empty();
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

int end_code(const Session &session, const InterruptFd &interrupt)
{
    return session.code() == kSignal ? kSignal + interrupt.signal_number() : session.code();
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
            session.print(to_json(report, args.wait, session.freezer().tracking()) + "\n");
        else
            session.print(describe_success(report, args.wait));
        complain(describe_trouble(report));
        session.count(exit_code_of(report.outcome));
    }
    return end_code(session, interrupt);
}

// What the command line gives as text.
struct Parsed {
    std::optional<std::uint64_t> timeout_ns;
    int signal = 0; // 0: none
    HoldOptions hold;
};

// nullopt, and said, when there is something wrong with it.
std::optional<Parsed> parse(Session &session, const OperationArguments &args)
{
    Parsed parsed;
    const auto timeout = freezer::parse_timeout(args.timeout);
    if (!timeout) {
        session.refuse("--timeout", timeout.error());
        return std::nullopt;
    }
    parsed.timeout_ns = *timeout;
    if (!args.signal.empty()) {
        const auto signal = freezer::parse_signal(args.signal);
        if (!signal) {
            session.refuse("--signal", signal.error());
            return std::nullopt;
        }
        parsed.signal = *signal;
    }
    if (!args.thaw_after.empty()) {
        const auto time = freezer::parse_timeout(args.thaw_after);
        if (!time) {
            session.refuse("--thaw-after", time.error());
            return std::nullopt;
        }
        parsed.hold.thaw_after = *time;
    }
    if (!args.command.empty() && args.on_timeout == FreezeOptions::OnTimeout::kKeep) {
        session.refuse("--on-timeout keep",
                       {freezer::ErrorKind::kInvalid, 0,
                        "without a freeze the command is not run, and nothing would thaw what is "
                        "kept: leave one of the two out"});
        return std::nullopt;
    }
    parsed.hold.command = args.command;
    parsed.hold.timeout_ns = *timeout;
    return parsed;
}

// The codes of a command that was not run. A signal and a wrong command line speak for themselves.
int not_run(int code)
{
    return code == kUsage || code > kSignal ? code : kNotRun;
}

int operate(Verb verb, const OperationArguments &args)
{
    const bool runs = !args.command.empty();
    const InterruptFd interrupt(runs ? kPassedOn : kInterrupts);
    Session session(to_string(verb), args.common.json);
    const auto parsed = parse(session, args);
    if (!parsed)
        return session.code();
    if (runs)
        session.print_to_stderr(); // stdout is the command's
    if (!args.report_file.empty() && !session.open_output(args.report_file))
        return runs ? kNotRun : session.code();

    freezer::Config config;
    config.use_bpf = !args.common.no_bpf;
    config.tracker.ring_bytes = args.ring_bytes;
    config.tracker.task_events = args.tasks;
    config.tracker.deliveries = parsed->signal != 0;
    config.use_attached = !args.unattached;
    config.late_tracking = !wants_tracker_first(args);
    if (!session.open(config) ||
        !session.find_targets(args.targets, verb == Verb::kFreeze || verb == Verb::kKill))
        return runs ? not_run(session.code()) : session.code();
    if (!is_urgent(verb, session.targets().size()))
        restore_priority();
    std::optional<Hold> hold;
    if (runs || parsed->hold.thaw_after) {
        auto prepared = Hold::prepare(session.targets(), parsed->hold, interrupt);
        if (!prepared) {
            session.refuse("freezerctl", prepared.error());
            return runs ? kNotRun : session.code();
        }
        hold.emplace(std::move(*prepared));
    }
    keep_capabilities_for(Work::kOperate);
    if (!prepare_tracking(session, args))
        return runs ? kNotRun : session.code();

    if (parsed->signal != 0)
        return send_signal(session, args, parsed->signal, parsed->timeout_ns, interrupt);
    Progress progress;
    const size_t width = terminal_width(STDERR_FILENO); // now: nothing shall delay the report
    auto reports = call(session, verb, args, parsed->timeout_ns, interrupt.get(), progress);
    progress.clear();
    if (!reports) {
        session.refuse("freezerctl", reports.error());
        return runs ? kNotRun : session.code();
    }
    const freezer::Tracking tracking = session.freezer().tracking();
    if (tracking.error && config.late_tracking && config.use_bpf &&
        freezer::all_announce(session.targets()))
        say_untracked(*tracking.error);
    const auto show = [&](const TargetReport &report) {
        if (args.common.json)
            session.print(to_json(report, session.freezer().tracking()) + "\n");
        else
            session.print(describe_success(report));
        complain(describe_trouble(report, width));
        session.count(exit_code_of(report));
    };
    for (const TargetReport &report : *reports)
        show(report);
    session.flush();
    if (runs)
        return session.code() == kReached ? hold->run_command(session, *reports, interrupt, show)
                                          : not_run(end_code(session, interrupt));
    if (hold) {
        if (const auto left = hold->leave_to_guardian(*reports); !left)
            session.refuse("--thaw-after", left.error());
    }
    return end_code(session, interrupt);
}

void add_waiting_options(Syntax &syntax, OperationArguments &args, const std::string &timeout)
{
    args.timeout = timeout;
    syntax
        .option("--timeout", args.timeout,
                "Give up after this time: 10s, 250ms, 2m, infinity (default " + timeout + ")")
        .value("TIME");
    syntax.flag("--require-bpf", args.require_bpf, "Fail when BPF is not to be had")
        .excludes("--no-bpf");
    syntax.option("--ring-bytes", args.ring_bytes, "Size of the tracker's ring buffer")
        .hidden(); // for tests
    syntax.flag("--unattached", args.unattached, "Do without the attached tracker")
        .hidden(); // for tests and benchmarks
}

// What all of them take.
void describe_operation(Syntax &syntax, OperationArguments &args,
                        const std::string &timeout = "10s")
{
    add_target_options(syntax, args.targets, true);
    add_hierarchy_option(syntax, args.targets);
    add_common_options(syntax, args.common);
    add_waiting_options(syntax, args, timeout);
}

void describe_freeze(Syntax &syntax, OperationArguments &args)
{
    describe_operation(syntax, args);
    add_force_option(syntax, args.targets);
    syntax.flag("--tasks", args.tasks, "A row for each task");
    syntax.choice("--on-timeout", args.on_timeout,
                  {{"thaw", FreezeOptions::OnTimeout::kThaw},
                   {"keep", FreezeOptions::OnTimeout::kKeep},
                   {"kill", FreezeOptions::OnTimeout::kKill}},
                  "At the deadline: take the request back, leave it, or kill (default thaw)");
    syntax.flag("--all-or-none", args.all_or_none,
                "Thaw those that froze when one of them does not");
    syntax
        .option("--thaw-after", args.thaw_after,
                "Thaw them again after this time, whatever happens")
        .value("TIME");
    syntax
        .option("--report", args.report_file,
                "Write the report to this file (with a command: default stderr)")
        .value("FILE");
    syntax.takes_command(args.command);
    syntax.footer("With -- COMMAND [ARGUMENT...]: run that while they are frozen, then thaw them; "
                  "exit with its code");
}

void describe_thaw(Syntax &syntax, OperationArguments &args)
{
    describe_operation(syntax, args);
}

void describe_kill(Syntax &syntax, OperationArguments &args)
{
    describe_operation(syntax, args);
    add_force_option(syntax, args.targets);
    syntax.flag("--remove", args.remove, "Remove the cgroups when they are empty");
    syntax
        .option("--signal", args.signal,
                "Send this signal (name or number), once to each process, all at one time")
        .excludes("--remove")
        .value("SIG");
    syntax.flag("--keep-frozen", args.keep_frozen, "Do not thaw after --signal").needs("--signal");
    syntax.flag("--wait", args.wait, "Wait until --signal has acted, and say how")
        .needs("--signal");
}

void describe_wait(Syntax &syntax, OperationArguments &args)
{
    describe_operation(syntax, args, "infinity");
    syntax
        .choice("--for", args.goal,
                {{"frozen", Goal::kFrozen}, {"thawed", Goal::kThawed}, {"empty", Goal::kEmpty}},
                "The state to wait for")
        .required();
}

template <Verb verb> int run_verb(const OperationArguments &args)
{
    return operate(verb, args);
}

} // namespace

void add_operation_verbs(Cli &cli)
{
    cli.add_verb<OperationArguments>(
        {"freeze", "pause"}, "Freeze cgroups and wait until every task is in the refrigerator",
        describe_freeze, run_verb<Verb::kFreeze>, Cli::Kind::kUrgent);
    cli.add_verb<OperationArguments>({"thaw", "resume", "unpause", "unfreeze"},
                                     "Let cgroups run again", describe_thaw, run_verb<Verb::kThaw>,
                                     Cli::Kind::kUrgent);
    cli.add_verb<OperationArguments>({"kill"},
                                     "Kill every process of cgroups and wait until they are empty",
                                     describe_kill, run_verb<Verb::kKill>, Cli::Kind::kUrgent);
    cli.add_verb<OperationArguments>({"wait"}, "Sleep until a state holds", describe_wait,
                                     run_verb<Verb::kWait>);
}

} // namespace freezerctl
