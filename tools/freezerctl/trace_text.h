// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// A trace as lines for people.
#ifndef FREEZERCTL_TOOLS_TRACE_TEXT_H
#define FREEZERCTL_TOOLS_TRACE_TEXT_H

#include <cstdint>
#include <optional>
#include <string>

#include "user/trace_event.h"
#include "user/trace_model.h"
#include "user/trace_session.h"

namespace freezerctl
{

class TraceText
{
  public:
    // The line of an event, with its end; "" for one that says nothing to a reader: a member at the
    // start, a request that only passes down to the cgroups below.
    std::string line(const freezer::TraceEvent &event);

  private:
    std::string head(const freezer::TraceEvent &event, const std::string &word);
    std::string what(const freezer::TraceEvent &event) const;

    freezer::TraceModel model_{false};
    std::optional<std::uint64_t> start_ns_;
    size_t path_width_ = 16;
};

// "4711 postgres"
std::string name_of(const freezer::TraceTask &task);
// A path that was not known is its id.
std::string name_of(const freezer::TraceCgroup &cgroup);
// "5 events were lost (reached 3, left 2)"; "" if none was.
std::string describe_drops(const freezer::TraceDrops &drops);
// A table, and the rate of events.
std::string describe_costs(const std::vector<freezer::ProgramCost> &costs, std::uint64_t events,
                           std::uint64_t lost, std::uint64_t elapsed_ns);

} // namespace freezerctl

#endif
