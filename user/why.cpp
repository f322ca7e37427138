// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "user/why.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <deque>
#include <future>
#include <map>
#include <set>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "bpf/abi.h"
#include "user/cpu_stacks.h"
#include "user/duration.h"
#include "user/files.h"
#include "user/proc_tasks.h"
#include "user/resolve.h"
#include "user/stack_snapshot.h"
#include "user/symbols.h"
#include "user/wait_set.h"

namespace freezer
{
namespace
{

constexpr std::uint32_t kFewestLooks = 5;
constexpr std::uint32_t kMostLooks = 10;
constexpr int kBetweenLooksMs = 1;
constexpr std::uint64_t kLooksBudgetNs = 25'000'000; // enough looks after that time
// Where each look at one task takes several files: no more of them after the first look.
constexpr size_t kProcCandidates = 64;
// Tasks on a CPU that are interrupted to see where they are.
constexpr size_t kMostRunning = 16;
// Tasks whose holders and file systems are looked up; a sentence about thousands helps nobody.
constexpr size_t kMostDetailed = 64;

// Stacks and names, each once. The views that records have stay valid as long as this.
class StackStore
{
  public:
    // `names` may go.
    Stack keep(const std::vector<std::string_view> &names)
    {
        std::string key;
        for (const std::string_view name : names)
            key.append(name).push_back('\n');
        const auto it = by_text_.find(key);
        if (it != by_text_.end())
            return it->second;
        std::vector<std::string_view> &copy = stacks_.emplace_back();
        for (const std::string_view name : names)
            copy.push_back(name_.emplace(name).first->c_str());
        return by_text_.emplace(std::move(key), Stack(copy)).first->second;
    }
    Stack keep(std::span<const std::uint64_t> addresses, const KernelSymbols &symbols)
    {
        const std::string_view key(reinterpret_cast<const char *>(addresses.data()),
                                   addresses.size_bytes());
        const auto it = by_addresses_.find(std::string(key));
        if (it != by_addresses_.end())
            return it->second;
        std::vector<std::string_view> names;
        for (const std::uint64_t address : addresses) {
            const std::string_view name = symbols.name_of(address);
            names.push_back(name.empty() ? std::string_view("?") : name);
        }
        return by_addresses_.emplace(std::string(key), keep(names)).first->second;
    }

  private:
    std::set<std::string, std::less<>> name_;
    std::deque<std::vector<std::string_view>> stacks_;
    std::unordered_map<std::string, Stack> by_text_;
    std::unordered_map<std::string, Stack> by_addresses_;
};

// Most tasks of a large cgroup are in one of few places.
class CachedClassifier
{
  public:
    const Verdict &operator()(const TaskRecord &task)
    {
        const Key key{task.stack.data(),
                      task.stack.size(),
                      task.state,
                      task.exit_state,
                      task.flags,
                      task.jobctl,
                      (task.frozen ? 1U : 0U) | (task.asked ? 2U : 0U) | (task.on_cpu ? 4U : 0U) |
                          (task.on_rq ? 8U : 0U) | (task.iowait ? 16U : 0U) |
                          (task.from_proc ? 32U : 0U)};
        const auto it = verdicts_.find(key);
        if (it != verdicts_.end())
            return it->second;
        return verdicts_.emplace(key, classify(task)).first->second;
    }

  private:
    using Key = std::tuple<const std::string_view *, size_t, std::uint32_t, std::uint32_t,
                           std::uint32_t, std::uint64_t, unsigned>;
    std::map<Key, Verdict> verdicts_;
};

// What all looks at one task have shown.
struct Tally {
    struct Vote {
        Verdict verdict;
        Stack stack;
        std::uint32_t count = 0;
    };
    TaskRecord first;
    TaskRecord last;
    std::uint32_t looks = 0;
    std::uint32_t last_look = 0; // its number
    std::vector<Vote> votes;

