// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#ifndef FREEZERCTL_TOOLS_MOUNT_LOG_H
#define FREEZERCTL_TOOLS_MOUNT_LOG_H

#include <syslog.h>

#include <string>

#include "tools/freezerctl/session.h"
#include "tools/freezerctl/text.h"

namespace freezerctl
{

// Where a server says what no client is told: its stderr, or syslog(3) when it has none.
class MountLog
{
  public:
    explicit MountLog(bool has_stderr) : has_stderr_(has_stderr) {}
    // One line, without its end. Any thread.
    void line(const std::string &text) const
    {
        if (has_stderr_)
            complain("freezerctl mount: " + printable(text) + "\n");
        else
            ::syslog(LOG_DAEMON | LOG_NOTICE, "freezerctl mount: %s", printable(text).c_str());
    }

  private:
    bool has_stderr_;
};

} // namespace freezerctl

#endif
