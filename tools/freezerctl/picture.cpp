// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// A freeze as a picture: SVG that needs nothing else, and a page of such pictures.
//
// Five tasks are five rows. Of five thousand only the last to come have rows of their own; below
// them a curve shows all, and a row for each cgroup where its tasks lie.
#include <algorithm>
#include <array>
#include <cmath>
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
using freezer::FreezeTask;
using freezer::percentile;

constexpr double kWidth = 1000;
constexpr double kLeft = 230;  // of the time axis; names stand before it
constexpr double kRight = 890; // times stand behind it
constexpr double kRow = 20;
constexpr size_t kRowsAll = 40; // as many tasks have a row each
constexpr size_t kRowsSlowest = 25;
constexpr size_t kCgroupRows = 15;
constexpr size_t kLabel = 28;
constexpr size_t kPictures = 10;
constexpr size_t kTableRows = 200;

constexpr const char *kFreezing = "#e08214";
constexpr const char *kFrozen = "#4393c3";
constexpr const char *kNever = "#b2182b";
constexpr const char *kGrid = "#d0d0d0";

std::string number(double value)
{
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), "%.1f", value);
    return text.data();
}

// Cut to a number of characters, of which UTF-8 has several bytes.
std::string shorten(const std::string &text, size_t most)
{
    size_t characters = 0;
    for (size_t i = 0; i < text.size(); ++i) {
        const bool starts = (static_cast<unsigned char>(text[i]) & 0xC0) != 0x80;
        if (starts && characters++ == most)
            return text.substr(0, i) + "…";
    }
    return text;
}

std::string plural(std::uint64_t n, const char *noun)
{
    return std::to_string(n) + " " + noun + (n == 1 ? "" : "s");
}

// Where times lie on the page. Logarithmic where one task was so late that all the others would lie
// on one spot.
class Axis
{
  public:
    explicit Axis(const std::vector<std::uint64_t> &times, std::uint64_t end_ns)
        : end_(std::max<double>(static_cast<double>(end_ns), 1))
    {
        if (times.empty())
            return;
        const auto median = static_cast<double>(percentile(times, 50));
        if (end_ > 20 * std::max(median, 1.0)) {
            log_ = true;
            begin_ = std::pow(10, std::floor(std::log10(
                                      std::max<double>(static_cast<double>(times.front()), 1000))));
        }
    }

    [[nodiscard]] double x(std::uint64_t ns) const
    {
        const double value = std::clamp<double>(static_cast<double>(ns), 0, end_);
        double part = value / end_;
        if (log_)
            part = value <= begin_ ? 0 : std::log(value / begin_) / std::log(end_ / begin_);
        return kLeft + part * (kRight - kLeft);
    }
    [[nodiscard]] bool log() const { return log_; }
    [[nodiscard]] std::vector<std::uint64_t> ticks() const
    {
        std::vector<std::uint64_t> out;
        const auto end = static_cast<std::uint64_t>(end_);
        if (log_) {
            for (auto tick = static_cast<std::uint64_t>(begin_); tick <= end / 10; tick *= 10)
                out.push_back(tick);
            out.push_back(out.empty() ? static_cast<std::uint64_t>(begin_) : out.back() * 10);
            return out;
        }
        double step = std::pow(10, std::floor(std::log10(end_)));
        if (end_ / step < 2)
            step /= 5;
        else if (end_ / step < 5)
            step /= 2;
        const auto steps = static_cast<unsigned>(end_ / step);
        for (unsigned i = 0; i <= steps; ++i)
            out.push_back(static_cast<std::uint64_t>(i * step));
        return out;
    }

  private:
    double end_;
    double begin_ = 0;
    bool log_ = false;
};

std::optional<std::uint64_t> time_of(const Freeze &freeze, const FreezeTask &task)
{
    if (!task.reached_ns)
        return std::nullopt;
    return *task.reached_ns > freeze.request_ns ? *task.reached_ns - freeze.request_ns : 0;
}

// Those that never came first, then the slowest; those that were inside before last.
std::vector<const FreezeTask *> in_order(const Freeze &freeze)
{
    std::vector<const FreezeTask *> out;
    for (const FreezeTask &task : freeze.tasks)
        out.push_back(&task);
    const auto rank = [&](const FreezeTask *task) {
        return task->before ? std::uint64_t{0} : time_of(freeze, *task).value_or(UINT64_MAX);
    };
    std::stable_sort(out.begin(), out.end(),
                     [&](const FreezeTask *a, const FreezeTask *b) { return rank(a) > rank(b); });
    return out;
}

class Picture
{
  public:
    explicit Picture(const Freeze &freeze)
        : freeze_(freeze), times_(freeze.times()), axis_(times_, last_ns(freeze, times_))
    {
    }

