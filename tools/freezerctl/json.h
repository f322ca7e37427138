// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// Results as JSON, one object on one line for each target; docs/json.md describes the fields.
#ifndef FREEZERCTL_TOOLS_JSON_H
#define FREEZERCTL_TOOLS_JSON_H

#include <optional>
#include <string>

#include "user/attached.h"
#include "user/doctor.h"
#include "user/freezer.h"
#include "user/report.h"
#include "user/result.h"

namespace freezerctl
{

struct ListEntry; // tools/freezerctl/list.h
struct RunReport; // tools/freezerctl/run.h

// `tracking`: of the operation that the report is of.
std::string to_json(const freezer::TargetReport &report, const freezer::Tracking &tracking);
std::string to_json(const freezer::CgroupStatus &status);
std::string to_json(const freezer::Diagnosis &diagnosis);
std::string to_json(const std::string &target, const freezer::WhyReport &report);
// `waited`: list how it ended for each process.
std::string to_json(const freezer::SignalReport &report, bool waited,
                    const freezer::Tracking &tracking);
std::string to_json(const freezer::AttachResult &result);
std::string detached_to_json(std::uint32_t removed);
std::string to_json(const RunReport &report);
std::string to_json(const ListEntry &entry);
// A target that was refused before anything was done.
std::string to_json(const std::string &target, const std::string &verb,
                    const freezer::Error &error);

} // namespace freezerctl

#endif
