// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// state: freezer.state of 2008, read and written, on any hierarchy.
#include <string>

#include "tools/freezerctl/cli.h"
#include "tools/freezerctl/interrupt.h"
#include "tools/freezerctl/json.h"
#include "tools/freezerctl/priority.h"
#include "tools/freezerctl/text.h"
#include "user/duration.h"
#include "user/freezer_words.h"

namespace freezerctl
{
namespace
{

struct StateArguments {
    TargetArguments targets;
    std::string word;
    std::string timeout = "10s";
    CommonArguments common;
    bool no_wait = false;
};

int show(Session &session, bool json)
{
    auto &target = session.targets().front();
    auto found = session.freezer().status(*target.cgroup, false);
    if (!found)
        session.refuse(target.name, found.error());
    else if (json)
        print(to_json(found->front()) + "\n");
    else
        print(std::string(freezer::word_of(found->front().state, freezer::Words::kV1)) + "\n");
    return session.code();
}

int set(Session &session, bool freeze, const StateArguments &args, const InterruptFd &interrupt,
        std::optional<std::uint64_t> timeout_ns)
{
    freezer::FreezeOptions options;
    options.timeout_ns = args.no_wait ? 0 : timeout_ns;
    options.interrupt_fd = interrupt.get();
    if (freeze)
        options.on_requested = restore_priority;
    // As in 2008: what cannot finish stays FREEZING until it is written again, or thawed.
    options.on_timeout = freezer::FreezeOptions::OnTimeout::kKeep;
    auto reports = freeze ? session.freezer().freeze(session.targets(), options)
                          : session.freezer().thaw(session.targets(), options);
    if (!reports) {
        session.refuse("freezerctl", reports.error());
        return session.code();
    }
    const freezer::TargetReport &report = reports->front();
    if (args.common.json)
        print(to_json(report, session.freezer().tracking()) + "\n");
    if (args.no_wait && report.outcome == freezer::Outcome::kDeadline)
        return session.code(); // asked for, and under way
    complain(describe_trouble(report));
    session.count(exit_code_of(report));
    return session.code() == kSignal ? kSignal + interrupt.signal_number() : session.code();
}

int run_state(const StateArguments &args)
{
    const InterruptFd interrupt;
    Session session("state", args.common.json);
    const bool show_only = args.word.empty();
    auto freeze = show_only ? freezer::Result<bool>(false) : freezer::parse_freezer_word(args.word);
    if (!freeze) {
        session.refuse("freezerctl state", freeze.error());
        return session.code();
    }
    auto timeout_ns = freezer::parse_timeout(args.timeout);
    if (!timeout_ns) {
        session.refuse("--timeout", timeout_ns.error());
        return session.code();
    }
    freezer::Config config;
    config.use_bpf = !args.common.no_bpf;
    config.late_tracking = true; // it prints nothing that tracking tells
    if (!session.open(config) || !session.find_targets(args.targets, *freeze))
        return session.code();
    return show_only ? show(session, args.common.json)
                     : set(session, *freeze, args, interrupt, *timeout_ns);
}

void describe_state(Syntax &syntax, StateArguments &args)
{
    args.targets.cgroups.resize(1);
    syntax.option("TARGET", args.targets.cgroups.front(), "As for the other verbs").required();
    syntax.option("STATE", args.word, "FROZEN, THAWED or RUNNING; without it: print the state");
    add_hierarchy_option(syntax, args.targets);
    add_force_option(syntax, args.targets);
    add_common_options(syntax, args.common);
    syntax.option("--timeout", args.timeout, "Give up waiting after this time (default 10s)")
        .value("TIME");
    syntax.flag("--no-wait", args.no_wait, "Return as soon as the request is made");
}

} // namespace

void add_state_verb(Cli &cli)
{
    cli.add_verb<StateArguments>(
        {"state"}, "Print the state of a cgroup, or set it, in the words of freezer.state",
        describe_state, run_state, Cli::Kind::kUrgent);
}

} // namespace freezerctl