    std::string draw(const std::string &note)
    {
        text(16, 28, "Freeze of " + name_of(freeze_.cgroup),
             "font-size=\"18\" font-weight=\"bold\"");
        y_ = 50;
        say("asked by " + std::to_string(freeze_.actor.tgid) + " " + printable(freeze_.actor.comm) +
            " (uid " + std::to_string(freeze_.actor.uid) + ")");
        for (const std::string &sentence : in_words(freeze_))
            say(sentence);
        legend();
        const auto tasks = in_order(freeze_);
        const bool all = tasks.size() <= kRowsAll;
        const size_t shown = all ? tasks.size() : kRowsSlowest;
        if (!tasks.empty())
            section(all ? "" : "the " + std::to_string(shown) + " that came last");
        for (size_t i = 0; i < shown; ++i)
            task_row(*tasks[i]);
        if (!tasks.empty())
            axis_numbers();
        if (!all && times_.size() > 1)
            curve();
        cgroups();
        if (!note.empty()) {
            y_ += 8;
            say(note, "fill=\"" + std::string(kNever) + "\"");
        }
        return "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"" + number(kWidth) +
               "\" height=\"" + number(y_ + 8) + "\" viewBox=\"0 0 " + number(kWidth) + " " +
               number(y_ + 8) +
               "\" font-family=\"DejaVu Sans, Arial, sans-serif\" font-size=\"12\">\n<title>" +
               escape_xml("Freeze of " + name_of(freeze_.cgroup)) +
               "</title>\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n" + body_ +
               "</svg>\n";
    }

  private:
    static std::uint64_t last_ns(const Freeze &freeze, const std::vector<std::uint64_t> &times)
    {
        return std::max(freeze.total_ns().value_or(0), times.empty() ? 0 : times.back());
    }

    void text(double x, double y, const std::string &content, const std::string &more = "")
    {
        body_ += "<text x=\"" + number(x) + "\" y=\"" + number(y) + "\"" +
                 (more.empty() ? "" : " " + more) + ">" + escape_xml(content) + "</text>\n";
    }
    void box(double from, double to, double y, double height, const char *colour)
    {
        if (to > from)
            body_ += "<rect x=\"" + number(from) + "\" y=\"" + number(y) + "\" width=\"" +
                     number(std::max(to - from, 0.5)) + "\" height=\"" + number(height) +
                     "\" fill=\"" + colour + "\"/>\n";
    }
    void line(double x1, double y1, double x2, double y2, const char *colour)
    {
        body_ += "<line x1=\"" + number(x1) + "\" y1=\"" + number(y1) + "\" x2=\"" + number(x2) +
                 "\" y2=\"" + number(y2) + "\" stroke=\"" + colour + "\"/>\n";
    }
    void say(const std::string &sentence, const std::string &more = "")
    {
        text(16, y_, sentence, more);
        y_ += 18;
    }

    void legend()
    {
        double x = kLeft;
        y_ += 4;
        const auto entry = [&](const char *colour, const char *word) {
            box(x, x + 12, y_ - 10, 12, colour);
            text(x + 18, y_, word);
            x += 130;
        };
        entry(kFreezing, "freezing");
        entry(kFrozen, "frozen");
        if (freeze_.stragglers() > 0)
            entry(kNever, "never came");
        if (axis_.log())
            text(x, y_, "(times on a logarithmic axis)");
        y_ += 16;
    }

    void section(const std::string &title)
    {
        y_ += 8;
        if (!title.empty()) {
            y_ += 12;
            text(16, y_ + 4, title, "font-weight=\"bold\"");
            y_ += 16;
        }
        section_top_ = y_;
    }

    void task_row(const FreezeTask &task)
    {
        const auto time = time_of(freeze_, task);
        const double top = y_ + 2;
        const double height = kRow - 4;
        text(kLeft - 8, y_ + 14, shorten(name_of(task.task), kLabel), "text-anchor=\"end\"");
        std::string words;
        if (task.before) {
            box(kLeft, kRight, top, height, kFrozen);
            words = "was inside";
        } else if (time) {
            const double x = axis_.x(*time);
            box(kLeft, x, top, height, kFreezing);
            box(x, kRight, top, height, kFrozen);
            words = format_duration(*time);
        } else if (task.exited_ns) {
            words = "ended";
        } else if (freeze_.frozen_ns) {
            // Stopped, traced and vfork-waiting tasks are counted by the kernel without an event.
            box(kLeft, kRight, top, height, kFrozen);
            words = "not seen";
        } else {
            box(kLeft, kRight, top, height, kNever);
            words = "never";
        }
        text(kRight + 8, y_ + 14, words);
        y_ += kRow;
    }

