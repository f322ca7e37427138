// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// The command: parse, call the library, print, exit. Nothing is decided here that the library could
// decide, and nothing is printed by the library.
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <exception>
#include <map>
#include <set>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "tools/freezerctl/exit_code.h"
#include "tools/freezerctl/json.h"
#include "tools/freezerctl/text.h"
#include "user/duration.h"
#include "user/freezer.h"
#include "user/unique_fd.h"

namespace freezerctl
{
namespace
{

using freezer::Error;
using freezer::FreezeOptions;
using freezer::Freezer;
using freezer::Goal;
using freezer::Status;
using freezer::Target;
using freezer::TargetReport;
using freezer::Verb;

// What the command line says, for whichever verb.
struct Arguments {
    std::vector<std::string> cgroups;
    std::vector<int> pids;
    std::string timeout;
    bool json = false;
    bool tasks = false;
    bool no_bpf = false;
    bool require_bpf = false;
    std::uint32_t ring_bytes = freezer::TrackerOptions().ring_bytes;

    FreezeOptions::OnTimeout on_timeout = FreezeOptions::OnTimeout::kThaw;
    bool all_or_none = false;
    bool remove = false;
    Goal goal = Goal::kFrozen;
    std::string is;
};

void print(const std::string &text)
{
    std::fwrite(text.data(), 1, text.size(), stdout);
}

void complain(const std::string &text)
{
    std::fwrite(text.data(), 1, text.size(), stderr);
}

// SIGINT and SIGTERM as something to wait for. Once blocked they stay so: from then on only an
// orderly end, with its rollback, may end the process.
class InterruptFd
{
  public:
    InterruptFd()
    {
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, SIGINT);
        sigaddset(&set, SIGTERM);
        sigprocmask(SIG_BLOCK, &set, nullptr);
        fd_ = freezer::UniqueFd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
    }
    [[nodiscard]] int get() const { return fd_.get(); }
    // The signal that came, SIGTERM if none can be read.
    [[nodiscard]] int signal_number() const
    {
        signalfd_siginfo info{};
        if (::read(fd_.get(), &info, sizeof(info)) != sizeof(info))
            return SIGTERM;
        return static_cast<int>(info.ssi_signo);
    }

  private:
    freezer::UniqueFd fd_;
};

class Command
{
  public:
    explicit Command(Arguments arguments) : args_(std::move(arguments)) {}

    int operate(Verb verb);
    int status();

  private:
    bool open(Verb verb);
    bool find_targets(Verb verb);
    void refuse(const std::string &target, Verb verb, const Error &error);
    bool check_tracking();
    freezer::Result<std::vector<TargetReport>> call(Verb verb, int interrupt_fd);

