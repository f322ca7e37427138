// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// why: which task holds a freeze or a kill up, and who can help.
#include <unistd.h>

#include <string>
#include <vector>

#include "tools/freezerctl/cli.h"
#include "tools/freezerctl/json.h"
#include "tools/freezerctl/text.h"
#include "tools/freezerctl/why_text.h"

namespace freezerctl
{
namespace
{

using freezer::WhyReport;

struct WhyArguments {
    TargetArguments targets;
    CommonArguments common;
    WhyReport::Purpose purpose = WhyReport::Purpose::kState;
};

int explain(const WhyArguments &args)
{
    Session session("why", args.common.json);
    freezer::Config config;
    config.use_bpf = !args.common.no_bpf;
    if (!session.open(config))
        return session.code();
    // A process stands for itself here, not for its cgroup.
    TargetArguments cgroups = args.targets;
    cgroups.pids.clear();
    if (!session.find_targets(cgroups, false))
        return session.code();

    bool warned = args.common.no_bpf;
    const auto show = [&](const std::string &target, const freezer::Result<WhyReport> &report) {
        if (!report) {
            session.refuse(target, report.error());
            return;
        }
        if (!report->bpf && !warned) {
            warned = true;
            complain("freezerctl: no BPF: " + printable(report->bpf_error->message) +
                     "; /proc alone tells, and less\n");
        }
        print(args.common.json ? to_json(target, *report) + "\n"
                               : describe(*report, terminal_width(STDOUT_FILENO)));
    };
    for (const freezer::Target &target : session.targets())
        show(target.name, session.freezer().why(*target.cgroup, args.purpose));
    for (const int pid : args.targets.pids)
        show("--pid " + std::to_string(pid),
             session.freezer().why_task(static_cast<std::uint32_t>(pid)));
    return session.code();
}

void describe_why(Syntax &syntax, WhyArguments &args)
{
    add_target_options(syntax, args.targets, true, "This task alone, whatever it does");
    add_hierarchy_option(syntax, args.targets);
    add_common_options(syntax, args.common);
    syntax.choice("--for", args.purpose,
                  {{"state", WhyReport::Purpose::kState},
                   {"freeze", WhyReport::Purpose::kFreeze},
                   {"kill", WhyReport::Purpose::kKill}},
                  "What is held up: what its state says, a freeze, or a kill (default state)");
}

} // namespace

void add_why_verb(Cli &cli)
{
    cli.add_verb<WhyArguments>(
        {"why"}, "Say which tasks hold a freeze or a kill up, what they wait for, and who can help",
        describe_why, explain);
}

} // namespace freezerctl
