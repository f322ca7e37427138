// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#ifndef FREEZERCTL_TOOLS_PROGRESS_H
#define FREEZERCTL_TOOLS_PROGRESS_H

#include <set>
#include <string>

#include "user/why.h"

namespace freezerctl
{

// What somebody who watches is told while an operation takes long: first what holds a target up,
// then one line that is written over again and again. A script gets it all with the result.
class Progress
{
  public:
    Progress();

    // As WaitOptions::on_late.
    void tell(const std::string &target, const freezer::WhyReport &report, bool hopeless);
    // Takes the line away, so that something else can be written.
    void clear();

  private:
    bool watched_; // stderr is a terminal
    bool erases_;  // and one that can take a line away
    bool shown_ = false;
    std::set<std::string> explained_;
};

// The line, without its end: how far it has come and who is late.
std::string progress_line(const std::string &target, const freezer::WhyReport &report);

} // namespace freezerctl

#endif
