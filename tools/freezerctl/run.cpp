// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// run: a command in a cgroup of its own, of which nothing is left afterwards.
#include "tools/freezerctl/run.h"

#include <sys/epoll.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <optional>

#include "tools/freezerctl/cli.h"
#include "tools/freezerctl/command.h"
#include "tools/freezerctl/guardian.h"
#include "tools/freezerctl/interrupt.h"
#include "tools/freezerctl/json.h"
#include "tools/freezerctl/privileges.h"
#include "tools/freezerctl/text.h"
#include "tools/freezerctl/why_text.h"
#include "user/duration.h"
#include "user/wait_set.h"

namespace freezerctl
{
namespace
{

using freezer::Error;
using freezer::ErrorKind;
using freezer::Freezer;
using freezer::Outcome;
using freezer::Target;
using freezer::WaitSet;

struct RunArguments {
    std::string name;
    std::string parent;
    bool frozen = false;
    std::string timeout = "infinity";
    std::string grace = "100ms";
    bool fail_on_leftover = false;
    CommonArguments common;
    std::string report_file;
    std::vector<std::string> command;
};

// Enough for every real job; their number is told all the same.
constexpr size_t kMostListed = 1000;
// To die of SIGKILL takes no longer, unless the kernel holds something up.
constexpr std::uint64_t kKillTimeoutNs = 10'000'000'000;

constexpr std::uint64_t kCommandToken = 0;
constexpr std::uint64_t kInterruptToken = 1;

freezer::KillOptions clearing(std::optional<std::uint64_t> timeout_ns)
{
    freezer::KillOptions options;
    options.remove = true;
    options.timeout_ns = timeout_ns;
    return options;
}

// The cgroup that the new one is made in.
freezer::Result<std::unique_ptr<freezer::Cgroup>> find_parent(const freezer::Resolver &resolver,
                                                              const std::string &parent)
{
    return parent.empty() ? resolver.by_pid(::getpid(), freezer::HierarchyChoice::kV2)
                          : resolver.by_path(parent, freezer::HierarchyChoice::kV2);
}

// What to do about it where that can be said.
Error with_advice(Error error)
{
    if (error.sys_errno == EEXIST)
        error.message += ": choose another --name, or remove it with 'freezerctl kill --remove'";
    else if (error.kind == ErrorKind::kPermission || error.sys_errno == EROFS)
        error.message += ": this cgroup is not yours to divide. As a user run it in one that is "
                         "('systemd-run --user --scope freezerctl run ...'), or name one that you "
                         "own and are in with --parent";
    return error;
}

// The guardian's side: without us, the command goes with all that it has started.
void clear_when_orphaned(std::span<Target> box, Letters &letters)
{
    if (letters.read())
        return; // done
    freezer::Config config;
    config.use_bpf = false;
    if (auto freezer = Freezer::open(config))
        (void)freezer->kill(box, clearing(std::nullopt));
}

// Until the command has ended or the time is over, which is the difference between kReached and
// kDeadline; kFailed: it cannot be waited for.
Outcome wait_for(Session &session, const Command &command, const InterruptFd &interrupt,
                 std::optional<std::uint64_t> until_ns)
{
    auto set = WaitSet::open();
    const auto ready = [&]() -> freezer::Status {
        if (!set)
            return set.error();
        if (auto added = set->add(command.end_fd(), EPOLLIN, kCommandToken); !added)
            return added;
        if (auto added = set->add(interrupt.get(), EPOLLIN, kInterruptToken); !added)
            return added;
        if (until_ns)
            set->set_deadline(*until_ns);
        return {};
    };
    if (const auto is_ready = ready(); !is_ready) {
        session.refuse("freezerctl", is_ready.error());
        return Outcome::kFailed;
    }
    for (;;) {
        const auto wakes = set->wait();
        if (!wakes) {
            session.refuse("freezerctl", wakes.error());
            return Outcome::kFailed;
        }
        bool over = false;
        for (const WaitSet::Wake &wake : *wakes) {
            if (wake.source == WaitSet::Source::kDeadline)
                over = true;
            else if (wake.token == kCommandToken)
                return Outcome::kReached;
            else
                command.pass_on(interrupt.read());
        }
        if (over)
            return Outcome::kDeadline;
    }
}

// The cgroup with the command in it, from its making to its end.
class Box
{
  public:
    Box(Session &session, const RunArguments &args) : session_(session), args_(args) {}

