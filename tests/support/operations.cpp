// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "tests/support/operations.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <set>

#include "user/task_snapshot.h"

namespace test
{

using freezer::Outcome;
using freezer::TargetReport;
using freezer::TaskEntry;

namespace
{

// Cgroups of all tests, for the snapshot that they share.
constexpr std::uint32_t kSnapshotTargets = 4096;

// What all tests share. The snapshot is not the library's: it is the truth's.
struct Shared {
    std::optional<freezer::Freezer> with_bpf;
    std::optional<freezer::Freezer> without_bpf;
    std::optional<freezer::TaskSnapshot> snapshot;
    std::map<std::string, std::uint32_t>
        slots; // of the snapshot, by path, which no two tests share
};

Shared &shared()
{
    static Shared instance;
    return instance;
}

std::string why(const TargetReport &report)
{
    std::string text = std::string(to_string(report.verb)) + ": " + to_string(report.outcome);
    if (report.error)
        text += ", " + report.error->message;
    for (const TaskEntry &task : report.stragglers)
        text += ", late " + std::to_string(task.tid) + " " + task.comm + " " + task.state_letter;
    return text;
}

std::multiset<pid_t> as_set(const std::vector<pid_t> &tids)
{
    return {tids.begin(), tids.end()};
}

} // namespace

freezer::FreezeOptions freeze_options(std::uint64_t timeout_ns)
{
    freezer::FreezeOptions options;
    options.timeout_ns = timeout_ns;
    return options;
}

freezer::FreezeOptions listing()
{
    freezer::FreezeOptions options = freeze_options();
    options.tasks = true;
    return options;
}

void OperationsTest::SetUp()
{
    if (::geteuid() != 0)
        GTEST_SKIP() << "needs root";
    if (cgroup2_mount().empty())
        GTEST_SKIP() << "no cgroup2 is mounted";
    if (use_bpf_ && !kernel_has_btf())
        GTEST_SKIP() << "this kernel has no BTF (CONFIG_DEBUG_INFO_BTF), so no BPF for us";
    freezer::Config config;
    config.use_bpf = use_bpf_;
    config.use_attached = false; // what the machine has
    config.tracker.task_events = true;
    // The account must be whole, so there is room for the largest test's events.
    config.tracker.ring_bytes = 4 * 1024 * 1024;
    open(config, use_bpf_ ? shared().with_bpf : shared().without_bpf);
}

void OperationsTest::TearDown()
{
    // What failed may have left it in a state that the next test is not to suffer from.
    if (HasFailure())
        shared() = {};
}

void OperationsTest::open(const freezer::Config &config, std::optional<freezer::Freezer> &into)
{
    if (!into) {
        auto opened = freezer::Freezer::open(config);
        ASSERT_TRUE(opened) << opened.error().message;
        into.emplace(std::move(*opened));
    }
    freezer_ = &*into;
    const auto loaded = freezer_->load_tracker(1);
    ASSERT_EQ(static_cast<bool>(loaded), use_bpf_) << loaded.error().message;
}

void OperationsTest::open_anew()
{
    shared() = {};
    OperationsTest::SetUp();
}

void OperationsTest::open_with_ring(std::uint32_t ring_bytes)
{
    freezer::TrackerOptions options;
    options.task_events = true;
    options.ring_bytes = ring_bytes;
    open_own(options);
}

void OperationsTest::open_without_tasks()
{
    open_own({});
}

void OperationsTest::open_own(const freezer::TrackerOptions &options)
{
    freezer::Config config;
    config.use_attached = false;
    config.tracker = options;
    own_.reset();
    open(config, own_);
}

std::vector<freezer::Target> OperationsTest::targets(const std::vector<std::string> &paths)
{
    std::vector<freezer::Target> out;
    for (const std::string &path : paths) {
        auto cgroup = freezer_->resolver().by_path(path);
        if (!cgroup)
            throw std::runtime_error(cgroup.error().message);
        out.push_back(freezer::Target{path, std::move(*cgroup)});
    }
    return out;
}

namespace
{

std::vector<TargetReport> reports_of(freezer::Result<std::vector<TargetReport>> result)
{
    if (!result)
        throw std::runtime_error(result.error().message);
    return std::move(*result);
}

} // namespace

std::vector<TargetReport> OperationsTest::freeze_all(const std::vector<std::string> &paths,
                                                     const freezer::FreezeOptions &options)
{
    auto opened = targets(paths);
    return reports_of(freezer_->freeze(opened, options));
}

TargetReport OperationsTest::freeze(const std::string &path, const freezer::FreezeOptions &options)
{
    return std::move(freeze_all({path}, options).front());
}

TargetReport OperationsTest::thaw(const std::string &path, const freezer::WaitOptions &options)
{
    auto opened = targets({path});
    return std::move(reports_of(freezer_->thaw(opened, options)).front());
}

TargetReport OperationsTest::kill(const std::string &path, bool remove, std::uint64_t timeout_ns)
{
    auto opened = targets({path});
    freezer::KillOptions options;
    options.timeout_ns = timeout_ns;
    options.remove = remove;
    return std::move(reports_of(freezer_->kill(opened, options)).front());
}

TargetReport OperationsTest::wait(const std::string &path, freezer::Goal goal,
                                  const freezer::WaitOptions &options)
{
    auto opened = targets({path});
    return std::move(reports_of(freezer_->wait(opened, goal, options)).front());
}

void OperationsTest::expect_true_account(const TargetReport &report, const Scratch &scratch,
                                         const std::string &below, bool lossless)
{
    ASSERT_EQ(report.outcome, Outcome::kReached) << why(report);
    EXPECT_EQ(report.state, freezer::State::kFrozen);
    for (const std::string &directory : scratch.cgroups(below)) {
        EXPECT_NE(read_file(directory + "/cgroup.events").find("frozen 1"), std::string::npos)
            << directory;
    }

    const std::multiset<pid_t> threads = as_set(scratch.threads_of_tree(below));
    ASSERT_TRUE(report.entries);
    std::multiset<pid_t> counted;
    for (const TaskEntry &entry : *report.entries) {
        counted.insert(static_cast<pid_t>(entry.tid));
        EXPECT_TRUE(entry.frozen) << entry.tid << " " << entry.comm;
        // When it froze, or why it needed no freezing; never both.
        EXPECT_NE(entry.after_ns.has_value(), entry.note != TaskEntry::Note::kNone)
            << entry.tid << " " << entry.comm << " " << to_string(entry.note);
        if (entry.after_ns) {
            EXPECT_LE(*entry.after_ns, report.elapsed_ns) << entry.tid;
        }
    }
    EXPECT_EQ(counted, threads);
    EXPECT_EQ(report.tasks, threads.size());
    EXPECT_TRUE(report.complete);
    if (lossless) {
        EXPECT_EQ(report.dropped_events, 0U);
    }
    expect_frozen_bits(scratch, below);
}

void OperationsTest::expect_frozen_bits(const Scratch &scratch, const std::string &below)
{
    const std::string path = below.empty() ? scratch.path() : scratch.path(below);
    std::optional<freezer::TaskSnapshot> &snapshot = shared().snapshot;
    if (!snapshot) {
        auto made = freezer::TaskSnapshot::open(kSnapshotTargets);
        ASSERT_TRUE(made) << made.error().message;
        snapshot.emplace(std::move(*made));
    }
    auto &slots = shared().slots;
    auto [slot, fresh] = slots.try_emplace(path, static_cast<std::uint32_t>(slots.size()));
    if (fresh) {
        const auto watched = snapshot->watch(slot->second, *targets({path}).front().cgroup);
        ASSERT_TRUE(watched) << watched.error().message;
    }
    const auto rows = snapshot->take();
    ASSERT_TRUE(rows) << rows.error().message;
    std::multiset<pid_t> marked;
    for (const fz_task_row &row : *rows) {
        if (row.target != slot->second || row.exit_state != 0 || (row.flags & FZ_PF_EXITING))
            continue;
        marked.insert(static_cast<pid_t>(row.task.tid));
        EXPECT_TRUE(row.bits & FZ_ROW_FROZEN) << row.task.tid;
        EXPECT_TRUE(row.bits & FZ_ROW_TRAP_FREEZE) << row.task.tid;
    }
    EXPECT_EQ(marked, as_set(scratch.threads_of_tree(below)));
}

void StragglerTest::SetUp()
{
    BothWaysTest::SetUp();
    if (!IsSkipped() && !straggler.possible())
        GTEST_SKIP() << straggler.why();
}

std::string name_of_way(const ::testing::TestParamInfo<bool> &info)
{
    return info.param ? "bpf" : "files";
}

void expect_still(const Counters &counters)
{
    const auto before = counters.values();
    // Time for others to run. Too short a time hides a mistake; no time can invent one.
    ::poll(nullptr, 0, 5);
    EXPECT_EQ(counters.values(), before);
}

void expect_moving(const Counters &counters, std::optional<size_t> n)
{
    const auto before = counters.values();
    EXPECT_TRUE(eventually([&] {
        const auto now = counters.values();
        for (size_t i = 0; i < n.value_or(now.size()); ++i) {
            if (now[i] == before[i])
                return false;
        }
        return true;
    }));
}

const TaskEntry *entry_of(const TargetReport &report, pid_t tid)
{
    if (!report.entries)
        return nullptr;
    const auto found =
        std::find_if(report.entries->begin(), report.entries->end(), [&](const TaskEntry &entry) {
            return entry.tid == static_cast<std::uint32_t>(tid);
        });
    return found == report.entries->end() ? nullptr : &*found;
}

std::vector<pid_t> stragglers_of(const TargetReport &report)
{
    std::vector<pid_t> out;
    for (const TaskEntry &task : report.stragglers)
        out.push_back(static_cast<pid_t>(task.tid));
    return out;
}

} // namespace test
