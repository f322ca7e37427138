// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// doctor: what this machine can do, and what to do about what it cannot.
#include <string>
#include <vector>

#include "tools/freezerctl/cli.h"
#include "tools/freezerctl/json.h"
#include "tools/freezerctl/text.h"
#include "user/doctor.h"

namespace freezerctl
{
namespace
{

struct DoctorArguments {
    bool json = false;
    std::vector<std::string> require;
};

int examine(const DoctorArguments &args)
{
    const freezer::Diagnosis diagnosis = freezer::diagnose();
    if (args.json)
        print(to_json(diagnosis) + "\n");
    else
        print(describe(diagnosis));
    ExitCode code = diagnosis.able() ? kReached : kFailed;
    for (const std::string &name : args.require) {
        const freezer::Feature *const feature = diagnosis.find(name);
        if (!feature) {
            complain("--require: '" + printable(name) +
                     "' is no feature: 'freezerctl doctor' lists them\n");
            return kUsage;
        }
        if (feature->state == freezer::Feature::State::kYes)
            continue;
        complain("--require: this machine has no " + name + ": " + printable(feature->detail) +
                 "\n");
        code = kNotInState;
    }
    return code;
}

void describe_doctor(Syntax &syntax, DoctorArguments &args)
{
    syntax.flag("--json", args.json, "One JSON object on stdout");
    syntax
        .option("--require", args.require,
                "Exit with 3 unless the machine has all of these features")
        .value("FEATURE")
        .separated_by(',');
}

} // namespace

void add_doctor_verb(Cli &cli)
{
    cli.add_verb<DoctorArguments>({"doctor"}, "Say what this machine can do, with a self-test",
                                  describe_doctor, examine);
}

} // namespace freezerctl