    // False, and said, when there is none.
    bool make(const InterruptFd &interrupt)
    {
        auto parent = find_parent(session_.freezer().resolver(), args_.parent);
        if (!parent) {
            session_.refuse(args_.parent.empty() ? "freezerctl" : args_.parent, parent.error());
            return false;
        }
        const std::string name =
            args_.name.empty() ? "freezerctl-run-" + std::to_string(::getpid()) : args_.name;
        auto made = (*parent)->make_child(name);
        if (!made) {
            session_.refuse(name, with_advice(made.error()));
            return false;
        }
        box_.push_back(Target{name, std::move(*made)});
        auto guardian =
            Guardian::start([&](Letters &letters) { clear_when_orphaned(box_, letters); });
        if (!guardian) {
            session_.refuse("freezerctl", guardian.error());
            (void)box_.front().cgroup->remove();
            return false;
        }
        guardian_.emplace(std::move(*guardian));

        CommandOptions options;
        options.cgroup = box_.front().cgroup->directory();
        options.mask = interrupt.mask_before();
        auto command = Command::prepare(args_.command, options);
        if (!command) {
            session_.refuse(args_.command.front(), with_advice(command.error()));
            return false;
        }
        command_.emplace(std::move(*command));
        return true;
    }

    // Starts it, frozen or not. False, and said, when it cannot be frozen.
    bool start()
    {
        if (args_.frozen) {
            auto reports = session_.freezer().freeze(box_, {});
            if (!reports || reports->front().outcome != Outcome::kReached) {
                if (!reports)
                    session_.refuse(box_.front().name, reports.error());
                else
                    complain(describe_trouble(reports->front(), terminal_width(STDERR_FILENO)));
                return false;
            }
            complain("freezerctl: " + printable(args_.command.front()) + " waits frozen in " +
                     printable(path()) + ": start it with 'freezerctl thaw " + printable(path()) +
                     "'\n");
        }
        (void)command_->give_word();
        if (!args_.frozen)
            say_unless_started();
        return true;
    }

    // Runs to the command's end. Without it there is nothing but the guardian's work to do.
    RunReport run(const InterruptFd &interrupt, std::optional<std::uint64_t> timeout_ns,
                  std::optional<std::uint64_t> grace_ns)
    {
        RunReport report;
        report.command = args_.command;
        report.path = path();
        report.id = box_.front().cgroup->id();
        const std::uint64_t start_ns = freezer::now_ns();
        report.outcome =
            wait_for(session_, *command_, interrupt,
                     timeout_ns ? std::optional(start_ns + *timeout_ns) : std::nullopt);
        report.elapsed_ns = freezer::now_ns() - start_ns;
        if (report.outcome == Outcome::kReached) {
            report.status = command_->finish();
            if (args_.frozen)
                say_unless_started();
            wait_for_the_last(interrupt, grace_ns);
        }
        report.left = freezer::members_of(*box_.front().cgroup, kMostListed);
        auto killed = session_.freezer().kill(box_, clearing(kKillTimeoutNs));
        if (!killed) {
            session_.refuse(report.path, killed.error());
        } else {
            report.removed = killed->front().removed;
            complain(describe_trouble(killed->front(), terminal_width(STDERR_FILENO)));
            session_.count(exit_code_of(killed->front()));
        }
        if (report.removed)
            (void)guardian_->tell("done");
        else
            guardian_->leave(); // it waits for as long as it takes
        if (report.outcome != Outcome::kReached && report.removed)
            report.status = command_->finish();
        return report;
    }

    [[nodiscard]] const std::string &path() const { return box_.front().cgroup->path(); }

  private:
    void say_unless_started()
    {
        if (const auto started = command_->started(); !started)
            complain(printable(args_.command.front()) + ": " + printable(started.error().message) +
                     "\n");
    }

