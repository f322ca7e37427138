// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// list: what is there by the names that the other verbs take.
#include "tools/freezerctl/list.h"

#include <optional>
#include <string>
#include <vector>

#include "tools/freezerctl/cli.h"
#include "tools/freezerctl/json.h"
#include "tools/freezerctl/text.h"

namespace freezerctl
{
namespace
{

using freezer::NameKind;
using freezer::State;

enum class Wanted { kAll, kFrozen, kThawed };

struct ListArguments {
    std::optional<NameKind> kind;
    Wanted wanted = Wanted::kAll;
    bool all = false;
    bool quiet = false;
    bool json = false;
};

// nullopt: it was removed meanwhile, or has no state (a threaded root).
std::optional<ListEntry> entry_of(const freezer::Resolver &resolver, freezer::NamedCgroup cgroup)
{
    const auto found = resolver.by_path(cgroup.path, cgroup.hierarchy);
    if (!found)
        return std::nullopt;
    const auto reading = (*found)->read();
    const auto above = (*found)->freezing_ancestor();
    if (!reading || !above)
        return std::nullopt;
    return ListEntry{std::move(cgroup), state_of(*reading, above->has_value()), reading->populated};
}

bool is_wanted(const ListEntry &entry, const ListArguments &args)
{
    if (!entry.populated && !args.all && entry.state == State::kThawed)
        return false;
    switch (args.wanted) {
    case Wanted::kAll:
        return true;
    case Wanted::kFrozen: // or on the way: what there is to thaw
        return entry.state != State::kThawed;
    case Wanted::kThawed:
        return entry.state == State::kThawed;
    }
    return true;
}

int list(const ListArguments &args)
{
    Session session("list", args.json);
    if (!session.open({}))
        return session.code();
    const freezer::Resolver &resolver = session.freezer().resolver();
    const freezer::DiskNames disk = freezer::read_disk_names();
    std::vector<ListEntry> entries;
    for (const freezer::CgroupMount &mount : resolver.mounts()) {
        auto named = freezer::named_cgroups(mount, disk);
        if (!named) {
            session.refuse(mount.mount_point, named.error());
            continue;
        }
        for (freezer::NamedCgroup &cgroup : *named) {
            if (args.kind && cgroup.name.kind != *args.kind)
                continue;
            auto entry = entry_of(resolver, std::move(cgroup));
            if (entry && is_wanted(*entry, args))
                entries.push_back(std::move(*entry));
        }
    }
    if (args.quiet || args.json) {
        for (const ListEntry &entry : entries)
            print((args.json ? to_json(entry) : printable(best_name(entry.cgroup))) + "\n");
    } else if (!entries.empty()) {
        print(describe_list(entries));
    } else {
        print("nothing that has a name\n");
    }
    return session.code();
}

void describe_list(Syntax &syntax, ListArguments &args)
{
    syntax.choice(
        "--type", args.kind,
        {{"unit", NameKind::kUnit}, {"container", NameKind::kContainer}, {"pod", NameKind::kPod}},
        "Only these");
    syntax.choice("--is", args.wanted, {{"frozen", Wanted::kFrozen}, {"thawed", Wanted::kThawed}},
                  "Only what is in this state; frozen: or on the way");
    syntax.flag("-a,--all", args.all, "Empty ones, too");
    syntax.flag("-q,--quiet", args.quiet, "Names alone");
    syntax.flag("--json", args.json, "One JSON object for each").excludes("--quiet");
}

} // namespace

void add_list_verb(Cli &cli)
{
    cli.add_verb<ListArguments>({"list"},
                                "Show units, containers and pods by name, with their states",
                                describe_list, list);
}

} // namespace freezerctl