    void add(const TaskRecord &task, const Verdict &verdict, std::uint32_t look)
    {
        if (looks++ == 0)
            first = task;
        last = task;
        last_look = look;
        for (Vote &vote : votes) {
            if (vote.verdict.cause == verdict.cause) {
                ++vote.count;
                if (vote.stack.empty())
                    vote.stack = task.stack;
                vote.verdict.confidence = std::max(vote.verdict.confidence, verdict.confidence);
                return;
            }
        }
        votes.push_back({verdict, task.stack, 1});
    }

    // A cause that makes the kernel retry is the cause even if most looks see the retrying.
    static bool is_seldom_seen(Cause cause)
    {
        return cause == Cause::kUserfaultfd || cause == Cause::kFuse || cause == Cause::kNfs ||
               cause == Cause::kCoredump;
    }
    [[nodiscard]] const Vote &winner() const
    {
        return *std::max_element(votes.begin(), votes.end(), [](const Vote &a, const Vote &b) {
            const bool rare_a = is_seldom_seen(a.verdict.cause);
            const bool rare_b = is_seldom_seen(b.verdict.cause);
            return rare_a != rare_b ? rare_b : a.count < b.count;
        });
    }
};

bool holds_up_by_itself(Cause cause)
{
    switch (cause) {
    case Cause::kUnknown:
    case Cause::kUserfaultfd:
    case Cause::kFuse:
    case Cause::kNfs:
    case Cause::kNetworkFs:
    case Cause::kCoredump:
    case Cause::kLock:
    case Cause::kPageFault:
    case Cause::kIo:
    case Cause::kKernelThread:
    case Cause::kHeldByV1:
        return true;
    case Cause::kOnCpu:
    case Cause::kWaitingForCpu:
    case Cause::kArriving:
    case Cause::kExiting:
    case Cause::kWorker:
    case Cause::kStopped:
    case Cause::kTraced:
    case Cause::kVfork:
    case Cause::kFrozen:
    case Cause::kSleeping:
    case Cause::kZombie:
        return false;
    }
    return false;
}

std::uint32_t state_of_letter(char letter)
{
    switch (letter) {
    case 'S':
        return FZ_TASK_INTERRUPTIBLE;
    case 'D':
        return FZ_TASK_UNINTERRUPTIBLE;
    case 'I':
        return 0x402;
    case 'T':
        return FZ_TASK_STOPPED;
    case 't':
        return FZ_TASK_TRACED;
    default:
        return 0;
    }
}

bool has_pending_kill(std::uint32_t tid)
{
    const std::string status = proc_file(tid, "status");
    for (std::string_view line : split_lines(status)) {
        if (!line.starts_with("SigPnd:\t") && !line.starts_with("ShdPnd:\t"))
            continue;
        line.remove_prefix(8);
        std::uint64_t signals = 0;
        std::from_chars(line.data(), line.data() + line.size(), signals, 16);
        if (signals & (1U << (9 - 1))) // SIGKILL
            return true;
    }
    return false;
}

} // namespace

struct Explainer::Impl {
    bool use_bpf = true;
    std::future<Result<KernelSymbols>> symbols_to_come;
    std::optional<KernelSymbols> symbols;
    std::optional<Error> symbols_error;

    // Of one explanation.
    std::optional<StackSnapshot> snapshot;
    bool sees_silent = false; // of `snapshot`
    StackStore store;
    CachedClassifier classifier;
    std::unordered_map<std::uint32_t, Tally> tallies; // by tid
    std::set<std::string> missing;
    std::optional<std::uint64_t> freeze_start_ns; // the latest request to a cgroup looked at
    std::uint32_t looks = 0;

    void begin()
    {
        tallies.clear();
        classifier = {};
        store = {};
        missing.clear();
        freeze_start_ns.reset();
        looks = 0;
    }

    // Kept for the next explanation: loading it is most of the work where little is to be seen.
    // `silent` as for StackSnapshot::open().
    Status open_snapshot(bool silent = false)
    {
        if (!use_bpf)
            return Error{ErrorKind::kUnsupported, 0, "BPF was switched off"};
        if (snapshot && (sees_silent || !silent))
            return {};
        auto opened = StackSnapshot::open(silent);
        if (!opened)
            return std::move(opened).error();
        snapshot = std::move(*opened);
        sees_silent = silent;
        return {};
    }

