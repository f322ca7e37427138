// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "tools/freezerctl/session.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <map>
#include <set>
#include <vector>

#include "tools/freezerctl/json.h"
#include "tools/freezerctl/text.h"
#include "user/files.h"
#include "user/name_search.h"
#include "user/protected.h"

namespace freezerctl
{
namespace
{

// A command with no more has enough descriptors under every limit.
constexpr size_t kFewTargets = 100;

std::optional<freezer::NameKind> kind_of(TargetType type)
{
    switch (type) {
    case TargetType::kUnit:
        return freezer::NameKind::kUnit;
    case TargetType::kContainer:
        return freezer::NameKind::kContainer;
    case TargetType::kPod:
        return freezer::NameKind::kPod;
    case TargetType::kAny:
    case TargetType::kPath:
        break;
    }
    return std::nullopt;
}

// What begins so is surely a path.
bool may_be_name(const std::string &text)
{
    return !text.empty() && text.front() != '/' && text.front() != '.';
}

} // namespace

bool Session::open(const freezer::Config &config)
{
    auto opened = freezer::Freezer::open(config);
    if (!opened) {
        refuse("freezerctl", opened.error());
        return false;
    }
    freezer_ = std::make_unique<freezer::Freezer>(std::move(*opened));
    return true;
}

freezer::Result<std::unique_ptr<freezer::Cgroup>>
Session::find(const std::string &text, const TargetArguments &arguments) const
{
    const freezer::Resolver &resolver = freezer_->resolver();
    const auto by_name = [&]() -> freezer::Result<std::unique_ptr<freezer::Cgroup>> {
        const auto named =
            find_by_name(resolver, text, kind_of(arguments.type), arguments.hierarchy);
        if (!named)
            return named.error();
        return resolver.by_path(named->path, named->hierarchy);
    };
    if (kind_of(arguments.type))
        return by_name();
    auto by_path = resolver.by_path(text, arguments.hierarchy);
    if (by_path || arguments.type == TargetType::kPath || !may_be_name(text) ||
        by_path.error().sys_errno != ENOENT)
        return by_path;
    auto named = by_name();
    if (!named && named.error().kind == freezer::ErrorKind::kNoSuchCgroup)
        return freezer::Error{freezer::ErrorKind::kNoSuchCgroup, ENOENT,
                              by_path.error().message + "; and " + named.error().message};
    return named;
}

bool Session::find_targets(const TargetArguments &arguments, bool harmful)
{
    // Only then: a command that this one starts inherits it.
    if (arguments.cgroups.size() > kFewTargets)
        freezer::raise_file_limit();
    std::set<std::pair<std::uint32_t, std::uint64_t>> ids;
    std::map<std::uint32_t, std::vector<std::uint64_t>> own; // by hierarchy
    std::optional<freezer::Protected> guarded;
    if (harmful && !arguments.force)
        guarded.emplace(freezer_->resolver());
    const auto take = [&](const std::string &name,
                          freezer::Result<std::unique_ptr<freezer::Cgroup>> found) {
        if (!found) {
            refuse(name, found.error());
            return;
        }
        if (harmful) {
            const freezer::Resolver &resolver = freezer_->resolver();
            const auto [ids_of_own, first] = own.try_emplace((*found)->hierarchy_id());
            if (first)
                ids_of_own->second = resolver.own_cgroups(**found);
            if (auto harmless = resolver.check_harmless(**found, ids_of_own->second); !harmless) {
                refuse(name, harmless.error());
                return;
            }
        }
        if (guarded) {
            if (auto allowed = guarded->check(**found); !allowed) {
                allowed.error().message += ": --force does it all the same";
                refuse(name, allowed.error());
                return;
            }
        }
        if (ids.emplace((*found)->hierarchy_id(), (*found)->id()).second)
            targets_->push_back(freezer::Target{name, std::move(*found)});
    };
    for (const std::string &text : arguments.cgroups)
        take(text, find(text, arguments));
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

void Session::print_to_stderr()
{
    other_output_.emplace(STDERR_FILENO, "stderr", Output::When::kAtOnce);
}

bool Session::open_output(const std::string &path)
{
    file_ = freezer::UniqueFd(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
    if (!file_) {
        refuse(path, freezer::Error::from_errno(errno, "open it for the report"));
        return false;
    }
    other_output_.emplace(file_.get(), path, Output::When::kAtOnce); // somebody may read along
    return true;
}

void Session::print(const std::string &text)
{
    count_unless(output().print(text));
}

void Session::flush()
{
    count_unless(output().flush());
}

void Session::count_unless(bool printed)
{
    if (printed)
        return;
    (void)output().complain_of_error();
    count(kFailed);
}

void Session::refuse(const std::string &target, const freezer::Error &error)
{
    complain(printable(target) + ": " + printable(error.message) + "\n");
    if (json_)
        print(to_json(target, verb_, error) + "\n");
    count(exit_code_of(error));
}

} // namespace freezerctl
