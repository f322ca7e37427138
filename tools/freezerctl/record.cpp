// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// record: a trace into a file.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "tools/freezerctl/cli.h"
#include "tools/freezerctl/record_file.h"
#include "tools/freezerctl/text.h"
#include "tools/freezerctl/trace_run.h"
#include "user/files.h"

namespace freezerctl
{
namespace
{

struct RecordArguments : TraceArguments {
    std::string output = "freezerctl.record";
};

// Each batch is written as soon as it was read: of a recorder that is killed only what was still in
// the ring buffer is lost.
class FileSink : public TraceSink
{
  public:
    FileSink(int fd, const std::string &name) : name_(name), output_(fd, name, Output::When::kKept)
    {
    }

    bool begin(const TraceStart &start, const std::vector<freezer::TraceEvent> &members) override
    {
        if (!output_.print(record_header() + record_line(to_json(start))))
            return false;
        for (const freezer::TraceEvent &member : members) {
            if (!event(member))
                return false;
        }
        return true;
    }
    bool event(const freezer::TraceEvent &event) override
    {
        return output_.print(record_line(to_json(event)));
    }
    bool flush() override { return output_.flush(); }
    bool end(const TraceEnd &end, const std::vector<freezer::ProgramCost> &costs) override
    {
        events_ = end.events;
        return output_.print(record_line(to_json(end, costs))) && flush();
    }
    int complain_of_failure() override
    {
        complain(printable(name_) + ": write: " + std::strerror(output_.error()) +
                 "; what was written before can be read\n");
        return kFailed;
    }
    [[nodiscard]] bool good() const { return output_.error() == 0; }
    [[nodiscard]] std::uint64_t events() const { return events_; }

  private:
    std::string name_;
    Output output_;
    std::uint64_t events_ = 0;
};

int record(const RecordArguments &args)
{
    const bool to_stdout = args.output == "-";
    freezer::UniqueFd file;
    if (!to_stdout) {
        file = freezer::UniqueFd(
            ::open(args.output.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
        if (!file) {
            complain(printable(args.output) + ": " + std::strerror(errno) + "\n");
            return kFailed;
        }
    }
    FileSink sink(to_stdout ? STDOUT_FILENO : file.get(), args.output);
    const int code = run_trace("record", args, sink);
    if (sink.good() && sink.events() > 0)
        complain("freezerctl: " + std::to_string(sink.events()) + " events in " +
                 printable(args.output) + "\n");
    return code;
}

void describe_record(Syntax &syntax, RecordArguments &args)
{
    add_trace_options(syntax, args);
    syntax.option("-o,--output", args.output, "The file; '-' is stdout (default freezerctl.record)")
        .value("FILE");
    syntax.takes_command(args.command);
}

} // namespace

void add_record_verb(Cli &cli)
{
    cli.add_verb<RecordArguments>({"record"}, "Write a trace to a file, for 'freezerctl report'",
                                  describe_record, record);
}

} // namespace freezerctl
