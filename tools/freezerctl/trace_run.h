// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// What trace and record have in common: the options, and the loop that follows a live trace.
#ifndef FREEZERCTL_TOOLS_TRACE_RUN_H
#define FREEZERCTL_TOOLS_TRACE_RUN_H

#include <cstdint>
#include <string>
#include <vector>

#include "tools/freezerctl/session.h"
#include "tools/freezerctl/syntax.h"
#include "tools/freezerctl/trace_json.h"

namespace freezerctl
{

struct TraceArguments {
    TargetArguments targets;
    std::string events;
    std::string duration;
    std::uint32_t buffer = freezer::TraceOptions().ring_bytes;
    bool stats = false;
    std::vector<std::string> command;
};
void add_trace_options(Syntax &syntax, TraceArguments &args);

// Where the events go. Each call returns false when nothing more can be taken.
class TraceSink
{
  public:
    TraceSink() = default;
    TraceSink(const TraceSink &) = delete;
    TraceSink &operator=(const TraceSink &) = delete;
    virtual ~TraceSink() = default;

    virtual bool begin(const TraceStart &start,
                       const std::vector<freezer::TraceEvent> &members) = 0;
    virtual bool event(const freezer::TraceEvent &event) = 0;
    // After each batch: what was taken is to be seen now.
    virtual bool flush() = 0;
    virtual bool end(const TraceEnd &end, const std::vector<freezer::ProgramCost> &costs) = 0;
    // The pipe whose reader's end is the end of the trace; -1: none.
    [[nodiscard]] virtual int pipe_fd() const { return -1; }
    // The exit code when nothing more could be taken. Says why, unless that needs no words.
    virtual int complain_of_failure() = 0;
};

// Follows until Ctrl-C, --for, the command's end, or the removal of every cgroup that was named.
int run_trace(const std::string &verb, const TraceArguments &args, TraceSink &sink);

// stdout as a sink is used: whether it is a pipe, and why a write failed.
bool is_pipe(int fd);

} // namespace freezerctl

#endif
