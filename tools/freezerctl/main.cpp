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

int run(int argc, char **argv)
{
    CLI::App app{"Freeze, thaw and kill cgroups, and know that it is done.", "freezerctl"};
    app.require_subcommand(1);
    app.set_version_flag("--version", version);
    app.failure_message([](const CLI::App *self, const CLI::Error &error) {
        std::string name = "freezerctl";
        for (const CLI::App *verb : self->get_subcommands())
            name += " " + verb->get_name();
        return std::string(error.what()) + "\nTry '" + name + " --help'.\n";
    });

    Cli cli(app);
    add_verbs_for(cli, argc > 1 ? argv[1] : "");
    try {
        cli.parse(argc, argv);
    } catch (const CLI::ParseError &error) {
        return app.exit(error) == 0 ? kReached : kUsage;
    }
    return cli.run();
}

} // namespace
} // namespace freezerctl

int main(int argc, char **argv)
{
    try {
        return freezerctl::run(argc, argv);
    } catch (const std::exception &error) {
        std::fprintf(stderr, "freezerctl: %s\n", error.what());
        return freezerctl::kFailed;
    }
}