    // What is about to end anyway, as the far end of a pipe is, is not left behind.
    void wait_for_the_last(const InterruptFd &interrupt, std::optional<std::uint64_t> grace_ns)
    {
        freezer::Cgroup &cgroup = *box_.front().cgroup;
        const auto fd = cgroup.notify_fd();
        auto set = WaitSet::open();
        if (!set || !fd || !set->add_notifications(*fd, 0) ||
            !set->add(interrupt.get(), EPOLLIN, kInterruptToken))
            return;
        if (grace_ns)
            set->set_deadline(freezer::now_ns() + *grace_ns);
        for (;;) {
            const auto reading = cgroup.read();
            if (!reading || !reading->populated)
                return;
            const auto wakes = set->wait();
            if (!wakes)
                return;
            for (const WaitSet::Wake &wake : *wakes) {
                if (wake.source == WaitSet::Source::kDeadline || wake.token == kInterruptToken)
                    return;
            }
        }
    }

    Session &session_;
    const RunArguments &args_;
    std::vector<Target> box_; // of one
    std::optional<Guardian> guardian_;
    std::optional<Command> command_;
};

int run_in_cgroup(const RunArguments &args)
{
    const InterruptFd interrupt(kPassedOn);
    Session session("run", args.common.json);
    session.print_to_stderr(); // stdout is the command's
    const auto timeout = freezer::parse_timeout(args.timeout);
    const auto grace = freezer::parse_timeout(args.grace);
    if (!timeout || !grace) {
        session.refuse(timeout ? "--grace" : "--timeout",
                       timeout ? grace.error() : timeout.error());
        return session.code();
    }
    if (!args.report_file.empty() && !session.open_output(args.report_file))
        return kNotRun;
    freezer::Config config;
    config.use_bpf = !args.common.no_bpf;
    config.late_tracking = true; // only what takes long needs an explanation
    if (!session.open(config))
        return kNotRun;
    Box box(session, args);
    if (!box.make(interrupt))
        return kNotRun;
    keep_capabilities_for(Work::kOperate);
    if (!box.start())
        return kNotRun;
    const RunReport report = box.run(interrupt, *timeout, *grace);
    session.print(args.common.json ? to_json(report) + "\n" : describe(report));
    if (report.outcome == Outcome::kDeadline)
        return kDeadline;
    if (report.status != 0)
        return report.status;
    if (report.outcome != Outcome::kReached || !report.removed || session.code() == kFailed)
        return kFailed;
    return report.left.count != 0 && args.fail_on_leftover ? kNotInState : kReached;
}

void describe_run(Syntax &syntax, RunArguments &args)
{
    syntax.option("--name", args.name, "Of the cgroup (default freezerctl-run-PID)")
        .value("NAME")
        .check([](const std::string &name) {
            return name.find('/') == std::string::npos && name.find('\n') == std::string::npos &&
                           name != "." && name != ".."
                       ? std::string()
                       : "'" + name + "' cannot be the name of a cgroup";
        });
    syntax.option("--parent", args.parent, "Make it in this cgroup (default: in our own)")
        .value("CGROUP");
    syntax.flag("--frozen", args.frozen, "Do not start it before somebody thaws the cgroup");
    syntax.option("--timeout", args.timeout, "End it after this time (default infinity)")
        .value("TIME");
    syntax
        .option("--grace", args.grace,
                "How long what is left may take to end by itself (default 100ms)")
        .value("TIME");
    syntax.flag("--fail-on-leftover", args.fail_on_leftover,
                "Exit with 3 when it ended with 0 and left processes behind");
    syntax.option("--report", args.report_file, "Write the report here, not to stderr")
        .value("FILE");
    add_common_options(syntax, args.common);
    syntax.takes_command(args.command);
    syntax.refuse_words("not expected before --; the command stands behind it: "
                        "freezerctl run [OPTION...] -- COMMAND");
    syntax.check([&args] {
        if (args.command.empty())
            Syntax::missing("-- COMMAND");
    });
    syntax.footer("-- COMMAND [ARGUMENT...]: what to run; its exit code is ours");
}

} // namespace

void add_run_verb(Cli &cli)
{
    cli.add_verb<RunArguments>(
        {"run"}, "Run a command in a cgroup of its own, and leave nothing of it behind",
        describe_run, run_in_cgroup);
}

} // namespace freezerctl
