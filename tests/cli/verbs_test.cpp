// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// What the verbs print and return when all goes well.
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "tests/support/command.h"
#include "tests/support/json_lines.h"
#include "tests/support/scratch.h"

namespace
{

using nlohmann::json;
using test::lines_of;
using test::Ran;
using test::run;
using test::Scratch;

// With BPF and without it: the same answers.
class Verbs : public ::testing::TestWithParam<const char *>
{
  protected:
    void SetUp() override
    {
        if (bpf() && !test::kernel_has_btf())
            GTEST_SKIP() << "the kernel has no BTF";
    }
    [[nodiscard]] Ran run_verb(const std::string &arguments) const
    {
        const std::string flag = GetParam();
        return run(flag.empty() ? arguments : arguments + " " + flag);
    }
    [[nodiscard]] bool bpf() const { return *GetParam() == '\0'; }
};

INSTANTIATE_TEST_SUITE_P(, Verbs, ::testing::Values("", "--no-bpf"),
                         [](const auto &which) { return *which.param ? "no_bpf" : "bpf"; });

TEST_P(Verbs, freeze_status_thaw_kill)
{
    Scratch scratch;
    scratch.mkdir("a");
    scratch.spawn_sleeper();
    scratch.spawn_sleeper();
    scratch.spawn_sleeper("a");

    const Ran frozen = run_verb("freeze " + scratch.path());
    EXPECT_EQ(frozen.status, 0);
    EXPECT_EQ(frozen.out.rfind("frozen " + scratch.path() + ": 3 tasks in 2 cgroups in ", 0), 0U)
        << frozen.out;
    EXPECT_EQ(frozen.err, "");
    EXPECT_EQ(frozen.out.find("slowest: ") != std::string::npos, bpf()) << frozen.out;
    EXPECT_EQ(scratch.event("frozen"), 1);
    EXPECT_EQ(scratch.event("frozen", "a"), 1);

    const Ran again = run_verb("freeze " + scratch.path());
    EXPECT_EQ(again.status, 0);
    EXPECT_NE(again.out.find("already"), std::string::npos) << again.out;

    const Ran status = run_verb("status " + scratch.path());
    EXPECT_EQ(status.status, 0);
    EXPECT_NE(status.out.find("FROZEN_BY_PARENT"), std::string::npos) << status.out;
    EXPECT_NE(status.out.find("2/2"), std::string::npos) << status.out;

    const Ran thawed = run_verb("thaw " + scratch.path());
    EXPECT_EQ(thawed.status, 0);
    EXPECT_EQ(thawed.out.rfind("thawed " + scratch.path(), 0), 0U) << thawed.out;
    EXPECT_EQ(scratch.event("frozen"), 0);

    const Ran killed = run_verb("kill --remove " + scratch.path());
    EXPECT_EQ(killed.status, 0) << killed.err;
    EXPECT_NE(killed.out.find("removed"), std::string::npos) << killed.out;
    EXPECT_NE(::access(scratch.dir().c_str(), F_OK), 0);
    EXPECT_EQ(run_verb("status " + scratch.path()).status, 4);
}

TEST_P(Verbs, status_is)
{
    Scratch scratch;
    EXPECT_EQ(run_verb("status --is empty " + scratch.path()).status, 0);
    scratch.spawn_sleeper();
    EXPECT_EQ(run_verb("status --is empty " + scratch.path()).status, 3);
    EXPECT_EQ(run_verb("status --is thawed " + scratch.path()).status, 0);
    EXPECT_EQ(run_verb("status --is frozen " + scratch.path()).status, 3);
    ASSERT_TRUE(scratch.write("cgroup.freeze", "1"));
    EXPECT_EQ(run_verb("wait --for frozen " + scratch.path()).status, 0);
    EXPECT_EQ(run_verb("status --is frozen " + scratch.path()).status, 0);
    EXPECT_EQ(run_verb("status --is freezing " + scratch.path()).status, 3);
}

TEST_P(Verbs, wait_holds_at_once)
{
    Scratch scratch;
    EXPECT_EQ(run_verb("wait --for empty " + scratch.path()).status, 0);
    EXPECT_EQ(run_verb("wait --for thawed " + scratch.path()).status, 0);
    scratch.spawn_sleeper();
    EXPECT_EQ(run_verb("wait --timeout 1ms --for empty " + scratch.path()).status, 124);
}

TEST_P(Verbs, tasks_are_listed)
{
    Scratch scratch;
    const pid_t pid = scratch.spawn_sleeper();
    const Ran ran = run_verb("freeze --tasks --json " + scratch.path());
    ASSERT_EQ(ran.status, 0) << ran.err;
    const json report = json::parse(ran.out);
    ASSERT_EQ(report["task_list"].size(), 1U) << ran.out;
    const json &task = report["task_list"][0];
    EXPECT_EQ(task["tid"], pid);
    EXPECT_EQ(task["frozen"], true);
    EXPECT_EQ(task["after_ns"].is_number(), bpf());
    EXPECT_EQ(report["tracking"], bpf() ? "bpf" : "none");
    EXPECT_EQ(report["tracking_error"].is_null(), bpf());
}

TEST(Command, aliases)
{
    Scratch scratch;
    scratch.spawn_sleeper();
    EXPECT_EQ(run("pause " + scratch.path()).status, 0);
    EXPECT_EQ(scratch.event("frozen"), 1);
    for (const char *const verb : {"resume ", "unpause ", "unfreeze "}) {
        ASSERT_TRUE(scratch.write("cgroup.freeze", "1"));
        EXPECT_EQ(run(verb + scratch.path()).status, 0) << verb;
        EXPECT_EQ(scratch.event("frozen"), 0) << verb;
    }
}

TEST(Command, ways_to_name_a_cgroup)
{
    Scratch scratch;
    const pid_t pid = scratch.spawn_sleeper();
    for (const std::string &name : {scratch.path(), scratch.path().substr(1), scratch.dir(),
                                    "--pid " + std::to_string(pid), scratch.path() + "//./"}) {
        const Ran ran = run("freeze --json " + name);
        EXPECT_EQ(ran.status, 0) << name << ran.err;
        EXPECT_EQ(json::parse(ran.out)["path"], scratch.path());
        EXPECT_EQ(run("thaw " + name).status, 0) << name;
    }
    // Once, however often it is named.
    const Ran twice = run("freeze --json " + scratch.path() + " --pid " + std::to_string(pid));
    EXPECT_EQ(lines_of(twice.out).size(), 1U);
}

TEST(Command, json_has_every_documented_field)
{
    Scratch scratch;
    scratch.spawn_sleeper();
    const json report = json::parse(run("freeze --json " + scratch.path()).out);
    for (const char *const field :
         {"schema",    "verb",           "target",           "path",        "hierarchy",
          "id",        "goal",           "outcome",          "error",       "actor",
          "requested", "already",        "already_frozen",   "rolled_back", "killed",
          "removed",   "state",          "held_by_ancestor", "tasks",       "cgroups",
          "frozen",    "not_frozen",     "elapsed_ns",       "slowest",     "stragglers",
          "tracking",  "tracking_error", "dropped_events",   "complete",    "verdict_source",
          "warnings"})
        EXPECT_TRUE(report.contains(field)) << field;
    EXPECT_EQ(report["frozen"], 1);
    EXPECT_EQ(report["not_frozen"], 0);
    EXPECT_EQ(report["state"], "FROZEN");
    EXPECT_EQ(report["complete"], true);

    const json status = json::parse(run("status --json " + scratch.path()).out);
    for (const char *const field : {"schema", "verb", "path", "hierarchy", "id", "state",
                                    "populated", "tasks", "frozen", "since_ns", "total_frozen_ns"})
        EXPECT_TRUE(status.contains(field)) << field;

    const std::string tracked = test::kernel_has_btf() ? "--require-bpf " : "";
    const json killed = json::parse(run("kill --json " + tracked + scratch.path()).out);
    if (test::kernel_has_btf() && !test::kernel_skips_programs()) {
        EXPECT_EQ(killed["deaths"], 1);
    } else if (!test::kernel_has_btf()) {
        EXPECT_EQ(killed["deaths"], nullptr);
    }
}

TEST(Command, hostile_names_are_harmless)
{
    Scratch scratch;
    scratch.spawn([] {
        ::prctl(PR_SET_NAME, "\x1b[2J\xff\"\n\\u");
        test::sleep_for_ever();
    });
    ASSERT_TRUE(test::eventually([&] {
        const auto threads = scratch.threads();
        return threads.size() == 1 &&
               test::read_file("/proc/" + std::to_string(threads[0]) + "/comm").front() == '\x1b';
    }));
    const Ran as_json = run("freeze --tasks --json " + scratch.path());
    const json report = json::parse(as_json.out);
    EXPECT_EQ(report["task_list"].size(), 1U);
    EXPECT_EQ(as_json.out.find('\x1b'), std::string::npos);
    const Ran as_text = run("status --tasks " + scratch.path());
    EXPECT_EQ(as_text.out.find('\x1b'), std::string::npos);
    EXPECT_NE(as_text.out.find("\\x1b[2J\\xff\""), std::string::npos) << as_text.out;
}

TEST(Command, several_targets)
{
    Scratch one;
    Scratch two;
    one.spawn_sleeper();
    two.spawn_sleeper();
    const Ran ran = run("freeze --json " + one.path() + " " + two.path());
    EXPECT_EQ(ran.status, 0);
    const auto reports = lines_of(ran.out);
    ASSERT_EQ(reports.size(), 2U);
    EXPECT_EQ(reports[0]["path"], one.path());
    EXPECT_EQ(reports[1]["path"], two.path());
    EXPECT_EQ(run("thaw " + one.path() + " " + two.path()).status, 0);
    EXPECT_EQ(one.event("frozen"), 0);
    EXPECT_EQ(two.event("frozen"), 0);
}

TEST(Command, a_frozen_ancestor)
{
    Scratch scratch;
    scratch.mkdir("a/b");
    scratch.spawn_sleeper("a/b");
    ASSERT_EQ(run("freeze " + scratch.path()).status, 0);

    // Through the ancestor alone is not "already".
    const Ran own = run("freeze --json " + scratch.path("a"));
    EXPECT_EQ(json::parse(own.out)["already_frozen"], false);

    const Ran thawed = run("thaw " + scratch.path("a"));
    EXPECT_EQ(thawed.status, 1);
    EXPECT_NE(thawed.err.find("ancestor " + scratch.path() + ":"), std::string::npos) << thawed.err;
    EXPECT_EQ(scratch.read("cgroup.freeze", "a"), "0\n");
    EXPECT_EQ(run("thaw " + scratch.path()).status, 0);
    EXPECT_EQ(scratch.event("frozen", "a/b"), 0);
}

TEST(Command, status_of_the_machine)
{
    Scratch scratch;
    scratch.spawn_sleeper();
    EXPECT_EQ(run("status").out.find(scratch.path() + " "), std::string::npos);
    ASSERT_EQ(run("freeze " + scratch.path()).status, 0);
    EXPECT_NE(run("status").out.find(scratch.path() + " "), std::string::npos);
}

TEST(Command, doctor)
{
    const Ran ran = run("doctor --json");
    EXPECT_EQ(ran.status, 0) << ran.err;
    const json diagnosis = json::parse(ran.out);
    EXPECT_EQ(diagnosis["able"], true);
    EXPECT_EQ(diagnosis["self_test"]["passed"], true) << ran.out;
    bool btf = false;
    for (const json &feature : diagnosis["features"]) {
        EXPECT_FALSE(feature["name"].get<std::string>().empty());
        if (feature["name"] == "tracker") {
            btf = test::kernel_has_btf();
            EXPECT_EQ(feature["state"], btf ? "yes" : "no") << feature;
        }
    }
    EXPECT_EQ(run("doctor --require tracker,cgroup.freeze").status, btf ? 0 : 3);
    const Ran wrong = run("doctor --require teapot");
    EXPECT_EQ(wrong.status, 2);
    EXPECT_NE(wrong.err.find("teapot"), std::string::npos);
    const Ran text = run("doctor");
    EXPECT_EQ(text.out.rfind("able: ", 0), 0U) << text.out;
    // Nothing is left of its self-test.
    EXPECT_NE(
        ::access(
            (test::cgroup2_mount() + "/freezerctl-doctor-" + std::to_string(::getpid())).c_str(),
            F_OK),
        0);
}

TEST(Command, help_and_version)
{
    EXPECT_EQ(run("--help").status, 0);
    EXPECT_EQ(run("freeze --help").status, 0);
    const Ran version = run("--version");
    EXPECT_EQ(version.status, 0);
    EXPECT_EQ(version.out.rfind("freezerctl ", 0), 0U) << version.out;
    EXPECT_NE(version.out.find("\nLinux "), std::string::npos) << version.out;
    EXPECT_NE(version.out.find("\nlibbpf "), std::string::npos) << version.out;
}

TEST(Command, completion_offers_what_makes_sense)
{
    Scratch scratch;
    const std::string unit = "completed-" + std::to_string(::getpid()) + ".service";
    scratch.mkdir(unit);
    scratch.spawn_sleeper(unit);
    const auto offers = [&](const std::string &verb) {
        return run({"completion", "--words", "--", verb, unit.substr(0, 8)})
                   .out.find(unit + "\n") != std::string::npos;
    };
    EXPECT_TRUE(offers("freeze"));
    EXPECT_FALSE(offers("thaw"));
    ASSERT_TRUE(scratch.write("cgroup.freeze", "1", unit));
    ASSERT_EQ(run("wait --for frozen " + unit).status, 0);
    EXPECT_FALSE(offers("freeze"));
    EXPECT_TRUE(offers("thaw"));
    EXPECT_EQ(run({"completion", "--words", "--", "thaw", scratch.path() + "/"}).out,
              scratch.path(unit) + "\n");
    EXPECT_EQ(run("completion bash").status, 0);
    EXPECT_EQ(run("completion csh").status, 2);
    EXPECT_EQ(run("completion").status, 2);
}

} // namespace
