// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "tools/bench/contestants.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <map>
#include <numeric>
#include <span>
#include <string_view>
#include <system_error>

#include "tools/bench/process.h"
#include "user/duration.h"
#include "user/files.h"
#include "user/freezer.h"
#include "user/unique_fd.h"

namespace bench
{
namespace
{

constexpr std::uint64_t kMillisecond = 1'000'000;
constexpr std::uint64_t kPatienceNs = 30'000 * kMillisecond;

// ---- programs
// ------------------------------------------------------------------------------------

Claim claim_of(const Ran &ran)
{
    return {ran.begin_ns, ran.told_ns, ran.end_ns};
}

// One program with a command line for each verb.
class ProgramTurn : public Turn
{
  public:
    struct Commands {
        Arguments freeze;
        Arguments thaw;
        Arguments kill;
    };
    explicit ProgramTurn(Commands commands) : commands_(std::move(commands)) {}

    Claim freeze() override { return claim_of(run_told(commands_.freeze)); }
    Claim thaw() override { return claim_of(run_told(commands_.thaw)); }
    Claim kill() override { return claim_of(run_told(commands_.kill)); }
    long peak_memory_kib() override
    {
        const long freeze_kib = bench::peak_memory_kib(commands_.freeze);
        return std::max(freeze_kib, bench::peak_memory_kib(commands_.thaw));
    }

  private:
    Commands commands_;
};

ProgramTurn::Commands freezerctl_commands(const std::string &program, const Workload &workload,
                                          const Arguments &options)
{
    const auto command = [&](const Arguments &verb) {
        Arguments out{program};
        for (const Arguments &part : {verb, options, workload.paths()})
            out.insert(out.end(), part.begin(), part.end());
        return out;
    };
    return {command({"freeze"}), command({"thaw"}), command({"kill", "--remove"})};
}

// freezerctl with its tracker pinned, for as long as the turn takes.
class AttachedTurn : public ProgramTurn
{
  public:
    AttachedTurn(const std::string &program, const Workload &workload)
        : ProgramTurn(freezerctl_commands(program, workload, {})), program_(program)
    {
        run_well({program_, "attach"});
    }
    ~AttachedTurn() override
    {
        try {
            (void)run({program_, "detach"});
        } catch (const Failure &) {
            // It was there for "attach"; nothing more can be done here.
        }
    }

  private:
    std::string program_;
};

// A program that takes "1" for a freeze or "0" for a thaw, and then the directories.
ProgramTurn::Commands request_commands(const Arguments &program, const Workload &workload)
{
    const auto command = [&](const std::string &request) {
        Arguments out = program;
        out.push_back(request);
        out.insert(out.end(), workload.directories().begin(), workload.directories().end());
        return out;
    };
    return {command("1"), command("0"), {}};
}

// How it is done by hand.
constexpr const char *kShellLoop =
    "v=$1; shift; for c; do echo $v > $c/cgroup.freeze; done; for c; do "
    "until grep -q \"frozen $v\" $c/cgroup.events; do sleep 0.01; done; done";

ProgramTurn::Commands runtime_commands(const Container &container)
{
    return {container.command({"pause"}), container.command({"resume"}),
            container.command({"delete", "--force"})};
}

// ---- the library
// ---------------------------------------------------------------------------------

class LibraryTurn : public Turn
{
  public:
    explicit LibraryTurn(const Workload &workload) : freezer_(need(freezer::Freezer::open({})))
    {
        for (const std::string &path : workload.paths())
            targets_.push_back({path, need(freezer_.resolver().by_path(path))});
        need(freezer_.load_tracker(static_cast<std::uint32_t>(targets_.size())));
    }

    Claim freeze() override
    {
        return claim([&] { return freezer_.freeze(targets_, {}); });
    }
    Claim thaw() override
    {
        return claim([&] { return freezer_.thaw(targets_, {}); });
    }
    Claim kill() override
    {
        freezer::KillOptions options;
        options.remove = true;
        return claim([&] { return freezer_.kill(targets_, options); });
    }

  private:
    template <typename Call> static Claim claim(const Call &call)
    {
        Claim out;
        out.begin_ns = freezer::now_ns();
        const auto result = call();
        out.told_ns = out.end_ns = freezer::now_ns();
        if (!result)
            throw Failure(result.error().message);
        for (const freezer::TargetReport &report : *result) {
            if (report.outcome != freezer::Outcome::kReached)
                throw Failure(report.target + ": " + to_string(report.outcome));
        }
        return out;
    }

