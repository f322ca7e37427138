// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// The command: parse, call the library, print, exit. Nothing is decided here that the library could
// decide, and nothing is printed by the library.
#include <fcntl.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <exception>
#include <string>

#include "revision.h" // generated
#include "tools/freezerctl/cli.h"
#include "tools/freezerctl/output.h"
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

// One that is closed would be that of the next file, which would get what is meant for a reader.
void open_standard_streams()
{
    for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
        if (::fcntl(fd, F_GETFD) < 0)
            (void)::open("/dev/null", O_RDWR); // the lowest that is free
    }
}

// What was said has to be with its reader for the command to have succeeded.
int end_with(int code)
{
    if (standard_output().flush())
        return code;
    const int failure = standard_output().complain_of_error();
    return code == kReached ? failure : code;
}

} // namespace
} // namespace freezerctl

int main(int argc, char **argv)
{
    freezerctl::open_standard_streams();
    try {
        return freezerctl::end_with(freezerctl::run_command_line(argc, argv, freezerctl::version));
    } catch (const std::exception &error) {
        freezerctl::complain(std::string("freezerctl: ") + error.what() + "\n");
        return freezerctl::kFailed;
    }
}
