// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "tools/freezerctl/trace_run.h"

#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <ctime>
#include <optional>
#include <set>

#include "tools/freezerctl/command.h"
#include "tools/freezerctl/interrupt.h"
#include "tools/freezerctl/text.h"
#include "tools/freezerctl/trace_text.h"
#include "user/duration.h"
#include "user/trace_session.h"

namespace freezerctl
{
namespace
{

using freezer::TraceEvent;
using freezer::TraceSession;

// Handed over at once; then other things than events get their turn.
constexpr std::uint64_t kBatch = 16384;

std::uint64_t wall_clock_ns()
{
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 +
           static_cast<std::uint64_t>(now.tv_nsec);
}

std::string kernel_release()
{
    utsname name{};
    return ::uname(&name) == 0 ? name.release : "";
}

// One live trace from begin() to end().
class Follower
{
  public:
    Follower(TraceSession &session, TraceSink &sink, std::uint32_t shown)
        : session_(session), sink_(sink), shown_(shown)
    {
    }

    bool begin(const std::vector<freezer::Target> &targets)
    {
        TraceStart start;
        start.time_ns = freezer::now_ns();
        start.wall_ns = wall_clock_ns();
        start.kernel = kernel_release();
        for (const freezer::Target &target : targets) {
            start.cgroups.push_back(target.cgroup->path());
            left_.insert(target.cgroup->id());
        }
        named_ = !left_.empty();
        start_ns_ = start.time_ns;
        return taken_ = sink_.begin(start, session_.members()) && sink_.flush();
    }

    // Takes what is there and is not younger than that.
    void take(std::uint64_t until_ns)
    {
        std::uint64_t batch = 0;
        session_.drain([&](const TraceEvent &event) {
            if (event.kind == FZ_TR_REMOVED)
                left_.erase(event.cgroup.id);
            if (event.time_ns > until_ns)
                return false;
            if (taken_ && (shown_ & 1U << event.kind)) {
                ++events_;
                taken_ = sink_.event(event);
            }
            return ++batch < kBatch;
        });
        more_ = batch == kBatch;
        if (taken_)
            taken_ = sink_.flush();
    }

    // The last of it: all that happened until now.
    void end()
    {
        const std::uint64_t now = freezer::now_ns();
        do {
            take(now);
        } while (more_);
        if (!taken_)
            return;
        taken_ = sink_.end({now, events_, session_.drops()}, session_.costs()) && sink_.flush();
    }

    [[nodiscard]] bool taken() const { return taken_; }
    void stop_taking() { taken_ = false; }
    [[nodiscard]] bool all_removed() const { return named_ && left_.empty(); }
    [[nodiscard]] std::uint64_t events() const { return events_; }
    [[nodiscard]] std::uint64_t elapsed_ns() const { return freezer::now_ns() - start_ns_; }

