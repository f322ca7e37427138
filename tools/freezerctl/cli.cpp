// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "tools/freezerctl/cli.h"

#include <algorithm>
#include <cstdio>
#include <set>

#include "tools/freezerctl/json.h"
#include "tools/freezerctl/text.h"
#include "user/files.h"

namespace freezerctl
{
namespace
{

// A command with no more has enough descriptors under every limit.
constexpr size_t kFewTargets = 100;

} // namespace

void Cli::parse(int argc, char **argv)
{
    // The first word is the verb: the command itself takes no options but --help.
    const auto verb = std::find_if(commands_.begin(), commands_.end(), [&](const auto &entry) {
        return argc > 1 && entry.first->check_name(argv[1]);
    });
    if (verb != commands_.end()) {
        char **const end = argv + argc;
        char **const dashes = std::find_if(
            argv, end, [](const char *word) { return std::string_view(word) == "--"; });
        if (dashes != end) {
            verb->second->assign(dashes + 1, end);
            argc = static_cast<int>(dashes - argv);
            if (verb->second->empty())
                throw CLI::RequiredError("a COMMAND after --");
        }
    }
    app_.parse(argc, argv);
}

int Cli::run() const
{
    const auto chosen = std::find_if(verbs_.begin(), verbs_.end(),
                                     [](const auto &verb) { return verb.first->parsed(); });
    return chosen != verbs_.end() ? chosen->second() : kUsage;
}

void add_verbs(Cli &cli)
{
    add_operation_verbs(cli);
    add_status_verb(cli);
    add_state_verb(cli);
    add_attach_verbs(cli);
    add_mount_verbs(cli);
    add_why_verb(cli);
    add_trace_verb(cli);
    add_record_verb(cli);
    add_report_verb(cli);
    add_top_verb(cli);
    add_doctor_verb(cli);
}

void add_hierarchy_option(CLI::App &verb, TargetArguments &targets)
{
    add_choice(verb, "--hierarchy", targets.hierarchy,
               {{"v1", freezer::HierarchyChoice::kV1}, {"v2", freezer::HierarchyChoice::kV2}},
               "Where to look (default: v2, or v1 where v2 cannot do it)");
}

void add_target_options(CLI::App &verb, TargetArguments &targets, bool required)
{
    verb.add_option(
        "CGROUP", targets.cgroups,
        "Path below the mount of cgroup2, or of the v1 freezer (/a/b or a/b); or absolute path");
    verb.add_option("--pid", targets.pids, "The cgroup of this process")
        ->check(CLI::PositiveNumber)
        ->type_name("PID");
    if (required)
        verb.callback([&targets] {
            if (targets.empty())
                throw CLI::RequiredError("a CGROUP or --pid");
        });
}

void add_common_options(CLI::App &verb, CommonArguments &common)
{
    verb.add_flag("--json", common.json, "One JSON object for each target, on stdout");
    verb.add_flag("--no-bpf", common.no_bpf, "Do not use BPF: the kernel's files alone decide");
}

void print(const std::string &text)
{
    std::fwrite(text.data(), 1, text.size(), stdout);
}

void complain(const std::string &text)
{
    std::fwrite(text.data(), 1, text.size(), stderr);
}

bool Session::open(const freezer::Config &config)
{
    auto opened = freezer::Freezer::open(config);
    if (!opened) {
        refuse("freezerctl", opened.error());
        return false;
    }
    freezer_.emplace(std::move(*opened));
    return true;
}

bool Session::find_targets(const TargetArguments &arguments, bool harmful)
{
    // Only then: a command that this one starts inherits it.
    if (arguments.cgroups.size() > kFewTargets)
        freezer::raise_file_limit();
    std::set<std::pair<std::uint32_t, std::uint64_t>> ids;
    freezer::Resolver::OwnCgroups own;
    if (harmful)
        own = freezer_->resolver().own_cgroups();
    const auto take = [&](const std::string &name,
                          freezer::Result<std::unique_ptr<freezer::Cgroup>> found) {
        if (!found) {
            refuse(name, found.error());
            return;
        }
        if (harmful) {
            if (auto harmless = freezer_->resolver().check_harmless(**found, own); !harmless) {
                refuse(name, harmless.error());
                return;
            }
        }
        if (ids.emplace((*found)->hierarchy_id(), (*found)->id()).second)
            targets_.push_back(freezer::Target{name, std::move(*found)});
    };
    for (const std::string &text : arguments.cgroups)
        take(text, freezer_->resolver().by_path(text, arguments.hierarchy));
    for (const int pid : arguments.pids) {
        const std::string name = "--pid " + std::to_string(pid);
        auto found = freezer_->resolver().by_pid(pid, arguments.hierarchy);
        if (found && arguments.hierarchy == freezer::HierarchyChoice::kAny &&
            freezer_->resolver().is_hybrid())
            complain(name + ": its " + (*found)->hierarchy_name() + " cgroup " +
                     printable((*found)->path()) + "\n");
        take(name, std::move(found));
    }
    return code_ == kReached;
}

void Session::refuse(const std::string &target, const freezer::Error &error)
{
    complain(printable(target) + ": " + printable(error.message) + "\n");
    if (json_)
        print(to_json(target, verb_, error) + "\n");
    count(exit_code_of(error));
}

} // namespace freezerctl
