// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#ifndef FREEZERCTL_USER_BPF_ERRORS_H
#define FREEZERCTL_USER_BPF_ERRORS_H

#include <bpf/libbpf.h>

#include <string>

#include "user/result.h"

namespace freezer
{

// For the test programs only: what libbpf and the verifier say is printed after all.
inline bool libbpf_may_print = false;

// Keeps libbpf from printing while it lives: a library is silent, and what goes wrong is returned.
class LibbpfSilence
{
  public:
    LibbpfSilence() : previous_(libbpf_set_print(nullptr))
    {
        if (libbpf_may_print)
            libbpf_set_print(previous_);
    }
    LibbpfSilence(const LibbpfSilence &) = delete;
    LibbpfSilence &operator=(const LibbpfSilence &) = delete;
    ~LibbpfSilence() { libbpf_set_print(previous_); }

  private:
    libbpf_print_fn_t previous_;
};

// For a failure to load or attach: says what the machine lacks when that can be told, so that the
// reader knows what to do about it. `errno_value` is positive.
Error bpf_error(int errno_value, const std::string &what);

} // namespace freezer

#endif