    // The kernel needs some 60 ms to write them: as long as all else together.
    void begin_to_read_symbols()
    {
        if (!symbols && !symbols_error && !symbols_to_come.valid())
            symbols_to_come = std::async(std::launch::async, [] { return KernelSymbols::load(); });
    }

    const KernelSymbols *get_symbols()
    {
        if (!symbols && !symbols_error) {
            auto loaded = symbols_to_come.valid() ? symbols_to_come.get() : KernelSymbols::load();
            if (loaded)
                symbols = std::move(*loaded);
            else
                symbols_error = std::move(loaded).error();
        }
        return symbols ? &*symbols : nullptr;
    }

    // From /proc/TID/stack, else its first frame from wchan.
    Stack stack_from_proc(std::uint32_t tid)
    {
        auto text = read_file_at(AT_FDCWD, "/proc/" + std::to_string(tid) + "/stack");
        std::vector<std::string_view> names;
        if (!text) {
            const Error &error = text.error();
            if (error.kind == ErrorKind::kPermission)
                missing.insert("kernel stacks: no permission to read them (it takes root)");
            else if (error.sys_errno == ENOENT && !proc_file(tid, "stat").empty())
                missing.insert("kernel stacks: this kernel has none in /proc (CONFIG_STACKTRACE)");
            const std::string wchan = proc_file(tid, "wchan");
            if (!wchan.empty() && wchan != "0")
                names.push_back(std::string_view(wchan).substr(0, wchan.find('.')));
            return store.keep(names);
        }
        return store.keep(functions_of_stack(*text));
    }

    std::optional<TaskRecord> record_from_proc(std::uint32_t tid, std::uint64_t cgroup_id)
    {
        const auto stat = parse_proc_stat(proc_file(tid, "stat"));
        if (!stat)
            return std::nullopt;
        TaskRecord task;
        task.from_proc = true;
        task.tid = tid;
        task.comm = stat->comm;
        task.cgroup_id = cgroup_id;
        task.parent_tgid = stat->parent;
        task.parent_tid = stat->parent;
        task.flags = stat->flags;
        task.state = state_of_letter(stat->state);
        task.exit_state = stat->state == 'Z' ? 0x20 : stat->state == 'X' ? 0x10 : 0;
        const std::string status = proc_file(tid, "status");
        task.tgid = static_cast<std::uint32_t>(value_after(status, "Tgid").value_or(tid));
        task.tracer_tgid = static_cast<std::uint32_t>(value_after(status, "TracerPid").value_or(0));
        if (task.exit_state == 0)
            task.stack = stack_from_proc(tid);
        const Cause cause = classify(task).cause;
        task.frozen = cause == Cause::kFrozen || cause == Cause::kStopped ||
                      cause == Cause::kTraced || cause == Cause::kVfork;
        return task;
    }

    TaskRecord record_of(const fz_stack_row &row)
    {
        TaskRecord task;
        task.tid = row.task.tid;
        task.tgid = row.task.tgid;
        task.parent_tid = row.parent_tid;
        task.parent_tgid = row.parent_tgid;
        task.tracer_tgid = row.bits & FZ_STACK_PTRACED ? row.tracer_tgid : 0;
        const auto *const comm = reinterpret_cast<const char *>(row.task.comm);
        task.comm.assign(comm, ::strnlen(comm, sizeof(row.task.comm)));
        task.cgroup_id = row.cgroup_id;
        task.start_ns = row.start_ns;
        task.cpu_ns = row.cpu_ns;
        task.state = row.state;
        task.exit_state = row.exit_state;
        task.flags = row.flags;
        task.jobctl = row.jobctl;
        task.frozen = row.bits & FZ_STACK_FROZEN;
        task.asked = row.bits & FZ_STACK_TRAP_FREEZE;
        task.vfork_child = row.bits & FZ_STACK_VFORK;
        task.on_cpu = row.bits & FZ_STACK_ON_CPU;
        task.on_rq = row.bits & FZ_STACK_ON_RQ;
        task.iowait = row.bits & FZ_STACK_IOWAIT;
        if (row.sched_now_ns != 0 && row.sched_arrived_ns != 0 && !task.on_cpu)
            task.off_cpu_ns = row.sched_now_ns > row.sched_arrived_ns
                                  ? row.sched_now_ns - row.sched_arrived_ns
                                  : 0;
        if (row.sched_queued_ns != 0 && row.sched_now_ns > row.sched_queued_ns)
            task.queued_ns = row.sched_now_ns - row.sched_queued_ns;
        return task;
    }

