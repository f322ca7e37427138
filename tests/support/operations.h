// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// The library's verbs on scratch cgroups, and the truth that their reports are held against.
#ifndef FREEZERCTL_TESTS_OPERATIONS_H
#define FREEZERCTL_TESTS_OPERATIONS_H

#include <gtest/gtest.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tests/support/scratch.h"
#include "user/freezer.h"

namespace test
{

// A deadline that no right operation meets, and one that every operation on a straggler must.
constexpr std::uint64_t kPatience = 180'000'000'000;
constexpr std::uint64_t kShort = 300'000'000;

// Options with that patience, so that a slow machine is no failure.
freezer::FreezeOptions freeze_options(std::uint64_t timeout_ns = kPatience);
// And every task listed.
freezer::FreezeOptions listing();

// An open library, the same one for all tests of a process unless one of them failed: it is made to
// be used for long, and to load its tracker takes seconds on an emulated machine. Skips where the
// machine cannot run it (no root, no cgroup2, no BPF).
class OperationsTest : public ::testing::Test
{
  protected:
    explicit OperationsTest(bool use_bpf = true) : use_bpf_(use_bpf) {}
    void SetUp() override;
    void TearDown() override;
    // Opens the shared library again, for what has been mounted meanwhile.
    void open_anew();
    // Opens a library of its own with another ring buffer.
    void open_with_ring(std::uint32_t ring_bytes);
    // Or one that is told of no single tasks, as where nobody wants them listed.
    void open_without_tasks();
    [[nodiscard]] freezer::Freezer &freezer() { return *freezer_; }
    [[nodiscard]] bool uses_bpf() const { return use_bpf_; }

    // Opens the cgroups, by path below the mount.
    std::vector<freezer::Target> targets(const std::vector<std::string> &paths);
    std::vector<freezer::TargetReport> freeze_all(const std::vector<std::string> &paths,
                                                  const freezer::FreezeOptions &options);
    freezer::TargetReport freeze(const std::string &path,
                                 const freezer::FreezeOptions &options = freeze_options());
    freezer::TargetReport thaw(const std::string &path,
                               const freezer::WaitOptions &options = freeze_options());
    freezer::TargetReport kill(const std::string &path, bool remove = false,
                               std::uint64_t timeout_ns = kPatience);
    freezer::TargetReport wait(const std::string &path, freezer::Goal goal,
                               const freezer::WaitOptions &options = freeze_options());

    // The report of a finished freeze with its tasks listed tells the truth. That is: the kernel's
    // file says frozen in the target and everywhere below; cgroup.threads of the whole tree and the
    // list have the same tasks, each once; the list calls each frozen and says when or why; and the
    // task iterator finds both bits in each. `lossless`: also that no event was dropped.
    void expect_true_account(const freezer::TargetReport &report, const Scratch &scratch,
                             const std::string &below = "", bool lossless = true);
    // Every task of the tree bears the marks of a frozen one in a task snapshot of its own.
    void expect_frozen_bits(const Scratch &scratch, const std::string &below = "");

  private:
    void open(const freezer::Config &config, std::optional<freezer::Freezer> &into);
    void open_own(const freezer::TrackerOptions &options);

    bool use_bpf_;
    freezer::Freezer *freezer_ = nullptr;
    std::optional<freezer::Freezer> own_; // of this test alone
};

// The same without BPF: the kernel's files alone wake and decide.
class WithoutBpfTest : public OperationsTest
{
  protected:
    WithoutBpfTest() : OperationsTest(false) {}
};

// Tests that must come out alike with BPF (true) and without.
class BothWaysTest : public OperationsTest, public ::testing::WithParamInterface<bool>
{
  protected:
    BothWaysTest() : OperationsTest(GetParam()) {}
};

// And that need a task which does not reach the freezer; skipped where none can be made.
class StragglerTest : public BothWaysTest
{
  protected:
    void SetUp() override;
    // Before every cgroup: its page must outlive the blocked task.
    Straggler straggler;
};

std::string name_of_way(const ::testing::TestParamInfo<bool> &info);

// Nothing counted while this looked, though others had time to run.
void expect_still(const Counters &counters);
// Every one of the first `n` slots (all without it) goes up; waits for that.
void expect_moving(const Counters &counters, std::optional<size_t> n = std::nullopt);

// The entry of a task, or nullptr.
const freezer::TaskEntry *entry_of(const freezer::TargetReport &report, pid_t tid);
// The ids of the tasks that the report names as late.
std::vector<pid_t> stragglers_of(const freezer::TargetReport &report);

} // namespace test

#endif
