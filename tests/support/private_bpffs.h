// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// A bpffs of the tests' own, so that what they attach is not what the machine has attached.
#ifndef FREEZERCTL_TESTS_PRIVATE_BPFFS_H
#define FREEZERCTL_TESTS_PRIVATE_BPFFS_H

#include <string>

namespace test
{

// Over /sys/fs/bpf, in a mount namespace of this process's own (which it then stays in), for as
// long as this lives. What is pinned goes with it.
class PrivateBpffs
{
  public:
    PrivateBpffs();
    PrivateBpffs(const PrivateBpffs &) = delete;
    PrivateBpffs &operator=(const PrivateBpffs &) = delete;
    ~PrivateBpffs();
    // Why there is none; empty: there is.
    [[nodiscard]] const std::string &why() const { return why_; }

  private:
    std::string why_;
};

} // namespace test

#endif