    void count(const TaskRecord &task) { tallies[task.tid].add(task, classifier(task), looks); }

    void count_samples(std::uint32_t tid, CpuStacks &samples)
    {
        const KernelSymbols *const names = get_symbols();
        for (const auto &addresses : samples.take()) {
            if (!names)
                return;
            TaskRecord task = tallies[tid].last;
            task.stack = store.keep(addresses, *names);
            task.on_cpu = true;
            task.state = 0;
            task.off_cpu_ns.reset();
            task.queued_ns.reset();
            count(task);
        }
    }

    Status look_with_bpf(const StackSnapshot::Options &options)
    {
        auto pass = snapshot->take(options);
        if (!pass)
            return std::move(pass).error();
        ++looks;
        for (const StackSnapshot::Row &row : pass->rows) {
            TaskRecord task = record_of(row.row);
            const std::span<const std::uint64_t> addresses(
                pass->addresses.data() + row.first_address, row.row.depth);
            if (!addresses.empty()) {
                if (const KernelSymbols *const names = get_symbols()) {
                    task.stack = store.keep(addresses, *names);
                } else {
                    missing.insert("names of kernel functions: " + symbols_error->message);
                    if (tallies.size() < kProcCandidates)
                        task.stack = stack_from_proc(task.tid);
                }
            }
            if (row.row.cgroup_freeze_ns != 0)
                freeze_start_ns =
                    std::max<std::uint64_t>(freeze_start_ns.value_or(0), row.row.cgroup_freeze_ns);
            count(task);
        }
        return {};
    }

    Status look_with_proc(const std::vector<Cgroup *> &all)
    {
        ++looks;
        for (Cgroup *const cgroup : all) {
            auto tids = cgroup->own_tasks();
            if (!tids)
                continue;
            for (const int tid : *tids) {
                if (auto task = record_from_proc(static_cast<std::uint32_t>(tid), cgroup->id()))
                    count(*task);
            }
        }
        return {};
    }

    // cgroup.threads leaves zombies out; their own files still tell where they were.
    void look_for_zombies(const std::vector<Cgroup *> &all)
    {
        std::map<std::string, std::uint64_t> ids;
        for (const Cgroup *const cgroup : all)
            ids[cgroup->path()] = cgroup->id();
        for (const std::uint32_t pid : list_processes()) {
            const auto stat = parse_proc_stat(proc_file(pid, "stat"));
            if (!stat || stat->state != 'Z')
                continue;
            const auto path = parse_proc_cgroup(proc_file(pid, "cgroup"));
            const auto id = path ? ids.find(*path) : ids.end();
            if (id == ids.end() || tallies.contains(pid))
                continue;
            if (auto task = record_from_proc(pid, id->second))
                count(*task);
        }
    }

    // Tasks to look at again: of those that the last look showed, the ones that may be held.
    std::vector<std::uint32_t> candidates(bool asleep_too, bool frozen_too)
    {
        std::vector<std::uint32_t> out;
        for (const auto &[tid, tally] : tallies) {
            const Cause cause = tally.votes.back().verdict.cause;
            if (tally.last_look != looks || tally.last.exit_state != 0)
                continue;
            if (tally.last.frozen && !frozen_too)
                continue;
            if (cause == Cause::kSleeping && !asleep_too)
                continue;
            out.push_back(tid);
        }
        return out;
    }

