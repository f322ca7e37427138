// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// trace: every freeze, thaw and kill as it happens.
#include <unistd.h>

#include <csignal>

#include "tools/freezerctl/cli.h"
#include "tools/freezerctl/trace_json.h"
#include "tools/freezerctl/trace_run.h"
#include "tools/freezerctl/trace_text.h"

namespace freezerctl
{
namespace
{

struct LiveArguments : TraceArguments {
    bool json = false;
    bool schema = false;
};

// Lines on stdout.
class LiveSink : public TraceSink
{
  public:
    explicit LiveSink(bool json) : json_(json), pipe_(is_pipe(STDOUT_FILENO)) {}

    bool begin(const TraceStart &start, const std::vector<freezer::TraceEvent> &members) override
    {
        for (const freezer::TraceEvent &member : members)
            (void)text_.line(member);
        return !json_ || print(to_json(start) + "\n");
    }
    bool event(const freezer::TraceEvent &event) override
    {
        return print(json_ ? to_json(event) + "\n" : text_.line(event));
    }
    bool flush() override { return standard_output().flush(); }
    bool end(const TraceEnd &end, const std::vector<freezer::ProgramCost> &costs) override
    {
        return !json_ || print(to_json(end, costs) + "\n");
    }
    [[nodiscard]] int pipe_fd() const override { return pipe_ ? STDOUT_FILENO : -1; }
    int complain_of_failure() override
    {
        // Without an error it is the other end of the pipe that has gone.
        return standard_output().error() != 0 ? standard_output().complain_of_error()
                                              : kSignal + SIGPIPE;
    }

  private:
    bool json_;
    bool pipe_;
    TraceText text_;
};

int trace(const LiveArguments &args)
{
    if (args.schema) {
        print(trace_schema());
        return kReached;
    }
    LiveSink sink(args.json);
    return run_trace("trace", args, sink);
}

void describe_trace(Syntax &syntax, LiveArguments &args)
{
    add_trace_options(syntax, args);
    syntax.choice("--format", args.json, {{"text", false}, {"json", true}},
                  "Lines, or one JSON object on each");
    syntax.flag("--json", args.json, "The same as --format json");
    syntax.flag("--json-schema", args.schema, "Print the schema of the JSON, and end");
    syntax.takes_command(args.command);
}

} // namespace

void add_trace_verb(Cli &cli)
{
    cli.add_verb<LiveArguments>({"trace"}, "Show every freeze, thaw and kill as it happens",
                                describe_trace, trace);
}

} // namespace freezerctl
