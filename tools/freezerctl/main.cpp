// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// The command: parse, call the library, print, exit. Nothing is decided here that the library could
// decide, and nothing is printed by the library.
#include <sys/utsname.h>

#include <cstdio>
#include <exception>
#include <string>

#include "revision.h" // generated
#include "tools/freezerctl/cli.h"
#include "user/version.h"

namespace freezerctl
{
namespace
{

// What a report of a bug should tell.
std::string version()
{
    std::string text = "freezerctl " FREEZERCTL_VERSION;
    if (*FREEZERCTL_REVISION != '\0')
        text += " (" FREEZERCTL_REVISION ")";
    utsname kernel{};
    if (::uname(&kernel) == 0)
        text += std::string("\n") + kernel.sysname + " " + kernel.release + " " + kernel.machine;
    return text + "\nlibbpf " + freezer::libbpf_version();
}

} // namespace
} // namespace freezerctl

int main(int argc, char **argv)
{
    try {
        return freezerctl::run_command_line(argc, argv, freezerctl::version);
    } catch (const std::exception &error) {
        std::fprintf(stderr, "freezerctl: %s\n", error.what());
        return freezerctl::kFailed;
    }
}