  private:
    TraceSession &session_;
    TraceSink &sink_;
    std::uint32_t shown_;
    std::set<std::uint64_t> left_; // named cgroups that are still there
    bool named_ = false;
    bool taken_ = true; // the sink takes
    bool more_ = false;
    std::uint64_t events_ = 0;
    std::uint64_t start_ns_ = 0;
};

// Until one of the ends that run_trace() names has come. False, and said, when waiting failed.
bool follow(Session &cli, TraceSession &session, Follower &follower, TraceSink &sink,
            std::optional<std::uint64_t> deadline_ns, const InterruptFd &interrupt,
            const std::optional<Command> &command)
{
    std::vector<int> readable{interrupt.get()};
    if (command)
        readable.push_back(command->end_fd());
    for (;;) {
        const int output = follower.taken() ? sink.pipe_fd() : -1;
        const auto wake = session.wait(deadline_ns, readable, output);
        if (!wake) {
            cli.refuse("freezerctl", wake.error());
            return false;
        }
        follower.take(deadline_ns.value_or(UINT64_MAX));
        if (wake->hangup)
            follower.stop_taking();
        if (wake->descriptor == 1U || wake->deadline)
            return true;
        if (wake->descriptor == 0U) {
            const auto info = interrupt.read();
            if (!command)
                return true;
            command->pass_on(info);
        }
        // A command goes on even when nobody wants to see its trace any more.
        if (!command && (!follower.taken() || follower.all_removed()))
            return true;
    }
}

freezer::TraceOptions options_of(const TraceArguments &args, std::uint32_t &shown)
{
    freezer::TraceOptions options;
    options.ring_bytes = args.buffer;
    options.measure = args.stats;
    if (!args.events.empty())
        options.events = *freezer::parse_event_list(args.events); // checked at the parse
    else
        options.only_freezing_life = args.targets.empty();
    shown = options.events;
    if (!args.targets.empty())
        options.events |= 1U << FZ_TR_REMOVED;
    return options;
}

// Said when everything is in place: whoever waits for it may begin.
std::string describe_start(const std::vector<freezer::Target> &targets)
{
    std::string out = "freezerctl: tracing ";
    if (targets.empty())
        out += "every cgroup";
    else if (targets.size() == 1)
        out += printable(targets.front().cgroup->path());
    else
        out += std::to_string(targets.size()) + " cgroups";
    return out + "\n";
}

} // namespace

void add_trace_options(Syntax &syntax, TraceArguments &args)
{
    add_target_options(syntax, args.targets, false);
    args.targets.hierarchy = freezer::HierarchyChoice::kV2; // v1 has no such tracepoints
    syntax
        .option("--events", args.events,
                "Only these, by comma: requests, tasks, cgroups, signals, life, or single ones "
                "(default: all; without TARGET signals and life only of freezing tasks)")
        .value("LIST")
        .check([](const std::string &list) {
            const auto mask = freezer::parse_event_list(list);
            return mask ? std::string() : mask.error().message;
        });
    add_duration_option(syntax, args.duration);
    syntax.option("--buffer", args.buffer, "Size of the ring buffer in bytes")
        .within(4096U, 1U << 30)
        .value("BYTES");
    syntax.flag("--stats", args.stats, "Print what the BPF programs cost, on stderr at the end");
}

int run_trace(const std::string &verb, const TraceArguments &args, TraceSink &sink)
{
    Session cli(verb, false);
    std::optional<Command> command;
    if (!args.command.empty()) {
        auto prepared = Command::prepare(args.command);
        if (!prepared) {
            cli.refuse(args.command.front(), prepared.error());
            return cli.code();
        }
        command.emplace(std::move(*prepared));
    }
    const InterruptFd interrupt;
    // A reader that goes away is an error of a write, so that a command is not left alone.
    std::signal(SIGPIPE, SIG_IGN);
    if (!cli.open({}) || !cli.find_targets(args.targets, false))
        return cli.code();

    std::vector<const freezer::Cgroup *> tops;
    for (const freezer::Target &target : cli.targets())
        tops.push_back(target.cgroup.get());
    std::uint32_t shown = 0;
    const freezer::TraceOptions options = options_of(args, shown);
    auto session = TraceSession::open(cli.freezer().resolver().mount(), tops, options);
    if (!session) {
        cli.refuse("freezerctl", session.error());
        return cli.code();
    }

    std::optional<std::uint64_t> deadline_ns;
    if (!args.duration.empty()) {
        if (const auto time = *freezer::parse_timeout(args.duration))
            deadline_ns = freezer::now_ns() + *time;
    }
    complain(describe_start(cli.targets()));
    Follower follower(*session, sink, shown);
    // Nobody would see what a command does of which nothing can be written: it is not run.
    if (!follower.begin(cli.targets()))
        command.reset();
    if (follower.taken() && command) {
        if (const auto started = command->start(); !started)
            complain(printable(args.command.front()) + ": " + printable(started.error().message) +
                     "\n");
    }
    if (follower.taken() && !follow(cli, *session, follower, sink, deadline_ns, interrupt, command))
        return cli.code();
    follower.end();
    if (follower.all_removed())
        complain("freezerctl: every traced cgroup was removed\n");
    if (const std::string lost = describe_drops(session->drops()); !lost.empty())
        complain("freezerctl: " + lost + "; a larger --buffer keeps them\n");
    if (args.stats)
        complain(describe_costs(session->costs(), follower.events(),
                                freezer::total(session->drops()), follower.elapsed_ns()));
    const int failure = follower.taken() ? kReached : sink.complain_of_failure();
    if (!command || cli.code() != kReached)
        return cli.code() != kReached ? cli.code() : failure;
    // Its own code says more, and a reader may go early without any harm.
    const int status = command->finish();
    return status == kReached && failure == kFailed ? kFailed : status;
}

bool is_pipe(int fd)
{
    struct stat st {
    };
    return ::fstat(fd, &st) == 0 && (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode));
}

} // namespace freezerctl
