// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// attach and detach: the tracker loaded once for all later commands.
#include <string>

#include "tools/freezerctl/cli.h"
#include "tools/freezerctl/json.h"
#include "tools/freezerctl/text.h"
#include "user/attached.h"

namespace freezerctl
{
namespace
{

struct AttachArguments {
    bool json = false;
    std::uint32_t ring_bytes = freezer::kAttachedRingBytes;
};

struct DetachArguments {
    bool json = false;
};

int attach(const AttachArguments &args)
{
    Session session("attach", args.json);
    const auto result = freezer::attach_tracker(args.ring_bytes);
    if (!result) {
        session.refuse("freezerctl", result.error());
        return session.code();
    }
    print(args.json ? to_json(*result) + "\n" : describe(*result));
    return session.code();
}

int detach(const DetachArguments &args)
{
    Session session("detach", args.json);
    const auto removed = freezer::detach_trackers();
    if (!removed) {
        session.refuse("freezerctl", removed.error());
        return session.code();
    }
    print(args.json ? detached_to_json(*removed) + "\n" : describe_detached(*removed));
    return session.code();
}

void describe_attach(Syntax &syntax, AttachArguments &args)
{
    syntax.flag("--json", args.json, "One JSON object on stdout");
    syntax.option("--ring-bytes", args.ring_bytes, "Size of each ring buffer")
        .hidden(); // for tests
}

void describe_detach(Syntax &syntax, DetachArguments &args)
{
    syntax.flag("--json", args.json, "One JSON object on stdout");
}

} // namespace

void add_attach_verbs(Cli &cli)
{
    cli.add_verb<AttachArguments>({"attach"}, "Load the tracker once, for all later commands",
                                  describe_attach, attach);
    cli.add_verb<DetachArguments>({"detach"}, "Unload what attach loaded", describe_detach, detach);
}

} // namespace freezerctl
