// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#ifndef FREEZERCTL_USER_PID_NAMESPACE_H
#define FREEZERCTL_USER_PID_NAMESPACE_H

#include <sys/types.h>

#include <cstddef>
#include <optional>

#include "user/result.h"

namespace freezer
{

// The pid namespace of a task, for translating ids between it and this process's own (NSpid in
// /proc/PID/status, since 4.1; ioctl_ns(2)).
class PidNamespace
{
  public:
    // `tid` as this process calls the task.
    static Result<PidNamespace> of(int tid);

    // Whether it is this process's own: ids are the same then.
    [[nodiscard]] bool is_own() const { return own_; }
    // What this process calls the task that is called `id` there; nullopt: there is none.
    [[nodiscard]] std::optional<int> to_own(int id) const;
    // What the task is called there; nullopt where it cannot be seen from there, or has ended.
    [[nodiscard]] std::optional<int> from_own(int tid) const;

  private:
    bool own_ = true;
    dev_t device_ = 0;
    ino_t inode_ = 0;
    size_t level_ = 0; // how many namespaces below this process's
};

} // namespace freezer

#endif