    void axis_numbers()
    {
        double last = -1000;
        for (const std::uint64_t tick : axis_.ticks()) {
            const double x = axis_.x(tick);
            line(x, section_top_, x, y_ + 4, kGrid);
            if (x - last < 60)
                continue;
            text(x, y_ + 17, tick == 0 ? "0" : format_duration(tick), "text-anchor=\"middle\"");
            last = x;
        }
        y_ += 26;
    }

    // How many of all were in by when.
    void curve()
    {
        constexpr double kHeight = 150;
        section("all " + plural(times_.size(), "task") + ": how many were in by when");
        const double bottom = y_ + kHeight;
        for (const int percent : {0, 25, 50, 75, 100}) {
            const double y = bottom - kHeight * percent / 100;
            line(kLeft, y, kRight, y, kGrid);
            text(kLeft - 8, y + 4, std::to_string(percent) + " %", "text-anchor=\"end\"");
        }
        std::string path = "M" + number(kLeft) + " " + number(bottom);
        // One step for each pixel at most, however many tasks there are.
        double last_y = bottom;
        for (size_t i = 0; i < times_.size(); ++i) {
            const double x = axis_.x(times_[i]);
            if (i + 1 < times_.size() && std::floor(x) == std::floor(axis_.x(times_[i + 1])))
                continue;
            const double y =
                bottom - kHeight * static_cast<double>(i + 1) / static_cast<double>(times_.size());
            path += "L" + number(x) + " " + number(last_y) + "L" + number(x) + " " + number(y);
            last_y = y;
        }
        path += "L" + number(kRight) + " " + number(last_y);
        body_ += "<path d=\"" + path + "L" + number(kRight) + " " + number(bottom) + "Z\" fill=\"" +
                 kFrozen + "\" fill-opacity=\"0.35\"/>\n<path d=\"" + path +
                 "\" fill=\"none\" stroke=\"" + kFrozen + "\" stroke-width=\"1.5\"/>\n";
        y_ = bottom;
        axis_numbers();
    }

    void cgroups()
    {
        std::map<std::string, std::vector<std::uint64_t>> by_cgroup;
        for (const FreezeTask &task : freeze_.tasks) {
            if (task.reached_ns && !task.before)
                by_cgroup[name_of(task.cgroup)].push_back(*time_of(freeze_, task));
        }
        if (by_cgroup.size() < 2)
            return;
        std::vector<std::pair<std::string, std::vector<std::uint64_t>>> rows(by_cgroup.begin(),
                                                                             by_cgroup.end());
        for (auto &[path, times] : rows)
            std::sort(times.begin(), times.end());
        std::stable_sort(rows.begin(), rows.end(), [](const auto &a, const auto &b) {
            return a.second.back() > b.second.back();
        });
        const size_t shown = std::min(rows.size(), kCgroupRows);
        section((shown < rows.size() ? "the " + std::to_string(shown) + " slowest of "
                                     : std::string()) +
                plural(rows.size(), "cgroup") +
                ": from the first task to the last, mark at the half");
        for (size_t i = 0; i < shown; ++i) {
            const auto &[path, times] = rows[i];
            // The end of a path tells more than its beginning.
            const std::string tail =
                path.size() > kLabel ? "…" + path.substr(path.size() - kLabel + 1) : path;
            text(kLeft - 8, y_ + 14, tail, "text-anchor=\"end\"");
            const double from = axis_.x(times.front());
            box(from, std::max(axis_.x(times.back()), from + 2), y_ + 4, kRow - 8, kFreezing);
            const double half = axis_.x(percentile(times, 50));
            line(half, y_ + 1, half, y_ + kRow - 1, "black");
            text(kRight + 8, y_ + 14, plural(times.size(), "task"));
            y_ += kRow;
        }
        axis_numbers();
    }

    const Freeze &freeze_;
    std::vector<std::uint64_t> times_;
    Axis axis_;
    std::string body_;
    double y_ = 0;
    double section_top_ = 0;
};

std::string seconds_after(std::uint64_t ns, std::uint64_t start_ns)
{
    std::array<char, 48> text{};
    std::snprintf(text.data(), text.size(), "+%.6f",
                  static_cast<double>(ns - std::min(ns, start_ns)) / 1e9);
    return text.data();
}