    Arguments args_;
    std::optional<Freezer> freezer_;
    std::vector<Target> targets_;
    std::optional<std::uint64_t> timeout_ns_;
    ExitCode code_ = kReached;
};

void Command::refuse(const std::string &target, Verb verb, const Error &error)
{
    complain(printable(target) + ": " + printable(error.message) + "\n");
    if (args_.json)
        print(to_json(target, verb, error) + "\n");
    code_ = worse(code_, exit_code_of(error));
}

bool Command::open(Verb verb)
{
    if (!args_.timeout.empty()) {
        auto timeout = freezer::parse_timeout(args_.timeout);
        if (!timeout) {
            refuse("--timeout", verb, timeout.error());
            return false;
        }
        timeout_ns_ = *timeout;
    }
    freezer::Config config;
    config.use_bpf = !args_.no_bpf;
    config.tracker.ring_bytes = args_.ring_bytes;
    config.tracker.task_events = args_.tasks;
    auto opened = Freezer::open(config);
    if (!opened) {
        refuse("freezerctl", verb, opened.error());
        return false;
    }
    freezer_.emplace(std::move(*opened));
    return true;
}

// Opens and checks all of them: nothing is written before every one is known to be good.
bool Command::find_targets(Verb verb)
{
    std::set<std::uint64_t> ids;
    const auto take = [&](const std::string &name,
                          freezer::Result<std::unique_ptr<freezer::Cgroup>> found) {
        if (!found) {
            refuse(name, verb, found.error());
            return;
        }
        if (verb == Verb::kFreeze || verb == Verb::kKill) {
            if (auto harmless = freezer_->resolver().check_harmless(**found); !harmless) {
                refuse(name, verb, harmless.error());
                return;
            }
        }
        if (ids.insert((*found)->id()).second)
            targets_.push_back(Target{name, std::move(*found)});
    };
    for (const std::string &text : args_.cgroups)
        take(text, freezer_->resolver().by_path(text));
    for (const int pid : args_.pids)
        take("--pid " + std::to_string(pid), freezer_->resolver().by_pid(pid));
    return code_ == kReached;
}

bool Command::check_tracking()
{
    const auto loaded = freezer_->load_tracker(static_cast<std::uint32_t>(targets_.size()));
    if (loaded)
        return true;
    if (args_.require_bpf) {
        complain("freezerctl: no BPF tracking, which --require-bpf asks for: " +
                 loaded.error().message + "\n");
        code_ = kFailed;
        return false;
    }
    if (!args_.no_bpf)
        complain("freezerctl: no BPF tracking: " + loaded.error().message +
                 "; cgroup.events alone tells of completion, without times and actors\n");
    return true;
}

freezer::Result<std::vector<TargetReport>> Command::call(Verb verb, int interrupt_fd)
{
    const auto fill = [&](auto options) {
        options.timeout_ns = timeout_ns_;
        options.interrupt_fd = interrupt_fd;
        options.tasks = args_.tasks;
        return options;
    };
    switch (verb) {
    case Verb::kFreeze: {
        auto options = fill(FreezeOptions());
        options.on_timeout = args_.on_timeout;
        options.all_or_none = args_.all_or_none;
        return freezer_->freeze(targets_, options);
    }
    case Verb::kThaw:
        return freezer_->thaw(targets_, fill(freezer::WaitOptions()));
    case Verb::kKill: {
        auto options = fill(freezer::KillOptions());
        options.remove = args_.remove;
        return freezer_->kill(targets_, options);
    }
    case Verb::kWait:
        return freezer_->wait(targets_, args_.goal, fill(freezer::WaitOptions()));
    }
    return Error{freezer::ErrorKind::kInvalid, 0, "no such verb"};
}

int Command::operate(Verb verb)
{
    const InterruptFd interrupt;
    if (!open(verb) || !find_targets(verb) || !check_tracking())
        return code_;
    auto reports = call(verb, interrupt.get());
    if (!reports) {
        refuse("freezerctl", verb, reports.error());
        return code_;
    }
    for (const TargetReport &report : *reports) {
        if (args_.json)
            print(to_json(report, freezer_->tracking_error()) + "\n");
        else
            print(describe_success(report));
        complain(describe_trouble(report));
        code_ = worse(code_, exit_code_of(report));
        if (report.rolled_back)
            code_ = worse(code_, kFailed == exit_code_of(report) ? kFailed : code_);
    }
    return code_ == kSignal ? kSignal + interrupt.signal_number() : code_;
}

int Command::status()
{
    if (!open(Verb::kWait))
        return code_;
    std::vector<freezer::CgroupStatus> all;
    if (args_.cgroups.empty() && args_.pids.empty()) {
        auto found = freezer_->frozen_cgroups(args_.tasks);
        if (!found) {
            refuse("freezerctl", Verb::kWait, found.error());
            return code_;
        }
        all = std::move(*found);
    } else if (!find_targets(Verb::kWait)) {
        return code_;
    }
    for (const Target &target : targets_) {
        auto found = freezer_->status(*target.cgroup, args_.tasks);
        if (!found) {
            refuse(target.name, Verb::kWait, found.error());
            continue;
        }
        if (!args_.is.empty()) {
            using freezer::State;
            const freezer::CgroupStatus &top = found->front();
            const bool holds =
                args_.is == "empty"    ? !top.populated
                : args_.is == "thawed" ? top.state == State::kThawed
                : args_.is == "frozen"
                    ? top.state == State::kFrozen || top.state == State::kFrozenByParent
                    : top.state == State::kFreezing || top.state == State::kFreezingByParent;
            if (!holds)
                code_ = worse(code_, kNotInState);
        }
        std::move(found->begin(), found->end(), std::back_inserter(all));
    }
    if (args_.json) {
        for (const freezer::CgroupStatus &status : all)
            print(to_json(status) + "\n");
    } else if (!all.empty()) {
        print(describe_status(all, freezer::now_ns()));
    } else if (args_.cgroups.empty() && args_.pids.empty()) {
        print("no cgroup is frozen or freezing\n");
    }
    return code_;
}

int run(int argc, char **argv)
{
    CLI::App app{"Freeze, thaw and kill cgroups, and know that it is done.", "freezerctl"};
    app.require_subcommand(1);
    app.failure_message(CLI::FailureMessage::help);
    app.failure_message([](const CLI::App *self, const CLI::Error &error) {
        std::string name = "freezerctl";
        for (const CLI::App *verb : self->get_subcommands())
            name += " " + verb->get_name();
        return std::string(error.what()) + "\nTry '" + name + " --help'.\n";
    });

    Arguments args;
    int code = 0;

    const auto add_targets = [&](CLI::App *verb, bool required) {
        verb->add_option("CGROUP", args.cgroups,
                         "Path below the cgroup2 mount (/a/b or a/b), or absolute path");
        verb->add_option("--pid", args.pids, "The cgroup of this process")
            ->check(CLI::PositiveNumber)
            ->type_name("PID");
        if (required)
            verb->callback([&args] {
                if (args.cgroups.empty() && args.pids.empty())
                    throw CLI::RequiredError("a CGROUP or --pid");
            });
    };
    const auto add_common = [&](CLI::App *verb) {
        verb->add_flag("--json", args.json, "One JSON object for each target, on stdout");
        verb->add_flag("--no-bpf", args.no_bpf, "Do not use BPF: cgroup.events alone decides");
    };
    const auto add_waiting = [&](CLI::App *verb, const std::string &timeout) {
        verb->add_option("--timeout", args.timeout,
                         "Give up after this time: 10s, 250ms, 2m, infinity (default " + timeout +
                             ")")
            ->type_name("TIME");
        verb->add_flag("--require-bpf", args.require_bpf, "Fail when BPF is not to be had")
            ->excludes("--no-bpf");
        verb->add_option("--ring-bytes", args.ring_bytes, "Size of the tracker's ring buffer")
            ->group("");
        verb->preparse_callback([&args, timeout](size_t) { args.timeout = timeout; });
    };
    const auto add_tasks = [&](CLI::App *verb) {
        verb->add_flag("--tasks", args.tasks, "A row for each task");
    };

    CLI::App *freeze = app.add_subcommand("freeze", "Freeze cgroups and wait until every task is "
                                                    "in the refrigerator");
    freeze->alias("pause");
    CLI::App *thaw = app.add_subcommand("thaw", "Let cgroups run again");
    thaw->alias("resume")->alias("unpause")->alias("unfreeze");
    CLI::App *kill = app.add_subcommand("kill", "Kill every process of cgroups and wait until they "
                                                "are empty");
    CLI::App *status = app.add_subcommand("status", "Show states; without CGROUP: every frozen or "
                                                    "freezing cgroup");
    CLI::App *wait = app.add_subcommand("wait", "Sleep until a state holds");

    for (CLI::App *verb : {freeze, thaw, kill, wait}) {
        add_targets(verb, true);
        add_common(verb);
        add_waiting(verb, verb == wait ? "infinity" : "10s");
    }
    add_targets(status, false);
    add_common(status);
    add_tasks(freeze);
    add_tasks(status);

    freeze
        ->add_option("--on-timeout", args.on_timeout,
                     "At the deadline: thaw (take the request back), keep or kill (default thaw)")
        ->transform(CLI::CheckedTransformer(std::map<std::string, FreezeOptions::OnTimeout>{
            {"thaw", FreezeOptions::OnTimeout::kThaw},
            {"keep", FreezeOptions::OnTimeout::kKeep},
            {"kill", FreezeOptions::OnTimeout::kKill}}))
        ->type_name("ACTION");
    freeze->add_flag("--all-or-none", args.all_or_none,
                     "Thaw those that froze when one of them does not");
    kill->add_flag("--remove", args.remove, "Remove the cgroups when they are empty");
    wait->add_option("--for", args.goal, "frozen, thawed or empty")
        ->required()
        ->transform(CLI::CheckedTransformer(std::map<std::string, Goal>{
            {"frozen", Goal::kFrozen}, {"thawed", Goal::kThawed}, {"empty", Goal::kEmpty}}))
        ->type_name("STATE");
    status
        ->add_option("--is", args.is, "Exit with 3 unless it is frozen, freezing, thawed or empty")
        ->check(CLI::IsMember({"frozen", "freezing", "thawed", "empty"}))
        ->type_name("STATE");

    try {
        app.parse(argc, argv);
        if (!args.is.empty() && args.cgroups.empty() && args.pids.empty())
            throw CLI::ValidationError("--is", "needs a CGROUP");
    } catch (const CLI::ParseError &error) {
        return app.exit(error) == 0 ? 0 : kUsage;
    }

    Command command(std::move(args));
    if (*status)
        code = command.status();
    else if (*freeze)
        code = command.operate(Verb::kFreeze);
    else if (*thaw)
        code = command.operate(Verb::kThaw);
    else if (*kill)
        code = command.operate(Verb::kKill);
    else
        code = command.operate(Verb::kWait);
    return code;
}

} // namespace
} // namespace freezerctl

int main(int argc, char **argv)
{
    try {
        return freezerctl::run(argc, argv);
    } catch (const std::exception &error) {
        std::fprintf(stderr, "freezerctl: %s\n", error.what());
        return freezerctl::kFailed;
    }
}