    // The looks after the first.
    Status look_again(const std::vector<std::uint32_t> &tids, std::uint64_t begin_ns,
                      bool frozen_stacks)
    {
        if (tids.empty())
            return {};
        auto set = WaitSet::open();
        if (!set)
            return std::move(set).error();
        const bool few = tids.size() <= FZ_CANDIDATES_MAX;
        if (snapshot && few) {
            if (auto named = snapshot->set_candidates(tids); !named)
                return named;
        }
        std::map<std::uint32_t, CpuStacks> running;
        for (const std::uint32_t tid : tids) {
            const Tally &tally = tallies[tid];
            if (running.size() >= kMostRunning)
                break;
            // 0 is TASK_RUNNING; one that runs in another state is about to sleep or retries to.
            if (tally.looks > 0 && (tally.last.state == 0 || tally.last.stack.empty())) {
                if (auto opened = CpuStacks::open(tid); opened)
                    running.emplace(tid, std::move(*opened));
            }
        }
        while (looks < kMostLooks) {
            for (auto &[tid, samples] : running)
                count_samples(tid, samples);
            if (looks >= kFewestLooks && now_ns() - begin_ns > kLooksBudgetNs)
                break;
            // Each look is to find another moment; nothing is waited for to happen.
            if (auto slept = set->wait_at_most(kBetweenLooksMs); !slept)
                return std::move(slept).error();
            if (snapshot) {
                if (auto looked = look_with_bpf({few, frozen_stacks}); !looked)
                    return looked;
                continue;
            }
            ++looks;
            for (size_t i = 0; i < std::min(tids.size(), kProcCandidates); ++i) {
                const Tally &tally = tallies[tids[i]];
                if (auto task = record_from_proc(tids[i], tally.last.cgroup_id))
                    count(*task);
            }
        }
        return {};
    }

    HeldTask held_task(const Tally &tally, std::uint64_t interval_ns,
                       const std::map<std::uint64_t, std::string> &paths) const
    {
        const TaskRecord &task = tally.last;
        const Tally::Vote &vote = tally.winner();
        HeldTask held;
        held.tid = task.tid;
        held.tgid = task.tgid;
        held.comm = task.comm;
        if (const auto path = paths.find(task.cgroup_id); path != paths.end())
            held.cgroup = path->second;
        held.state_letter = state_letter(task);
        held.cause = vote.verdict.cause;
        held.confidence = vote.verdict.confidence;
        held.symbol = vote.verdict.symbol;
        held.stack.assign(vote.stack.begin(), vote.stack.end());
        held.agreeing = vote.count;
        held.looks = tally.looks;
        held.file_system = file_system_of(vote.stack);
        held.exiting = held.cause != Cause::kExiting && (task.flags & FZ_PF_EXITING) != 0 &&
                       task.exit_state == 0;
        held.worker = held.cause != Cause::kWorker && (task.flags & FZ_PF_IO_WORKER) != 0 &&
                      (task.flags & FZ_PF_KTHREAD) == 0;
        held.spinning = interval_ns > 0 && tally.looks > 1 &&
                        task.cpu_ns - tally.first.cpu_ns > interval_ns / 2;
        held.off_cpu_ns = task.queued_ns ? task.queued_ns : task.off_cpu_ns;
        return held;
    }

    // A wait for a page tells its file system by the file that the system call is for; the compiler
    // has often left no function of it on the stack.
    static void refine(HeldTask &task, const TaskRecord &record, const HolderFinder &finder)
    {
        if (task.cause != Cause::kIo && task.cause != Cause::kUnknown)
            return;
        const auto mount = finder.mount_in_use(record);
        const auto cause = mount ? cause_of_file_system(mount->type) : std::nullopt;
        if (!cause)
            return;
        task.cause = *cause;
        task.confidence = Confidence::kLikely;
        task.file_system = mount->type;
    }

