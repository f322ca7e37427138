// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// attach and detach, and what the other verbs make of them.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include <nlohmann/json.hpp>

#include "tests/support/command.h"
#include "tests/support/private_bpffs.h"
#include "tests/support/scratch.h"
#include "tests/support/user.h"

namespace
{

using nlohmann::json;
using test::Command;
using test::Ran;
using test::run;
using test::Scratch;

constexpr const char *kRoot = "/sys/fs/bpf/freezerctl";

json report_of(const Ran &ran)
{
    EXPECT_EQ(ran.status, 0) << ran.err;
    return json::parse(ran.out);
}

// Whether the process has attached BPF programs.
bool has_bpf_links(pid_t pid)
{
    std::error_code error;
    const std::filesystem::directory_iterator fds("/proc/" + std::to_string(pid) + "/fd", error);
    return !error && std::any_of(begin(fds), end(fds), [&](const auto &fd) {
        return std::filesystem::read_symlink(fd, error).string().find("bpf_link") !=
               std::string::npos;
    });
}

class AttachCommand : public ::testing::Test
{
  protected:
    void SetUp() override
    {
        if (!test::kernel_has_btf())
            GTEST_SKIP() << "the kernel has no BTF";
        bpffs_.emplace();
        if (!bpffs_->why().empty())
            GTEST_SKIP() << bpffs_->why();
    }

  private:
    std::optional<test::PrivateBpffs> bpffs_;
};

TEST_F(AttachCommand, later_commands_have_the_full_account)
{
    Scratch scratch;
    scratch.spawn_sleeper();
    const json late = report_of(run("freeze --json " + scratch.path()));
    EXPECT_EQ(late["tracking"], "late");
    EXPECT_EQ(late["slowest"], nullptr);
    EXPECT_EQ(run("thaw " + scratch.path()).status, 0);

    const Ran attached = run("attach");
    EXPECT_EQ(attached.status, 0) << attached.err;
    EXPECT_EQ(attached.out.rfind(std::string("attached: ") + kRoot, 0), 0U) << attached.out;
    const json frozen = report_of(run("freeze --json " + scratch.path()));
    EXPECT_EQ(frozen["tracking"], "attached");
    EXPECT_TRUE(frozen["slowest"].is_object());
    EXPECT_EQ(report_of(run("thaw --json " + scratch.path()))["tracking"], "attached");
    const json listed = report_of(run("freeze --tasks --json " + scratch.path()));
    EXPECT_EQ(listed["tracking"], "attached");
    EXPECT_TRUE(listed["task_list"][0]["after_ns"].is_number());
    const json killed = report_of(run("kill --remove --json " + scratch.path()));
    EXPECT_EQ(killed["tracking"], "attached");
    if (!test::kernel_skips_programs()) {
        EXPECT_EQ(killed["deaths"], 1);
    }
}

TEST_F(AttachCommand, twice_is_as_good_as_once)
{
    EXPECT_EQ(report_of(run("detach --json"))["already"], true);
    EXPECT_EQ(report_of(run("attach --json"))["already"], false);
    EXPECT_EQ(report_of(run("attach --json"))["already"], true);
    EXPECT_EQ(run("attach").out.rfind("already attached: ", 0), 0U);
    EXPECT_EQ(run("detach").out, "detached\n");
    EXPECT_EQ(run("detach").out, "nothing was attached\n");
    EXPECT_NE(::access(kRoot, F_OK), 0);
}

TEST_F(AttachCommand, only_its_owner_can_enter)
{
    ASSERT_EQ(run("attach").status, 0);
    struct stat root {
    };
    ASSERT_EQ(::stat(kRoot, &root), 0);
    EXPECT_EQ(root.st_mode & 07777, 0700U);
    EXPECT_EQ(root.st_uid, 0U);
}

TEST_F(AttachCommand, another_builds_tracker_is_replaced)
{
    ASSERT_EQ(run("attach").status, 0);
    ASSERT_EQ(::mkdir((std::string(kRoot) + "/00000000deadbeef").c_str(), 0700), 0);
    // And one that was killed half way.
    ASSERT_EQ(::mkdir((std::string(kRoot) + "/unfinished").c_str(), 0700), 0);
    EXPECT_EQ(report_of(run("attach --json"))["removed"], 1);
    EXPECT_NE(::access((std::string(kRoot) + "/00000000deadbeef").c_str(), F_OK), 0);
    EXPECT_NE(::access((std::string(kRoot) + "/unfinished").c_str(), F_OK), 0);
}

TEST_F(AttachCommand, more_commands_at_a_time_than_it_has_place_for)
{
    ASSERT_EQ(run("attach").status, 0);
    std::vector<std::unique_ptr<Scratch>> scratches;
    std::vector<std::unique_ptr<Command>> commands;
    for (int i = 0; i < 10; ++i) {
        scratches.push_back(std::make_unique<Scratch>());
        scratches.back()->spawn_sleeper();
        commands.push_back(std::make_unique<Command>(std::vector<std::string>{
            "wait", "--for", "frozen", "--json", scratches.back()->path()}));
    }
    for (const auto &command : commands)
        ASSERT_TRUE(command->wait_until_it_waits());
    for (const auto &scratch : scratches)
        ASSERT_TRUE(scratch->write("cgroup.freeze", "1"));
    int attached = 0;
    for (const auto &command : commands)
        attached += report_of(command->finish())["tracking"] == "attached";
    EXPECT_EQ(attached, 8);
    // Their places are free again.
    EXPECT_EQ(report_of(run("thaw --json " + scratches[0]->path()))["tracking"], "attached");
}

TEST_F(AttachCommand, a_late_tracker_still_names_who_interferes)
{
    test::Straggler straggler;
    if (!straggler.possible())
        GTEST_SKIP() << straggler.why();
    Scratch scratch;
    straggler.spawn(scratch);
    Command freeze({"freeze", "--json", "--timeout", "infinity", scratch.path()});
    ASSERT_TRUE(test::eventually([&] { return has_bpf_links(freeze.pid()); }));
    ASSERT_TRUE(freeze.wait_until_it_waits());
    ASSERT_TRUE(scratch.write("cgroup.freeze", "0"));
    const Ran ran = freeze.finish();
    EXPECT_EQ(ran.status, 1);
    const json report = json::parse(ran.out);
    EXPECT_EQ(report["tracking"], "late");
    EXPECT_EQ(report["actor"]["pid"], ::getpid());
}

TEST_F(AttachCommand, says_what_it_lacks)
{
    Command unprivileged({"attach"}, [] {
        if (!test::become(test::kNobody))
            ::_exit(99);
    });
    const Ran ran = unprivileged.finish();
    EXPECT_EQ(ran.status, 1);
    EXPECT_NE(ran.err.find("/sys/fs/bpf"), std::string::npos) << ran.err;
}

} // namespace
