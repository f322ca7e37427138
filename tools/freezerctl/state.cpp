// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// state: freezer.state of 2008, read and written, on any hierarchy.
#include <string>

#include "tools/freezerctl/cli.h"
#include "tools/freezerctl/interrupt.h"
#include "tools/freezerctl/json.h"
#include "tools/freezerctl/text.h"
#include "user/duration.h"

namespace freezerctl
{
namespace
{

using freezer::State;

struct StateArguments {
    TargetArguments targets;
    std::string word;
    std::string timeout = "10s";
    CommonArguments common;
    bool no_wait = false;
};

// The three words of the file. It does not tell an ancestor's request from its own.
const char *word_of(State state)
{
    switch (state) {
    case State::kThawed:
        return "THAWED";
    case State::kFreezing:
    case State::kFreezingByParent:
        return "FREEZING";
    case State::kFrozen:
    case State::kFrozenByParent:
        return "FROZEN";
    }
    return "";
}

int show(Session &session, bool json)
{
    auto &target = session.targets().front();
    auto found = session.freezer().status(*target.cgroup, false);
    if (!found)
        session.refuse(target.name, found.error());
    else if (json)
        print(to_json(found->front()) + "\n");
    else
        print(std::string(word_of(found->front().state)) + "\n");
    return session.code();
}

int set(Session &session, const StateArguments &args, const InterruptFd &interrupt,
        std::optional<std::uint64_t> timeout_ns)
{
    const bool freeze = args.word == "FROZEN";
    freezer::FreezeOptions options;
    options.timeout_ns = args.no_wait ? 0 : timeout_ns;
    options.interrupt_fd = interrupt.get();
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
    if (!args.word.empty() && args.word != "FROZEN" && args.word != "THAWED" &&
        args.word != "RUNNING") {
        session.refuse("freezerctl state",
                       {freezer::ErrorKind::kInvalid, 0,
                        "'" + args.word +
                            "' cannot be set: write FROZEN, THAWED or RUNNING (the old word for "
                            "THAWED), in capitals"});
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
    if (!session.open(config) || !session.find_targets(args.targets, args.word == "FROZEN"))
        return session.code();
    return args.word.empty() ? show(session, args.common.json)
                             : set(session, args, interrupt, *timeout_ns);
}

} // namespace

void add_state_verb(Cli &cli)
{
    auto [state, args] = cli.add_verb<StateArguments>(
        "state", "Print the state of a cgroup, or set it, in the words of freezer.state",
        run_state);
    args.targets.cgroups.resize(1);
    state->add_option("TARGET", args.targets.cgroups.front(), "As for the other verbs")->required();
    state->add_option("STATE", args.word, "FROZEN, THAWED or RUNNING; without it: print the state");
    add_hierarchy_option(*state, args.targets);
    add_force_option(*state, args.targets);
    add_common_options(*state, args.common);
    state->add_option("--timeout", args.timeout, "Give up waiting after this time (default 10s)")
        ->type_name("TIME");
    state->add_flag("--no-wait", args.no_wait, "Return as soon as the request is made");
}

} // namespace freezerctl
