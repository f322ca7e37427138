// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// FREEZERCTL_LIBBPF_LOG=1 lets the test programs print what libbpf and the kernel's verifier say.
// The library keeps them silent, but why one kernel of many refuses a program is not found without
// it.
#include <cstdlib>
#include <string_view>

#include "user/bpf_errors.h"

namespace
{

[[maybe_unused]] const bool installed = [] {
    const char *const wanted = std::getenv("FREEZERCTL_LIBBPF_LOG");
    freezer::libbpf_may_print = wanted && std::string_view(wanted) == "1";
    return true;
}();

} // namespace
