// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// report: a recording as lines, JSON, a summary, or a picture.
#include <fcntl.h>

#include <cerrno>
#include <cstring>

#include "tools/freezerctl/cli.h"
#include "tools/freezerctl/output.h"
#include "tools/freezerctl/record_file.h"
#include "tools/freezerctl/text.h"
#include "tools/freezerctl/trace_text.h"
#include "tools/freezerctl/trace_views.h"

namespace freezerctl
{
namespace
{

enum class Format { kText, kJson, kSummary, kPerfetto, kSvg, kHtml };

struct ReportArguments {
    std::string file = "freezerctl.record";
    std::string output;
    Format format = Format::kText;
    size_t freeze = 0; // 0: the slowest
};

std::string lines(const Recording &recording)
{
    TraceText text;
    std::string out;
    for (const freezer::TraceEvent &event : recording.events)
        out += text.line(event);
    return out;
}

std::string json_lines(const Recording &recording)
{
    std::string out = to_json(recording.start) + "\n";
    for (const freezer::TraceEvent &event : recording.events) {
        if (event.kind != FZ_TR_MEMBER)
            out += to_json(event) + "\n";
    }
    if (recording.end)
        out += to_json(*recording.end, {}) + "\n";
    return out;
}

// The freeze that is meant; NULL, and said, if it is not there.
const freezer::Freeze *choose(const freezer::TraceModel &model, size_t number)
{
    const freezer::Freeze *chosen = nullptr;
    size_t i = 0;
    for (const freezer::Freeze &freeze : model.freezes()) {
        ++i;
        const auto slowness = [](const freezer::Freeze &f) {
            return f.total_ns().value_or(UINT64_MAX);
        };
        if (number == i || (number == 0 && (!chosen || slowness(freeze) > slowness(*chosen))))
            chosen = &freeze;
    }
    if (!chosen)
        complain(number == 0
                     ? "freezerctl: the recording has no freeze\n"
                     : "freezerctl: the recording has " + std::to_string(i) +
                           " freezes, none has the number " + std::to_string(number) + "\n");
    return chosen;
}

std::optional<std::string> render(const Recording &recording, const ReportArguments &args)
{
    switch (args.format) {
    case Format::kText:
        return lines(recording);
    case Format::kJson:
        return json_lines(recording);
    case Format::kSummary:
        return summary(recording);
    case Format::kPerfetto:
        return perfetto(recording);
    case Format::kHtml:
        return html(recording);
    case Format::kSvg: {
        const freezer::TraceModel model = model_of(recording);
        const freezer::Freeze *const freeze = choose(model, args.freeze);
        if (!freeze)
            return std::nullopt;
        return svg(*freeze, shortcomings(recording));
    }
    }
    return std::nullopt;
}

int write_to(Output &output, const std::string &text)
{
    return output.print(text) && output.flush() ? kReached : output.complain_of_error();
}

int write_out(const std::string &text, const std::string &path)
{
    if (path.empty())
        return write_to(standard_output(), text);
    const freezer::UniqueFd file(
        ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
    if (!file) {
        complain(printable(path) + ": " + std::strerror(errno) + "\n");
        return kFailed;
    }
    Output output(file.get(), path, Output::When::kKept);
    return write_to(output, text);
}

int report(const ReportArguments &args)
{
    const auto recording = read_recording(args.file);
    if (!recording) {
        const bool foreign = recording.error().kind == freezer::ErrorKind::kInvalid;
        complain((foreign ? printable(args.file) + ": " : "") +
                 printable(recording.error().message) + "\n");
        return kFailed;
    }
    const auto text = render(*recording, args);
    if (!text)
        return kFailed;
    const std::string wrong = shortcomings(*recording);
    if (!wrong.empty())
        complain(printable(args.file) + ": " + wrong + "\n");
    return write_out(*text, args.output);
}

void describe_report(Syntax &syntax, ReportArguments &args)
{
    syntax.option("FILE", args.file, "The recording; '-' is stdin (default freezerctl.record)");
    syntax.choice("--format", args.format,
                  {{"text", Format::kText},
                   {"json", Format::kJson},
                   {"summary", Format::kSummary},
                   {"perfetto", Format::kPerfetto},
                   {"svg", Format::kSvg},
                   {"html", Format::kHtml}},
                  "As what (default text)");
    syntax.option("-o,--output", args.output, "Write to this file, not to stdout").value("FILE");
    syntax
        .option("--freeze", args.freeze,
                "svg: which one, by its number in the summary (default: the slowest)")
        .positive()
        .value("N");
}

} // namespace

void add_report_verb(Cli &cli)
{
    cli.add_verb<ReportArguments>({"report"}, "Show what 'freezerctl record' has written",
                                  describe_report, report);
}

} // namespace freezerctl