    freezer::Freezer freezer_;
    std::vector<freezer::Target> targets_;
};

// ---- the kernel's files, by hand
// -----------------------------------------------------------------

// What ends the sleep of a raw contestant that waits for changes of cgroup.events.
class Waker
{
  public:
    Waker() = default;
    Waker(const Waker &) = delete;
    Waker &operator=(const Waker &) = delete;
    virtual ~Waker() = default;
    // Sleeps, at most for the patience of a contestant, and returns the numbers of those files that
    // are worth another look. `pending`: those that are still waited for.
    virtual std::span<const size_t> sleep(std::span<const size_t> pending) = 0;
};

using Files = std::span<const freezer::UniqueFd>;
using MakeWaker = std::function<std::unique_ptr<Waker>(const Workload &, Files)>;

constexpr int kPatienceMs = kPatienceNs / kMillisecond;

void need_system(bool done, const char *what)
{
    if (!done)
        throw Failure(std::string(what) + ": " + std::generic_category().message(errno));
}

// EPOLLPRI, which poll(2) calls POLLPRI: an epoll set, so that a thousand files cost no more than
// those that changed.
class PriorityWaker : public Waker
{
  public:
    explicit PriorityWaker(Files files) : epoll_(::epoll_create1(EPOLL_CLOEXEC))
    {
        need_system(static_cast<bool>(epoll_), "epoll_create1");
        for (size_t i = 0; i < files.size(); ++i) {
            epoll_event event{};
            event.events = EPOLLPRI;
            event.data.u64 = i;
            need_system(::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, files[i].get(), &event) == 0,
                        "epoll_ctl");
        }
    }
    std::span<const size_t> sleep(std::span<const size_t> /*pending*/) override
    {
        std::array<epoll_event, 256> events{};
        const int n = ::epoll_wait(epoll_.get(), events.data(), events.size(), kPatienceMs);
        touched_.clear();
        for (int i = 0; i < n; ++i)
            touched_.push_back(events[static_cast<size_t>(i)].data.u64);
        return touched_;
    }

  private:
    freezer::UniqueFd epoll_;
    std::vector<size_t> touched_;
};

class InotifyWaker : public Waker
{
  public:
    explicit InotifyWaker(const std::vector<std::string> &directories)
        : inotify_(::inotify_init1(IN_CLOEXEC))
    {
        need_system(static_cast<bool>(inotify_), "inotify_init1");
        for (size_t i = 0; i < directories.size(); ++i) {
            const int watch = ::inotify_add_watch(
                inotify_.get(), (directories[i] + "/cgroup.events").c_str(), IN_MODIFY);
            need_system(watch >= 0, "inotify_add_watch");
            numbers_[watch] = i;
        }
    }
    std::span<const size_t> sleep(std::span<const size_t> /*pending*/) override
    {
        touched_.clear();
        pollfd readable{inotify_.get(), POLLIN, 0};
        if (::poll(&readable, 1, kPatienceMs) != 1)
            return touched_;
        alignas(inotify_event) std::array<char, 64 * (sizeof(inotify_event) + NAME_MAX + 1)> text{};
        const ssize_t n = ::read(inotify_.get(), text.data(), text.size());
        for (ssize_t at = 0; at < n;) {
            const auto *const event = reinterpret_cast<const inotify_event *>(text.data() + at);
            if (const auto found = numbers_.find(event->wd); found != numbers_.end())
                touched_.push_back(found->second);
            at += static_cast<ssize_t>(sizeof(*event) + event->len);
        }
        return touched_;
    }

  private:
    freezer::UniqueFd inotify_;
    std::map<int, size_t> numbers_; // by watch
    std::vector<size_t> touched_;
};

// Looks again after a fixed time. This is what is measured: runc and youki take 10 ms, CRIU and
// snapd 100 ms.
class Repeater : public Waker
{
  public:
    explicit Repeater(std::uint64_t pause_ns) : pause_ns_(pause_ns) {}
    std::span<const size_t> sleep(std::span<const size_t> pending) override
    {
        rest(pause_ns_);
        return pending;
    }

  private:
    std::uint64_t pause_ns_;
};

// The files of a cgroup's directory that a request is written to and an answer read from.
struct Interface {
    const char *request;
    const char *freeze;
    const char *thaw;
    const char *answer;
    const char *frozen;
    const char *thawed;
};
constexpr Interface kKernel{"cgroup.freeze", "1", "0", "cgroup.events", "frozen 1", "frozen 0"};
constexpr Interface kMounted{"freezer.state", "FROZEN", "RUNNING",
                             "freezer.state", "FROZEN", "RUNNING"};

// Writes the request into each cgroup, then reads the answer, and sleeps until it says so.
class RawTurn : public Turn
{
  public:
    RawTurn(const Workload &workload, const MakeWaker &make_waker)
        : RawTurn(workload, workload.directories(), kKernel, make_waker)
    {
    }
    RawTurn(const Workload &workload, std::vector<std::string> directories,
            const Interface &interface, const MakeWaker &make_waker)
        : interface_(interface), directories_(std::move(directories)),
          events_(open_each(interface.answer, O_RDONLY)), waker_(make_waker(workload, events_))
    {
        if (has_room_for(2 * directories_.size()))
            freeze_ = open_each(interface.request, O_WRONLY);
    }

