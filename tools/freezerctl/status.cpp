// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// status: what states cgroups are in.
#include <iterator>
#include <string>
#include <vector>

#include "tools/freezerctl/cli.h"
#include "tools/freezerctl/json.h"
#include "tools/freezerctl/text.h"
#include "user/duration.h"

namespace freezerctl
{
namespace
{

using freezer::CgroupStatus;
using freezer::State;

struct StatusArguments {
    TargetArguments targets;
    CommonArguments common;
    bool tasks = false;
    std::string is;
};

bool is_in_state(const CgroupStatus &status, const std::string &word)
{
    if (word == "empty")
        return !status.populated;
    if (word == "thawed")
        return status.state == State::kThawed;
    if (word == "frozen")
        return status.state == State::kFrozen || status.state == State::kFrozenByParent;
    return status.state == State::kFreezing || status.state == State::kFreezingByParent;
}

int show_status(const StatusArguments &args)
{
    Session session("status", args.common.json);
    freezer::Config config;
    config.use_bpf = !args.common.no_bpf;
    if (!session.open(config))
        return session.code();

    std::vector<CgroupStatus> all;
    if (args.targets.empty()) {
        auto found = session.freezer().frozen_cgroups(args.tasks);
        if (!found) {
            session.refuse("freezerctl", found.error());
            return session.code();
        }
        all = std::move(*found);
    } else if (!session.find_targets(args.targets, false)) {
        return session.code();
    }
    for (const freezer::Target &target : session.targets()) {
        auto found = session.freezer().status(*target.cgroup, args.tasks);
        if (!found) {
            session.refuse(target.name, found.error());
            continue;
        }
        if (!args.is.empty() && !is_in_state(found->front(), args.is))
            session.count(kNotInState);
        std::move(found->begin(), found->end(), std::back_inserter(all));
    }
    if (args.common.json) {
        for (const CgroupStatus &status : all)
            print(to_json(status) + "\n");
    } else if (!all.empty()) {
        print(describe_status(all, freezer::now_ns()));
    } else if (args.targets.empty()) {
        print("no cgroup is frozen or freezing\n");
    }
    return session.code();
}

void describe_status(Syntax &syntax, StatusArguments &args)
{
    add_target_options(syntax, args.targets, false);
    add_hierarchy_option(syntax, args.targets);
    add_common_options(syntax, args.common);
    syntax.flag("--tasks", args.tasks, "A row for each task");
    syntax.choice(
        "--is", args.is,
        {{"frozen", "frozen"}, {"freezing", "freezing"}, {"thawed", "thawed"}, {"empty", "empty"}},
        "Exit with 3 unless it is in this state");
    syntax.check([&args] {
        if (!args.is.empty() && args.targets.empty())
            Syntax::refuse("--is", "needs a TARGET");
    });
}

} // namespace

void add_status_verb(Cli &cli)
{
    cli.add_verb<StatusArguments>({"status"},
                                  "Show states; without TARGET: every frozen or freezing cgroup",
                                  describe_status, show_status);
}

} // namespace freezerctl
