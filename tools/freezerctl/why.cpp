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

} // namespace

void add_why_verb(Cli &cli)
{
    auto [why, args] = cli.add_verb<WhyArguments>(
        "why", "Say which tasks hold a freeze or a kill up, what they wait for, and who can help",
        explain);
    add_target_options(*why, args.targets, true);
    add_hierarchy_option(*why, args.targets);
    why->get_option("--pid")->description("This task alone, whatever it does");
    add_common_options(*why, args.common);
    add_choice(*why, "--for", args.purpose,
               {{"state", WhyReport::Purpose::kState},
                {"freeze", WhyReport::Purpose::kFreeze},
                {"kill", WhyReport::Purpose::kKill}},
               "What is held up: what its state says, a freeze, or a kill (default state)");
}

} // namespace freezerctl