    Claim freeze() override { return request(freeze_, interface_.freeze, interface_.frozen); }
    Claim thaw() override { return request(freeze_, interface_.thaw, interface_.thawed); }
    Claim kill() override
    {
        const auto kill_files = open_each("cgroup.kill", O_WRONLY);
        Claim claim = request(kill_files, "1", "populated 0");
        for (const std::string &directory : directories_)
            need_system(::rmdir(directory.c_str()) == 0, "rmdir");
        claim.told_ns = claim.end_ns = freezer::now_ns();
        return claim;
    }

  private:
    static freezer::UniqueFd open(const std::string &directory, const char *file, int flags)
    {
        return need(freezer::open_at(AT_FDCWD, directory + "/" + file, flags));
    }

    [[nodiscard]] std::vector<freezer::UniqueFd> open_each(const char *file, int flags) const
    {
        std::vector<freezer::UniqueFd> out;
        for (const std::string &directory : directories_)
            out.push_back(open(directory, file, flags));
        return out;
    }

    // `files`: empty where there is no room for them all; then each is opened for its write.
    Claim request(Files files, std::string_view value, const char *goal)
    {
        const auto write = [&](const freezer::UniqueFd &file) {
            need_system(::pwrite(file.get(), value.data(), value.size(), 0) ==
                            static_cast<ssize_t>(value.size()),
                        "write to a control file");
        };
        Claim claim;
        claim.begin_ns = freezer::now_ns();
        for (const freezer::UniqueFd &file : files)
            write(file);
        if (files.empty()) {
            for (const std::string &directory : directories_)
                write(open(directory, interface_.request, O_WRONLY));
        }
        wait_for(goal, claim.begin_ns + kPatienceNs);
        claim.told_ns = claim.end_ns = freezer::now_ns();
        return claim;
    }

    void wait_for(const char *goal, std::uint64_t deadline_ns)
    {
        std::vector<size_t> pending(events_.size());
        std::iota(pending.begin(), pending.end(), 0);
        std::vector<size_t> look = pending;
        for (;;) {
            for (const size_t number : look) {
                const auto at = std::lower_bound(pending.begin(), pending.end(), number);
                if (at != pending.end() && *at == number && says(events_[number].get(), goal))
                    pending.erase(at);
            }
            if (pending.empty())
                return;
            check_interrupt();
            if (freezer::now_ns() > deadline_ns)
                throw Failure("no '" + std::string(goal) + "' in " +
                              freezer::format_duration(kPatienceNs));
            const auto touched = waker_->sleep(pending);
            look.assign(touched.begin(), touched.end());
        }
    }

    Interface interface_;
    std::vector<std::string> directories_;
    std::vector<freezer::UniqueFd> events_;
    std::vector<freezer::UniqueFd> freeze_;
    std::unique_ptr<Waker> waker_;
};

// The files of "freezerctl mount", which is there for as long as the turn takes: from the write of
// FROZEN to the poll(2) that tells of it.
class MountedTurn : public Turn
{
  public:
    MountedTurn(std::string program, const Workload &workload) : program_(std::move(program))
    {
        need_system(::mkdtemp(point_.data()) != nullptr, "mkdtemp");
        run_well({program_, "mount", point_});
        std::vector<std::string> directories;
        for (const std::string &path : workload.paths())
            directories.push_back(point_ + path);
        raw_.emplace(workload, std::move(directories), kMounted, [](const Workload &, Files files) {
            return std::make_unique<PriorityWaker>(files);
        });
    }
    ~MountedTurn() override
    {
        raw_.reset();
        try {
            (void)run({program_, "umount", point_});
        } catch (const Failure &) {
            // It was there for "mount"; nothing more can be done here.
        }
        (void)::rmdir(point_.c_str());
    }

    Claim freeze() override { return raw_->freeze(); }
    Claim thaw() override { return raw_->thaw(); }
    Claim kill() override { throw Failure("signal.kill says nothing of the end"); }