    void add_details(WhyReport &report)
    {
        HolderFinder::OpenFiles open_files;
        if (snapshot)
            open_files = [this] { return snapshot->open_files(); };
        HolderFinder finder(std::move(open_files));
        std::vector<TaskRecord> all;
        for (const auto &[tid, tally] : tallies) {
            if (tally.last.vfork_child)
                all.push_back(tally.last);
        }
        for (size_t i = 0; i < std::min(report.tasks.size(), kMostDetailed); ++i) {
            HeldTask &task = report.tasks[i];
            const TaskRecord &record = tallies[task.tid].last;
            refine(task, record, finder);
            task.holders = finder.find(record, task.cause, all);
            if (task.cause == Cause::kVfork && !task.holders.empty())
                task.confidence = Confidence::kSure;
            if (task.cause != Cause::kZombie)
                task.killed = has_pending_kill(task.tid);
        }
        if (finder.incomplete())
            missing.insert("who holds it: not all processes' open files could be looked at (it "
                           "takes root)");
        report.missing.assign(missing.begin(), missing.end());
    }
};

Explainer::Explainer(bool use_bpf) : impl_(std::make_unique<Impl>())
{
    impl_->use_bpf = use_bpf;
}
Explainer::Explainer(Explainer &&) noexcept = default;
Explainer &Explainer::operator=(Explainer &&) noexcept = default;
Explainer::~Explainer() = default;

Result<WhyReport> Explainer::explain(Cgroup &top, WhyReport::Purpose purpose)
{
    Impl &impl = *impl_;
    impl.begin();
    WhyReport report;
    report.path = top.path();
    report.hierarchy = top.hierarchy_name();
    report.id = top.id();
    report.purpose = purpose;
    const std::uint64_t begin_ns = now_ns();

    auto reading = top.read();
    if (!reading)
        return std::move(reading).error();
    auto ancestor = top.freezing_ancestor();
    if (!ancestor)
        return std::move(ancestor).error();
    report.held_by_ancestor = *ancestor;
    report.state = state_of(*reading, ancestor->has_value());
    const bool asked = reading->self_freezing || ancestor->has_value();
    if (purpose == WhyReport::Purpose::kState && asked)
        report.purpose = WhyReport::Purpose::kFreeze;
    const bool kill = report.purpose == WhyReport::Purpose::kKill;
    const bool freeze = report.purpose == WhyReport::Purpose::kFreeze;
    if (impl.use_bpf && (kill || !reading->frozen))
        impl.begin_to_read_symbols();

    std::vector<std::unique_ptr<Cgroup>> storage;
    auto all = walk(top, storage);
    if (!all)
        return std::move(all).error();
    std::map<std::uint64_t, std::string> paths;
    for (const Cgroup *const cgroup : *all)
        paths[cgroup->id()] = cgroup->path();

    Status ready = impl.open_snapshot(!top.announces());
    if (ready) {
        ready = impl.snapshot->watch(top);
        if (!ready)
            impl.snapshot.reset();
    }
    if (!ready)
        report.bpf_error = ready.error();
    report.bpf = impl.snapshot.has_value();

    const std::uint64_t looks_begin_ns = now_ns();
    auto looked = impl.snapshot ? impl.look_with_bpf({false, kill}) : impl.look_with_proc(*all);
    if (!looked)
        return std::move(looked).error();
    if (!impl.snapshot && !freeze)
        impl.look_for_zombies(*all);
    // The first look also reads the names of all kernel functions; that is no time between looks.
    const std::uint64_t again_begin_ns = now_ns();
    const auto candidates = impl.candidates(freeze || kill, kill);
    if (auto again = impl.look_again(candidates, again_begin_ns, kill); !again)
        return std::move(again).error();
    // The last look is at all of them again: for those that came meanwhile.
    std::set<std::uint32_t> before;
    if (freeze && !candidates.empty()) {
        for (const auto &[tid, tally] : impl.tallies)
            before.insert(tid);
        looked = impl.snapshot ? impl.look_with_bpf({false, false}) : impl.look_with_proc(*all);
        if (!looked)
            return std::move(looked).error();
    }
    const std::uint64_t end_ns = now_ns();

    report.looks = impl.looks;
    const std::set<std::uint32_t> again(candidates.begin(), candidates.end());
    for (const auto &[tid, tally] : impl.tallies) {
        const TaskRecord &task = tally.last;
        const bool gone = (again.contains(tid) || !before.empty()) && tally.last_look != impl.looks;
        if (gone)
            continue;
        const bool zombie = task.exit_state != 0;
        if (!zombie) {
            ++report.members;
            report.frozen += task.frozen ? 1 : 0;
        }
        const bool came = !before.empty() && !before.contains(tid);
        report.born += came ? 1 : 0;
        const Cause cause = tally.winner().verdict.cause;
        bool listed = false;
        switch (report.purpose) {
        case WhyReport::Purpose::kFreeze:
            listed = !zombie && !task.frozen;
            break;
        case WhyReport::Purpose::kKill:
            listed = true;
            break;
        case WhyReport::Purpose::kState:
            // In most looks, or what is a moment of ordinary work would be blamed.
            listed = zombie || (!task.frozen && holds_up_by_itself(cause) &&
                                tally.winner().count * 2 >= tally.looks);
            break;
        }
        if (!listed)
            continue;
        HeldTask held = impl.held_task(tally, end_ns - looks_begin_ns, paths);
        if (came && !holds_up_by_itself(held.cause)) {
            held.cause = Cause::kArriving;
            held.confidence = Confidence::kSure;
        }
        report.tasks.push_back(std::move(held));
    }
    const auto rank = [](const HeldTask &task) {
        if (task.cause == Cause::kZombie)
            return 4;
        if (task.cause == Cause::kUnknown)
            return 1;
        return holds_up_by_itself(task.cause) ? 0 : 2;
    };
    std::sort(report.tasks.begin(), report.tasks.end(), [&](const HeldTask &a, const HeldTask &b) {
        return std::make_pair(rank(a), a.tid) < std::make_pair(rank(b), b.tid);
    });
    impl.add_details(report);
    if (freeze && impl.freeze_start_ns && *impl.freeze_start_ns < end_ns)
        report.freezing_ns = end_ns - *impl.freeze_start_ns;
    // It may have got there while we looked.
    if (auto after = top.read()) {
        // The kernel calls a cgroup frozen when its own tasks are, even if some in a cgroup below
        // are not (kernel/cgroup/freezer.c, cgroup_update_frozen()).
        after->frozen &= !freeze || report.tasks.empty();
        report.state = state_of(*after, report.held_by_ancestor.has_value());
    }
    report.elapsed_ns = now_ns() - begin_ns;
    return report;
}

Result<WhyReport> Explainer::explain_task(std::uint32_t tid)
{
    Impl &impl = *impl_;
    impl.begin();
    WhyReport report;
    report.one_task = true;
    const std::uint64_t begin_ns = now_ns();
    const Error none{ErrorKind::kInvalid, ESRCH, "there is no process or thread of that number"};
    if (proc_file(tid, "stat").empty())
        return none;
    if (const Status ready = impl.open_snapshot(); !ready)
        report.bpf_error = ready.error();
    report.bpf = impl.snapshot.has_value();
    // Its file tells where it is even when it is a zombie or a kernel thread.
    const auto cgroup = parse_proc_cgroup(proc_file(tid, "cgroup"));
    impl.tallies[tid]; // look_again() wants it to be there
    const std::uint64_t looks_begin_ns = now_ns();
    if (auto looked = impl.look_again({tid}, looks_begin_ns, true); !looked)
        return std::move(looked).error();
    const Tally &tally = impl.tallies[tid];
    if (tally.looks == 0 || tally.last_look != impl.looks)
        return Error{ErrorKind::kInvalid, ESRCH, "the task ended while it was looked at"};
    HeldTask held = impl.held_task(tally, now_ns() - looks_begin_ns, {});
    held.cgroup = cgroup.value_or("");
    report.path = held.cgroup;
    report.hierarchy = "v2";
    report.id = tally.last.cgroup_id;
    report.tasks.push_back(std::move(held));
    report.looks = impl.looks;
    // A vfork child may be in any cgroup.
    if (report.tasks.front().cause == Cause::kVfork) {
        const std::string id = std::to_string(tid);
        std::string children_path = "/proc/" + id;
        children_path += "/task/" + id + "/children";
        const std::string children = read_text(children_path);
        for (const std::string_view child : split_words(children)) {
            const auto child_tid = parse_number(child);
            if (!child_tid || !impl.snapshot)
                continue;
            const std::uint32_t one = static_cast<std::uint32_t>(*child_tid);
            if (auto named = impl.snapshot->set_candidates({&one, 1}); named)
                (void)impl.look_with_bpf({true, false});
        }
    }
    impl.add_details(report);
    report.elapsed_ns = now_ns() - begin_ns;
    return report;
}

std::string phrase_of(const HeldTask &task)
{
    std::string text = phrase_of(task.cause);
    if (task.cause == Cause::kUnknown && !task.stack.empty())
        text = "waits in " + task.stack.front() + ", for what is not known";
    else if (task.cause == Cause::kLock && !task.symbol.empty())
        text += " (" + task.symbol + ")";
    if (!task.file_system.empty() && task.cause != Cause::kFuse && task.cause != Cause::kNfs)
        text += " of " + task.file_system;
    for (const Holder &holder : task.holders) {
        if (holder.role == Holder::Role::kMount)
            text += ", mounted at " + holder.path;
        else if (holder.role == Holder::Role::kV1Freezer)
            text += " (" + holder.path + ")";
    }
    if (task.spinning && holds_up_by_itself(task.cause))
        text += ", which the kernel retries";
    if (task.worker)
        text += " as a worker of io_uring";
    if (task.exiting)
        text += " while it exits";
    return text;
}

std::string sentence_of(const WhyReport &report)
{
    const auto name = [](const HeldTask &task) {
        return std::to_string(task.tid) + " " + task.comm;
    };
    if (report.one_task) {
        const HeldTask &task = report.tasks.front();
        return name(task) + " " + phrase_of(task);
    }
    const auto tasks = [](std::uint64_t n) {
        return std::to_string(n) + (n == 1 ? " task" : " tasks");
    };
    const std::uint64_t held = report.tasks.size();
    const auto zombies = static_cast<std::uint64_t>(
        std::count_if(report.tasks.begin(), report.tasks.end(),
                      [](const HeldTask &task) { return task.cause == Cause::kZombie; }));
    std::string text = report.path + " is ";
    switch (report.purpose) {
    case WhyReport::Purpose::kFreeze:
        text += report.state ? to_string(*report.state) : "gone";
        if (report.freezing_ns)
            text += " for " + format_duration(*report.freezing_ns);
        if (report.held_by_ancestor)
            text += " (asked by its ancestor " + *report.held_by_ancestor + ")";
        if (held == 0)
            return text + ": all of its " + tasks(report.members) + " have reached the freezer";
        text += ": " + std::to_string(held) + " of " + tasks(report.members) +
                (held == 1 ? " has" : " have") + " not reached the freezer";
        break;
    case WhyReport::Purpose::kKill: {
        const std::uint64_t alive = held - zombies;
        if (held == 0)
            return text + "empty";
        text += (alive > 0 ? "not empty: " + tasks(alive) + (alive == 1 ? " is" : " are") + " left"
                           : std::string("empty"));
        if (zombies > 0)
            text += ", " + std::to_string(zombies) +
                    (zombies == 1 ? " zombie is" : " zombies are") + " not reaped";
        break;
    }
    case WhyReport::Purpose::kState: {
        text += report.state ? to_string(*report.state) : "gone";
        if (report.held_by_ancestor)
            text += " (by its ancestor " + *report.held_by_ancestor + ")";
        const std::uint64_t alive = held - zombies;
        const bool frozen =
            report.state == State::kFrozen || report.state == State::kFrozenByParent;
        if (report.members == 0)
            text += ": it has no tasks";
        else if (frozen)
            text += ": all of its " + tasks(report.members) + " have reached the freezer";
        else if (alive == 0)
            text += ": none of its " + tasks(report.members) + " would hold up a freeze";
        else
            text += ": " + std::to_string(alive) + " of " + tasks(report.members) +
                    " would hold up a freeze or a kill";
        if (zombies > 0)
            text += ", " + std::to_string(zombies) +
                    (zombies == 1 ? " zombie is" : " zombies are") + " not reaped";
        break;
    }
    }
    if (held > 0)
        text += ": " + name(report.tasks.front()) + " " + phrase_of(report.tasks.front());
    return text;
}

} // namespace freezer
