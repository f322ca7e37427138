// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// trace, record, report and top as a user types them.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdlib>
#include <map>
#include <optional>
#include <regex>
#include <set>
#include <sstream>

#include <nlohmann/json.hpp>

#include "tests/support/command.h"
#include "tests/support/json_lines.h"
#include "tests/support/scratch.h"

namespace
{

using nlohmann::json;
using test::binary;
using test::Command;
using test::lines_of;
using test::Ran;
using test::run;

size_t count(const std::string &text, const std::string &what)
{
    size_t n = 0;
    for (size_t at = 0; (at = text.find(what, at)) != std::string::npos; ++at)
        ++n;
    return n;
}

// A file that is gone afterwards.
class File
{
  public:
    File()
    {
        const int fd = ::mkstemp(path_.data());
        if (fd < 0)
            std::abort();
        ::close(fd);
    }
    File(const File &) = delete;
    File &operator=(const File &) = delete;
    ~File() { ::unlink(path_.c_str()); }
    [[nodiscard]] const std::string &path() const { return path_; }

  private:
    std::string path_ = "/tmp/freezerctl-test-XXXXXX";
};

TEST(TraceCommand, follows_until_interrupted)
{
    test::Scratch scratch;
    for (int i = 0; i < 3; ++i)
        scratch.spawn_sleeper();
    Command trace({"trace", scratch.path()});
    ASSERT_TRUE(trace.says("tracing"));
    EXPECT_EQ(run({"freeze", scratch.path()}).status, 0);
    ASSERT_TRUE(trace.says("FROZEN")) << trace.err;
    EXPECT_EQ(run({"thaw", scratch.path()}).status, 0);
    ASSERT_TRUE(test::eventually([&] { return scratch.event("frozen") == 0; }));
    ASSERT_TRUE(trace.says(" left "));
    ::kill(trace.pid(), SIGINT);
    EXPECT_EQ(trace.finish().status, 0);
    EXPECT_EQ(count(trace.out, " frozen    "), 3U) << trace.out;
    EXPECT_EQ(count(trace.out, " freeze    "), 1U) << trace.out;
    EXPECT_NE(trace.out.find("freezerctl (uid 0)"), std::string::npos) << trace.out;
    EXPECT_NE(trace.out.find("3 tasks in "), std::string::npos) << trace.out;
}

TEST(TraceCommand, a_commands_status_and_what_it_did)
{
    test::Scratch scratch;
    for (int i = 0; i < 4; ++i)
        scratch.spawn_sleeper();
    const Ran ran = run({"trace", "--format", "json", scratch.path(), "--", "/bin/sh", "-c",
                         binary() + " freeze " + scratch.path() + " >/dev/null && exit 7"});
    EXPECT_EQ(ran.status, 7) << ran.err;
    const auto lines = lines_of(ran.out);
    ASSERT_GE(lines.size(), 3U);
    EXPECT_EQ(lines.front()["event"], "start");
    EXPECT_EQ(lines.back()["event"], "end");
    EXPECT_EQ(lines.back()["lost_total"], 0);
    EXPECT_EQ(lines.back()["events"], lines.size() - 2);
    std::set<int> reached;
    for (const json &line : lines) {
        if (line["event"] == "reached") {
            EXPECT_TRUE(reached.insert(line["task"]["tid"].get<int>()).second);
        }
        if (line["event"] == "freeze") {
            EXPECT_EQ(line["actor"]["comm"], "freezerctl");
            EXPECT_EQ(line["cgroup"], scratch.path());
        }
    }
    EXPECT_EQ(reached.size(), 4U);

    EXPECT_EQ(run({"trace", scratch.path(), "--", "/no/such/program"}).status, 127);
    const File no_program;
    EXPECT_EQ(run({"trace", scratch.path(), "--", no_program.path()}).status, 126);
    EXPECT_EQ(run({"trace", scratch.path(), "--", "/bin/sh", "-c", "kill -TERM $$"}).status,
              128 + SIGTERM);
}

TEST(TraceCommand, signals_pass_to_the_command)
{
    test::Scratch scratch;
    Command trace({"trace", scratch.path(), "--", "/bin/sh", "-c",
                   "trap 'exit 9' TERM; echo up; while :; do sleep 0.05; done"});
    ASSERT_TRUE(trace.says("up"));
    ::kill(trace.pid(), SIGTERM);
    EXPECT_EQ(trace.finish().status, 9);
}

TEST(TraceCommand, for_a_time)
{
    test::Scratch scratch;
    EXPECT_EQ(run({"trace", scratch.path(), "--for", "100ms"}).status, 0);
    EXPECT_EQ(run({"trace", "--for", "100ms"}).status, 0);
    EXPECT_EQ(run({"top", "--for", "100ms"}).status, 0);
}

TEST(TraceCommand, bad_input)
{
    test::Scratch scratch;
    EXPECT_EQ(run("trace /no-such-cgroup-here").status, 4);
    EXPECT_EQ(run({"trace", scratch.path(), "--for", "soon"}).status, 2);
    EXPECT_EQ(run({"trace", scratch.path(), "--events", "melt"}).status, 2);
    EXPECT_EQ(run({"trace", scratch.path(), "--format", "xml"}).status, 2);
    EXPECT_EQ(run({"trace", scratch.path(), "--buffer", "1"}).status, 2);
    EXPECT_EQ(run({"trace", scratch.path(), "--"}).status, 2);
    EXPECT_EQ(run("report /no/such/file").status, 1);
    EXPECT_EQ(run("report /proc/version").status, 1); // another kind of file
    EXPECT_EQ(run("report /tmp").status, 1);
    EXPECT_EQ(run("report /dev/null").status, 1);
    EXPECT_EQ(run({"report", "--format", "pdf", "/dev/null"}).status, 2);
    EXPECT_EQ(run({"record", "-o", "/no/such/directory/file", "--for", "1ms"}).status, 1);
}

TEST(TraceCommand, a_reader_that_goes_away_ends_it)
{
    test::Scratch scratch;
    scratch.spawn_sleeper();
    Command trace({"trace", scratch.path()});
    ASSERT_TRUE(trace.says("tracing"));
    trace.close_output();
    // No event is needed for it to notice.
    EXPECT_EQ(trace.finish().status, 128 + SIGPIPE);
}

TEST(TraceCommand, a_reader_that_goes_away_leaves_the_command_alone)
{
    test::Scratch scratch;
    Command trace({"trace", scratch.path(), "--", "/bin/sh", "-c",
                   "trap 'exit 5' TERM; echo up >&2; while :; do sleep 0.05; done"});
    ASSERT_TRUE(trace.says("up"));
    trace.close_output();
    ::kill(trace.pid(), SIGTERM);
    EXPECT_EQ(trace.finish().status, 5);
}

TEST(TraceCommand, a_removed_cgroup_ends_it)
{
    test::Scratch scratch;
    scratch.mkdir("gone");
    Command trace({"trace", scratch.path("gone")});
    ASSERT_TRUE(trace.says("tracing"));
    ASSERT_TRUE(scratch.rmdir("gone"));
    EXPECT_EQ(trace.finish().status, 0);
    EXPECT_NE(trace.err.find("removed"), std::string::npos) << trace.err;
    EXPECT_NE(trace.out.find(" removed "), std::string::npos) << trace.out;
}

TEST(TraceCommand, stdout_that_is_full)
{
    test::Scratch scratch;
    scratch.spawn_sleeper();
    const std::string command =
        binary() + " trace --json " + scratch.path() + " --for 10s > /dev/full 2>/dev/null";
    const int status = std::system(command.c_str());
    EXPECT_EQ(WEXITSTATUS(status), 1);
}

TEST(RecordCommand, and_every_report)
{
    test::Scratch scratch;
    scratch.mkdir("a");
    for (int i = 0; i < 5; ++i)
        scratch.spawn_sleeper("a");
    const File file;
    const Ran recorded = run(
        {"record", "-o", file.path(), scratch.path(), "--", binary(), "freeze", scratch.path()});
    ASSERT_EQ(recorded.status, 0) << recorded.err;

    const Ran text = run({"report", file.path()});
    EXPECT_EQ(text.status, 0) << text.err;
    EXPECT_EQ(text.err, "");
    EXPECT_EQ(count(text.out, " frozen    "), 5U) << text.out;
    const Ran as_json = run({"report", "--format", "json", file.path()});
    size_t reached = 0;
    for (const json &line : lines_of(as_json.out))
        reached += line["event"] == "reached" ? 1 : 0;
    EXPECT_EQ(reached, 5U);
    const Ran summary = run({"report", "--format", "summary", file.path()});
    EXPECT_NE(summary.out.find("5 tasks, frozen in "), std::string::npos) << summary.out;
    EXPECT_NE(summary.out.find("1 freeze, "), std::string::npos) << summary.out;
    const json perfetto = json::parse(run({"report", "--format", "perfetto", file.path()}).out);
    // Each task has its own track: freezing from the request on, then frozen without a gap.
    double request = -1;
    std::map<int, json> freezing;
    std::map<int, json> frozen;
    for (const json &event : perfetto["traceEvents"]) {
        if (event["ph"] != "X")
            continue;
        if (event["name"] == "freeze " + scratch.path()) {
            request = event["ts"];
        } else if (event["name"] == "freezing") {
            EXPECT_TRUE(freezing.emplace(event["tid"], event).second);
        } else if (event["name"] == "frozen") {
            EXPECT_TRUE(frozen.emplace(event["tid"], event).second);
        }
    }
    const std::vector<pid_t> tasks = scratch.threads("a");
    EXPECT_EQ(freezing.size(), tasks.size());
    for (const pid_t tid : tasks) {
        ASSERT_TRUE(freezing.contains(tid) && frozen.contains(tid)) << tid;
        const double begin = freezing[tid]["ts"];
        EXPECT_NEAR(begin, request, 0.001) << tid;
        EXPECT_NEAR(begin + freezing[tid]["dur"].get<double>(), frozen[tid]["ts"].get<double>(),
                    0.002)
            << tid;
        EXPECT_GT(frozen[tid]["dur"], 0) << tid;
    }
    EXPECT_TRUE(run({"report", "--format", "svg", file.path()}).out.starts_with("<svg "));
    EXPECT_TRUE(run({"report", "--format", "html", file.path()}).out.starts_with("<!DOCTYPE"));
    EXPECT_EQ(run({"report", "--format", "svg", "--freeze", "2", file.path()}).status, 1);

    // Cut in the middle of a line.
    const std::string whole = test::read_file(file.path());
    ASSERT_EQ(::truncate(file.path().c_str(), static_cast<off_t>(whole.size() * 2 / 3)), 0);
    const Ran cut = run({"report", file.path()});
    EXPECT_EQ(cut.status, 0);
    EXPECT_NE(cut.err.find("cut short"), std::string::npos) << cut.err;
    EXPECT_NE(cut.err.find("damaged"), std::string::npos) << cut.err;
    EXPECT_GT(count(cut.out, "\n"), 0U);
}

TEST(RecordCommand, killed_it_leaves_a_file_that_opens)
{
    test::Scratch scratch;
    for (int i = 0; i < 3; ++i)
        scratch.spawn_sleeper();
    const File file;
    {
        Command record({"record", "-o", file.path(), scratch.path()});
        ASSERT_TRUE(record.says("tracing"));
        EXPECT_EQ(run({"freeze", scratch.path()}).status, 0);
        ASSERT_TRUE(test::eventually(
            [&] { return count(test::read_file(file.path()), "\"event\":\"reached\"") == 3; }));
        ::kill(record.pid(), SIGKILL);
        EXPECT_EQ(record.finish().status, 128 + SIGKILL);
    }
    const Ran text = run({"report", file.path()});
    EXPECT_EQ(text.status, 0);
    EXPECT_EQ(count(text.out, " frozen    "), 3U) << text.out;
    EXPECT_NE(text.err.find("cut short"), std::string::npos) << text.err;
}

TEST(RecordCommand, a_full_disk_is_said)
{
    test::Scratch scratch;
    const Ran full = run({"record", "-o", "/dev/full", scratch.path(), "--for", "10s"});
    EXPECT_EQ(full.status, 1);
    EXPECT_NE(full.err.find("No space left"), std::string::npos) << full.err;
}

TEST(RecordCommand, what_was_written_before_the_disk_was_full_stays)
{
    test::Scratch scratch;
    for (int i = 0; i < 30; ++i)
        scratch.spawn_sleeper();
    const File file;
    Command record(
        {"record", "-o", file.path(), scratch.path(), "--", binary(), "freeze", scratch.path()},
        [] {
            // No room for all the tasks that are there at the start; inherited, as a
            // full disk is.
            const rlimit room{4096, 4096};
            ::setrlimit(RLIMIT_FSIZE, &room);
            ::signal(SIGXFSZ, SIG_IGN);
        });
    EXPECT_EQ(record.finish().status, 1);
    EXPECT_NE(record.err.find("File too large"), std::string::npos) << record.err;
    const Ran as_json = run({"report", "--format", "json", file.path()});
    EXPECT_EQ(as_json.status, 0) << as_json.err;
    EXPECT_EQ(lines_of(as_json.out).at(0)["event"], "start");
    EXPECT_NE(as_json.err.find("cut short"), std::string::npos) << as_json.err;
}

TEST(TraceCommand, stats_count_every_program_that_is_loaded)
{
    test::Scratch scratch;
    scratch.spawn_sleeper();
    const Ran ran = run({"trace", "--stats", "--events", "requests", scratch.path(), "--", binary(),
                         "freeze", scratch.path()});
    EXPECT_EQ(ran.status, 0) << ran.err;
    // One freeze was asked for, whatever else the machine does; tasks are not followed.
    EXPECT_TRUE(
        std::regex_search(ran.err, std::regex("trace_freeze +[1-9][0-9]* +[0-9.]+ [mun]?s ")))
        << ran.err;
    EXPECT_EQ(ran.err.find("trace_switch"), std::string::npos) << ran.err;
    EXPECT_NE(ran.err.find("1 event in "), std::string::npos) << ran.err;
    EXPECT_NE(ran.err.find(" a second; 0 lost"), std::string::npos) << ran.err;
}

TEST(RecordCommand, losses_are_said_everywhere)
{
    test::Scratch scratch;
    for (int i = 0; i < 300; ++i)
        scratch.spawn_sleeper();
    const File file;
    Command record(
        {"record", "-o", file.path(), "--buffer", "4096", "--events", "reached", scratch.path()});
    ASSERT_TRUE(record.says("tracing"));
    ::kill(record.pid(), SIGSTOP); // nobody reads
    EXPECT_EQ(run({"freeze", scratch.path()}).status, 0);
    ::kill(record.pid(), SIGCONT);
    ::kill(record.pid(), SIGTERM);
    EXPECT_EQ(record.finish().status, 0);
    EXPECT_NE(record.err.find("were lost (reached "), std::string::npos) << record.err;
    const Ran as_json = run({"report", "--format", "json", file.path()});
    const auto lines = lines_of(as_json.out);
    EXPECT_EQ(lines.back()["lost"]["reached"].get<int>() + lines.back()["events"].get<int>(), 300);
    EXPECT_NE(as_json.err.find("were lost"), std::string::npos);
    EXPECT_NE(run({"report", "--format", "html", file.path()}).out.find("were lost"),
              std::string::npos);
}

TEST(TraceCommand, hostile_names)
{
    test::Scratch scratch;
    scratch.spawn([] {
        if (!test::write_file("/proc/self/comm", "\x1b[2J<&\"'>"))
            ::_exit(1);
        test::sleep_for_ever();
    });
    ASSERT_TRUE(test::eventually([&] {
        return test::read_file("/proc/" + std::to_string(scratch.threads()[0]) + "/comm")[0] ==
               '\x1b';
    }));
    const File file;
    EXPECT_EQ(
        run({"record", "-o", file.path(), scratch.path(), "--", binary(), "freeze", scratch.path()})
            .status,
        0);
    for (const char *format : {"text", "json", "summary", "perfetto", "svg", "html"}) {
        const Ran ran = run({"report", "--format", format, file.path()});
        EXPECT_EQ(ran.status, 0) << format;
        EXPECT_NE(ran.out.find("[2J"), std::string::npos) << format;
        EXPECT_EQ(ran.out.find('\x1b'), std::string::npos) << format;
        EXPECT_TRUE(ran.out.find("<&") == std::string::npos || std::string(format) == "text" ||
                    ran.out[0] != '<')
            << format;
    }
}

TEST(TraceCommand, the_schema_is_json)
{
    const Ran ran = run("trace --json-schema");
    EXPECT_EQ(ran.status, 0);
    EXPECT_EQ(json::parse(ran.out)["properties"]["schema"]["const"], 1);
}

TEST(TopCommand, shows_what_is_frozen_and_who_did_it)
{
    test::Scratch scratch;
    scratch.spawn_sleeper();
    Command top({"top"});
    ASSERT_TRUE(top.says("CGROUP"));
    EXPECT_EQ(run({"freeze", scratch.path()}).status, 0);
    ASSERT_TRUE(top.says(scratch.path()));
    ASSERT_TRUE(top.says("freezerctl"));
    ::kill(top.pid(), SIGINT);
    EXPECT_EQ(top.finish().status, 0);
    const Ran once = run("top --once");
    EXPECT_EQ(once.status, 0);
    EXPECT_NE(once.out.find(scratch.path()), std::string::npos) << once.out;
}

} // namespace