  private:
    std::string program_;
    std::string point_ = "/tmp/freezerctl-bench-XXXXXX";
    std::optional<RawTurn> raw_;
};

Contestant raw(const std::string &name, MakeWaker make_waker)
{
    Contestant out;
    out.name = name;
    out.begin = [make_waker = std::move(make_waker)](const Workload &workload) {
        return std::make_unique<RawTurn>(workload, make_waker);
    };
    return out;
}

Contestant repeating(const std::string &name, std::uint64_t pause_ns)
{
    return raw(
        name, [pause_ns](const Workload &, Files) { return std::make_unique<Repeater>(pause_ns); });
}

Contestant process(const std::string &name,
                   std::function<ProgramTurn::Commands(const Workload &)> commands)
{
    Contestant out{name, true, "", false, {}};
    out.begin = [commands = std::move(commands)](const Workload &workload) {
        return std::make_unique<ProgramTurn>(commands(workload));
    };
    return out;
}

Contestant requesting(const std::string &name, Arguments arguments)
{
    return process(name, [arguments = std::move(arguments)](const Workload &workload) {
        return request_commands(arguments, workload);
    });
}

// ---- who is there
// --------------------------------------------------------------------------------

std::string first_line(const std::string &text)
{
    return text.substr(0, text.find('\n'));
}

void add_freezerctl(Lineup &lineup, const std::string &program)
{
    lineup.versions.emplace_back("freezerctl", first_line(run_well({program, "--version"}).output));
    // Builds without "attach" have nothing that a one-shot command could be attached to.
    const bool attaches =
        run_well({program, "--help"}).output.find("\n  attach") != std::string::npos;
    Arguments alone;
    if (attaches)
        alone.emplace_back("--unattached");

    Contestant one_shot = process("freezerctl", [program, alone](const Workload &workload) {
        return freezerctl_commands(program, workload, alone);
    });
    one_shot.kills = true;
    lineup.contestants.push_back(std::move(one_shot));
    if (!attaches) {
        lineup.missing.push_back({"attached", "this freezerctl has no 'attach'"});
        return;
    }
    Contestant attached{"attached", true, "", true, {}};
    attached.begin = [program](const Workload &workload) {
        return std::make_unique<AttachedTurn>(program, workload);
    };
    lineup.contestants.push_back(std::move(attached));
    Contestant mounted{"mount", false, "", false, {}};
    mounted.begin = [program](const Workload &workload) {
        return std::make_unique<MountedTurn>(program, workload);
    };
    lineup.contestants.push_back(std::move(mounted));
}

// nullopt, and noted, if it is not installed.
std::optional<RuntimeProgram> add_runtime(Lineup &lineup, const std::string &name)
{
    const auto program = find_program(name);
    const auto busybox = find_program("busybox");
    if (!program || !busybox) {
        lineup.missing.push_back({name, (program ? "busybox" : name) + " is not installed"});
        return std::nullopt;
    }
    lineup.versions.emplace_back(name, first_line(run({*program, "--version"}).output));
    Contestant contestant = process(
        name, [](const Workload &workload) { return runtime_commands(*workload.container()); });
    contestant.runtime = name;
    contestant.kills = true;
    lineup.contestants.push_back(std::move(contestant));
    return RuntimeProgram{name, *program, *busybox};
}

} // namespace

Lineup find_contestants(const std::string &freezerctl, const std::string &poller)
{
    Lineup lineup;
    add_freezerctl(lineup, freezerctl);
    Contestant library{"libfreezer", false, "", true, {}};
    library.begin = [](const Workload &workload) {
        return std::make_unique<LibraryTurn>(workload);
    };
    lineup.contestants.push_back(std::move(library));

    lineup.contestants.push_back(raw(kRawPath, [](const Workload &, Files files) {
        return std::make_unique<PriorityWaker>(files);
    }));
    lineup.contestants.back().kills = true;
    lineup.contestants.push_back(raw("raw+inotify", [](const Workload &workload, Files) {
        return std::make_unique<InotifyWaker>(workload.directories());
    }));
    lineup.contestants.push_back(repeating("poll 10ms", 10 * kMillisecond));
    lineup.contestants.push_back(repeating("poll 100ms", 100 * kMillisecond));
    for (const std::string pause_ms : {"10", "100"})
        lineup.contestants.push_back(requesting("poller " + pause_ms + "ms", {poller, pause_ms}));
    lineup.contestants.push_back(requesting("shell", {"/bin/sh", "-ec", kShellLoop, "sh"}));

    lineup.crun = add_runtime(lineup, "crun");
    lineup.runc = add_runtime(lineup, "runc");
    // Its freezer cannot be run apart from a dump of the processes, in which it is a small part;
    // how it waits is "poll 100ms".
    lineup.missing.push_back(
        {"criu", "it freezes only as a part of a dump; 'poll 100ms' is how it waits"});
    return lineup;
}

} // namespace bench
