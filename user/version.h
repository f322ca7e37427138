// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#ifndef FREEZERCTL_USER_VERSION_H
#define FREEZERCTL_USER_VERSION_H

#include <string>

namespace freezer
{

// Of the libbpf that this is linked with, "1.1.0".
std::string libbpf_version();

} // namespace freezer

#endif
