// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "user/version.h"

#include <bpf/libbpf.h>

namespace freezer
{

std::string libbpf_version()
{
    std::string text = libbpf_version_string();
    if (text.starts_with('v'))
        text.erase(0, 1);
    return text;
}

} // namespace freezer
