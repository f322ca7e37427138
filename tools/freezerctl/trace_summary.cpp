// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include <algorithm>
#include <array>
#include <cstdio>
#include <map>

#include "tools/freezerctl/text.h"
#include "tools/freezerctl/trace_text.h"
#include "tools/freezerctl/trace_views.h"
#include "user/duration.h"

namespace freezerctl
{
namespace
{

using freezer::format_duration;
using freezer::Freeze;
using freezer::percentile;

std::string plural(std::uint64_t n, const char *noun)
{
    return std::to_string(n) + " " + noun + (n == 1 ? "" : "s");
}

std::string percentile_line(const std::vector<std::uint64_t> &times)
{
    return "p50 " + format_duration(percentile(times, 50)) + ", p90 " +
           format_duration(percentile(times, 90)) + ", p99 " +
           format_duration(percentile(times, 99)) + ", max " + format_duration(times.back());
}

std::string histogram_lines(const std::vector<std::uint64_t> &times)
{
    constexpr size_t kBar = 40;
    const freezer::Histogram histogram = freezer::histogram(times);
    const size_t most = *std::max_element(histogram.counts.begin(), histogram.counts.end());
    std::string out;
    for (size_t i = 0; i < histogram.counts.size(); ++i) {
        // Whoever is there is seen: no count but zero has an empty bar.
        const size_t bar = (histogram.counts[i] * kBar + most - 1) / most;
        std::array<char, 128> line{};
        std::snprintf(line.data(), line.size(), "    up to %8s %7zu  ",
                      format_duration(histogram.bounds_ns[i]).c_str(), histogram.counts[i]);
        out += line.data() + std::string(bar, '#');
        while (out.back() == ' ')
            out.pop_back();
        out += "\n";
    }
    return out;
}

std::string cgroup_lines(const Freeze &freeze)
{
    std::map<std::string, std::vector<std::uint64_t>> by_cgroup;
    for (const freezer::FreezeTask &task : freeze.tasks) {
        if (task.reached_ns && !task.before)
            by_cgroup[name_of(task.cgroup)].push_back(*task.reached_ns - freeze.request_ns);
    }
    if (by_cgroup.size() < 2)
        return "";
    std::string out;
    for (auto &[path, times] : by_cgroup) {
        std::sort(times.begin(), times.end());
        out += "    " + path + ": " + plural(times.size(), "task") + ", " + percentile_line(times) +
               "\n";
    }
    return out;
}

std::string summary_of(const Freeze &freeze, std::uint64_t start_ns)
{
    std::array<char, 48> when{};
    std::snprintf(when.data(), when.size(), "+%.6f ",
                  static_cast<double>(freeze.request_ns - std::min(start_ns, freeze.request_ns)) /
                      1e9);
    std::string out = when.data() + name_of(freeze.cgroup) + " by " +
                      std::to_string(freeze.actor.tgid) + " " + printable(freeze.actor.comm) +
                      " (uid " + std::to_string(freeze.actor.uid) + ")\n";
    const auto total = freeze.total_ns();
    out +=
        "  " + plural(freeze.tasks.size(), "task") +
        (total ? ", frozen in " + format_duration(*total)
               : ", never frozen: " + plural(freeze.stragglers(), "task") + " did not come") +
        (freeze.thaw_ns
             ? ", thawed after " + format_duration(*freeze.thaw_ns - freeze.request_ns) + " by " +
                   std::to_string(freeze.thaw_actor.tgid) + " " + printable(freeze.thaw_actor.comm)
             : "") +
        "\n";
    const auto times = freeze.times();
    if (!times.empty()) {
        const freezer::FreezeTask *const slowest = freeze.slowest();
        out += "  " + percentile_line(times) + " (" + name_of(slowest->task) + " in " +
               name_of(slowest->cgroup) + ")\n" + histogram_lines(times) + cgroup_lines(freeze);
    }
    return out;
}

} // namespace

freezer::TraceModel model_of(const Recording &recording)
{
    freezer::TraceModel model(true);
    for (const freezer::TraceEvent &event : recording.events)
        model.apply(event);
    return model;
}

std::string shortcomings(const Recording &recording)
{
    std::string out = recording.end ? describe_drops(recording.end->drops) : "";
    const std::string damage = describe_damage(recording);
    if (!damage.empty())
        out += (out.empty() ? "" : "; ") + damage;
    return out;
}

std::string summary(const Recording &recording)
{
    const freezer::TraceModel model = model_of(recording);
    std::string out;
    for (const Freeze &freeze : model.freezes())
        out += summary_of(freeze, recording.start.time_ns) + "\n";
    const auto events = std::count_if(recording.events.begin(), recording.events.end(),
                                      [](const auto &event) { return event.kind != FZ_TR_MEMBER; });
    out += plural(model.freezes().size(), "freeze") + ", " +
           plural(static_cast<std::uint64_t>(events), "event");
    const std::string wrong = shortcomings(recording);
    return out + (wrong.empty() ? "; nothing was lost\n" : "; " + wrong + "\n");
}

} // namespace freezerctl