std::string table_row(const Freeze &freeze, std::uint64_t start_ns)
{
    const auto times = freeze.times();
    const auto at = [&](double p) {
        return times.empty() ? std::string("-") : format_duration(percentile(times, p));
    };
    const auto total = freeze.total_ns();
    const freezer::FreezeTask *const slowest = freeze.slowest();
    std::string row = "<tr>";
    for (const std::string &cell :
         {seconds_after(freeze.request_ns, start_ns), name_of(freeze.cgroup),
          std::to_string(freeze.actor.tgid) + " " + printable(freeze.actor.comm),
          std::to_string(freeze.tasks.size()), total ? format_duration(*total) : "never", at(50),
          at(90), at(99), at(100), slowest ? name_of(slowest->task) : std::string("-")})
        row += "<td>" + escape_xml(cell) + "</td>";
    return row + "</tr>\n";
}

// What took longest; what never ended took longest of all.
std::uint64_t slowness(const Freeze &freeze)
{
    return freeze.total_ns().value_or(UINT64_MAX);
}

} // namespace

std::string escape_xml(std::string_view text)
{
    std::string out;
    for (const char c : printable(text)) {
        switch (c) {
        case '&':
            out += "&amp;";
            break;
        case '<':
            out += "&lt;";
            break;
        case '>':
            out += "&gt;";
            break;
        case '"':
            out += "&quot;";
            break;
        case '\'':
            out += "&#39;";
            break;
        default:
            out += c;
        }
    }
    return out;
}

std::vector<std::string> in_words(const Freeze &freeze)
{
    std::vector<std::string> out;
    const auto total = freeze.total_ns();
    const size_t late = freeze.stragglers();
    const std::string tasks = plural(freeze.tasks.size(), "task");
    if (total)
        out.push_back(tasks + (freeze.tasks.size() == 1 ? " was" : " were") +
                      " in the refrigerator after " + format_duration(*total));
    else
        out.push_back("it was never complete: " + std::to_string(late) + " of " + tasks +
                      " did not come");
    const auto times = freeze.times();
    if (!times.empty()) {
        // Of a few tasks the higher percentiles are the last one, which has its own sentence.
        if (times.size() > 1) {
            std::string shares = "half of those seen to come took no more than " +
                                 format_duration(percentile(times, 50));
            if (times.size() >= 10)
                shares += ", 90 % no more than " + format_duration(percentile(times, 90));
            if (times.size() >= 100)
                shares += ", 99 % no more than " + format_duration(percentile(times, 99));
            out.push_back(shares);
        }
        const FreezeTask *const slowest = freeze.slowest();
        out.push_back("the last to come was " + name_of(slowest->task) + " in " +
                      name_of(slowest->cgroup) + ", after " + format_duration(times.back()));
    }
    return out;
}

std::string svg(const Freeze &freeze, const std::string &note)
{
    return Picture(freeze).draw(note);
}

std::string html(const Recording &recording)
{
    const freezer::TraceModel model = model_of(recording);
    std::vector<const Freeze *> freezes;
    for (const Freeze &freeze : model.freezes())
        freezes.push_back(&freeze);
    const size_t all = freezes.size();
    std::stable_sort(freezes.begin(), freezes.end(),
                     [](const Freeze *a, const Freeze *b) { return slowness(*a) > slowness(*b); });

    std::string out =
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
        "<title>freezerctl report</title>\n<style>\n"
        "body { font-family: \"DejaVu Sans\", Arial, sans-serif; margin: 2em; }\n"
        "table { border-collapse: collapse; font-size: 13px; }\n"
        "td, th { padding: 3px 10px; text-align: left; border-bottom: 1px solid #ddd; }\n"
        "svg { max-width: 100%; height: auto; display: block; margin: 1.5em 0; }\n"
        ".wrong { color: #b2182b; font-weight: bold; }\n</style>\n</head>\n<body>\n<h1>" +
        plural(all, "freeze") + "</h1>\n";
    const std::string wrong = shortcomings(recording);
    if (!wrong.empty())
        out += "<p class=\"wrong\">" + escape_xml(wrong) + "</p>\n";
    if (all > kTableRows)
        out += "<p>The " + std::to_string(kTableRows) +
               " slowest; 'freezerctl report --format "
               "summary' has all.</p>\n";
    if (all > 0) {
        out += "<table>\n<tr>";
        for (const char *head :
             {"at", "cgroup", "by", "tasks", "frozen in", "p50", "p90", "p99", "max", "last"})
            out += std::string("<th>") + head + "</th>";
        out += "</tr>\n";
        for (size_t i = 0; i < std::min(all, kTableRows); ++i)
            out += table_row(*freezes[i], recording.start.time_ns);
        out += "</table>\n";
    }
    for (size_t i = 0; i < std::min(all, kPictures); ++i)
        out += svg(*freezes[i], "");
    return out + "</body>\n</html>\n";
}

} // namespace freezerctl
