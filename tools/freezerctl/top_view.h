// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// What `top` shows: which cgroups are frozen, freezing or being killed, and who holds them up.
// Pure.
#ifndef FREEZERCTL_TOOLS_TOP_VIEW_H
#define FREEZERCTL_TOOLS_TOP_VIEW_H

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "user/freezer.h"
#include "user/trace_event.h"
#include "user/trace_model.h"

namespace freezerctl
{

struct TopRow {
    std::string cgroup;
    std::string state;
    std::string tasks; // "3/5": frozen of all
    std::string since; // for how long
    std::string actor;
    std::string slowest;
};

// The events' side of the view; the kernel's files are the other (`status`).
class TopView
{
  public:
    void apply(const freezer::TraceEvent &event);
    // `status`: every cgroup that is frozen or freezing. Those being killed come first, then those
    // still freezing, then the frozen ones.
    [[nodiscard]] std::vector<TopRow> rows(const std::vector<freezer::CgroupStatus> &status,
                                           std::uint64_t now_ns) const;

  private:
    struct Kill {
        std::string path;
        freezer::TraceTask actor;
        std::uint64_t time_ns = 0;
        std::set<std::uint32_t> dying; // tasks that were sent SIGKILL and live
    };
    [[nodiscard]] const freezer::Freeze *freeze_of(const std::string &path) const;

    freezer::TraceModel model_{false};
    std::map<std::uint64_t, Kill> kills_; // by cgroup id
};

bool same_but_times(const std::vector<TopRow> &a, const std::vector<TopRow> &b);

// As a table, its head first; lines without their ends.
std::vector<std::string> describe_top(const std::vector<TopRow> &rows);

} // namespace freezerctl

#endif
