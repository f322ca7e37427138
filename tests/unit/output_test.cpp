// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <string>

#include "tools/freezerctl/exit_code.h"
#include "tools/freezerctl/json.h"
#include "tools/freezerctl/text.h"

namespace
{

using freezerctl::printable;
using nlohmann::json;

TEST(Printable, ordinary_text_stays)
{
    for (const char *text : {"", "postgres: writer", "a-b_c.d/e", "gr\xc3\xbc\xc3\x9f",
                             "\xe6\x97\xa5\xe6\x9c\xac", "\xf0\x9f\x90\xa7"})
        EXPECT_EQ(printable(text), text);
}

TEST(Printable, what_a_terminal_acts_on)
{
    EXPECT_EQ(printable("a\x1b[2Jb"), "a\\x1b[2Jb");
    EXPECT_EQ(printable("\r\n\t\b\x07"), "\\x0d\\x0a\\x09\\x08\\x07");
    EXPECT_EQ(printable(std::string(1, '\0')), "\\x00");
    EXPECT_EQ(printable("\x7f"), "\\x7f");
    // C1 controls: CSI as one code point, and as a bare byte.
    EXPECT_EQ(printable("\xc2\x9b"), "\\xc2\\x9b");
    EXPECT_EQ(printable("\x9b"), "\\x9b");
}

TEST(Printable, what_could_be_taken_for_something_else)
{
    EXPECT_EQ(printable("\\x41"), "\\x5cx41");
    EXPECT_EQ(printable("\xe2\x80\xae"), "\\xe2\\x80\\xae"); // right-to-left override
    EXPECT_EQ(printable("\xe2\x80\x8b"), "\\xe2\\x80\\x8b"); // zero-width space
    EXPECT_EQ(printable("\xc2\xa0"), "\\xc2\\xa0");          // no-break space
    EXPECT_EQ(printable("\xef\xbb\xbf"), "\\xef\\xbb\\xbf"); // byte order mark
}

TEST(Printable, invalid_utf_8)
{
    EXPECT_EQ(printable("\xff"), "\\xff");
    EXPECT_EQ(printable("\xc3"), "\\xc3");                            // cut off
    EXPECT_EQ(printable("\xe6\x97"), "\\xe6\\x97");                   // cut off
    EXPECT_EQ(printable("\xc0\xaf"), "\\xc0\\xaf");                   // overlong
    EXPECT_EQ(printable("\xe0\x80\xaf"), "\\xe0\\x80\\xaf");          // overlong
    EXPECT_EQ(printable("\xed\xa0\x80"), "\\xed\\xa0\\x80");          // a surrogate
    EXPECT_EQ(printable("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80"); // beyond U+10FFFF
    EXPECT_EQ(printable("\xc3(x"), "\\xc3(x");
}

TEST(Printable, every_byte_gives_harmless_text)
{
    for (int byte = 0; byte < 256; ++byte) {
        for (const char c : printable(std::string(1, static_cast<char>(byte)))) {
            EXPECT_GE(c, 0x20) << byte;
            EXPECT_LT(c, 0x7f) << byte;
        }
    }
}

freezer::TargetReport hostile_report(const std::string &bytes)
{
    freezer::TargetReport report;
    report.target = "/" + bytes;
    report.path = "/" + bytes;
    report.outcome = freezer::Outcome::kDeadline;
    report.error = freezer::Error{freezer::ErrorKind::kSystem, 5, bytes};
    report.actor = freezer::Actor{1, 2, bytes};
    report.held_by_ancestor = bytes;
    report.slowest = freezer::TaskTime{3, 4, bytes, 5};
    freezer::TaskEntry task;
    task.comm = bytes;
    task.wchan = bytes;
    task.note = freezer::TaskEntry::Note::kZombie;
    task.parent_comm = bytes;
    report.stragglers = {task};
    report.entries = {{task}};
    report.warnings = {bytes};
    return report;
}

TEST(Json, any_bytes_come_out_valid)
{
    std::string all;
    for (int byte = 0; byte < 256; ++byte)
        all += static_cast<char>(byte);
    for (const std::string &bytes :
         {all, std::string("\"},{\"x\":\""), std::string("\xff\xfe"), std::string("\xed\xa0\x80"),
          std::string("a\nb\0c", 5), std::string("\xe6\x97")}) {
        const std::string text = freezerctl::to_json(hostile_report(bytes), {});
        // One line, so that a reader can split by lines.
        EXPECT_EQ(text.find('\n'), std::string::npos);
        const json object = json::parse(text, nullptr, false);
        ASSERT_FALSE(object.is_discarded()) << text;
        EXPECT_EQ(object.at("outcome"), "deadline");
        EXPECT_EQ(object.at("stragglers").size(), 1U);
        EXPECT_EQ(object.at("task_list").size(), 1U);
        EXPECT_TRUE(object.at("actor").at("comm").is_string());
    }
}

TEST(Json, valid_names_are_kept)
{
    const std::string name = "gr\xc3\xbc\xc3\x9f \"quoted\" \\ \x1b[2J";
    const json object = json::parse(freezerctl::to_json(hostile_report(name), {}));
    EXPECT_EQ(object.at("slowest").at("comm"), name);
    EXPECT_EQ(object.at("stragglers").at(0).at("comm"), name);
    EXPECT_EQ(object.at("path"), "/" + name);
}

TEST(Json, what_is_not_known_is_null)
{
    const json object = json::parse(
        freezerctl::to_json(freezer::TargetReport{}, {freezer::TrackingSource::kOwn, {}}));
    for (const char *key : {"error", "actor", "state", "held_by_ancestor", "slowest"})
        EXPECT_TRUE(object.at(key).is_null()) << key;
    EXPECT_FALSE(object.contains("task_list"));
    EXPECT_EQ(object.at("tracking"), "bpf");
    EXPECT_TRUE(object.at("tracking_error").is_null());
}

TEST(Json, no_tracking_says_why)
{
    const freezer::Error error{freezer::ErrorKind::kUnsupported, 0, "no BTF \xff"};
    const json object = json::parse(
        freezerctl::to_json(freezer::TargetReport{}, {freezer::TrackingSource::kNone, error}));
    EXPECT_EQ(object.at("tracking"), "none");
    EXPECT_EQ(object.at("tracking_error").get<std::string>().rfind("no BTF ", 0), 0U);
}

TEST(Text, trouble_with_a_hostile_name_is_harmless)
{
    const auto report = hostile_report("\x1b]0;owned\x07\xff\n");
    for (const char c : freezerctl::describe_trouble(report)) {
        const auto byte = static_cast<unsigned char>(c);
        EXPECT_TRUE(byte == '\n' || (byte >= 0x20 && byte < 0x7f)) << static_cast<int>(byte);
    }
}

TEST(ExitCodes, the_first_that_applies)
{
    static constexpr std::array kOrder{freezerctl::kUsage,        freezerctl::kSignal,
                                       freezerctl::kFailed,       freezerctl::kDeadline,
                                       freezerctl::kNoSuchCgroup, freezerctl::kNotInState,
                                       freezerctl::kReached};
    for (size_t i = 0; i < kOrder.size(); ++i) {
        for (size_t j = 0; j < kOrder.size(); ++j)
            EXPECT_EQ(freezerctl::worse(kOrder[i], kOrder[j]), kOrder[std::min(i, j)])
                << i << " " << j;
    }
}

TEST(ExitCodes, of_outcomes_and_errors)
{
    using freezer::ErrorKind;
    using freezer::Outcome;
    const auto of_outcome = [](Outcome outcome) {
        freezer::TargetReport report;
        report.outcome = outcome;
        return static_cast<int>(freezerctl::exit_code_of(report));
    };
    EXPECT_EQ(of_outcome(Outcome::kReached), 0);
    EXPECT_EQ(of_outcome(Outcome::kFailed), 1);
    EXPECT_EQ(of_outcome(Outcome::kDeadline), 124);
    EXPECT_EQ(of_outcome(Outcome::kInterrupted), 128);
    EXPECT_EQ(of_outcome(Outcome::kNoSuchCgroup), 4);
    const auto of_kind = [](ErrorKind kind) {
        return static_cast<int>(freezerctl::exit_code_of(freezer::Error{kind, 0, ""}));
    };
    EXPECT_EQ(of_kind(ErrorKind::kInvalid), 2);
    EXPECT_EQ(of_kind(ErrorKind::kNoSuchCgroup), 4);
    for (const ErrorKind kind :
         {ErrorKind::kSystem, ErrorKind::kRefused, ErrorKind::kPermission, ErrorKind::kUnsupported})
        EXPECT_EQ(of_kind(kind), 1);
}

} // namespace
