// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#include "tools/bench/plot.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <map>
#include <utility>

#include "user/duration.h"

namespace bench
{
namespace
{

constexpr double kWidth = 900;
constexpr double kHeight = 520;
constexpr double kLeft = 80; // of the area that the curves are in
constexpr double kRight = 740;
constexpr double kTop = 50;
constexpr double kBottom = 460;
constexpr double kLine = 20; // of text

constexpr const char *kGrid = "#d8d8d8";
constexpr std::array<const char *, 10> kColours{"#d62728", "#ff7f0e", "#9467bd", "#1f77b4",
                                                "#17becf", "#2ca02c", "#bcbd22", "#8c564b",
                                                "#7f7f7f", "#e377c2"};

std::string number(double value)
{
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), "%.1f", value);
    return text.data();
}

struct Curve {
    std::string name;
    bool process = false;
    std::vector<std::pair<double, double>> points;
};

// From a value to a place on the page.
class Axis
{
  public:
    using Label = std::function<std::string(double)>;

    // Powers of ten around the values.
    static Axis logarithmic(double least, double most, double from, double to, Label label)
    {
        Axis axis(std::floor(std::log10(least)), std::ceil(std::log10(most)), from, to,
                  std::move(label));
        axis.log_ = true;
        // One value alone is a range, too.
        axis.last_ = std::max(axis.last_, axis.first_ + 1);
        for (double power = axis.first_; power <= axis.last_; ++power)
            axis.ticks_.push_back(std::pow(10, power));
        return axis;
    }
    static Axis share(double from, double to)
    {
        Axis axis(0, 1, from, to,
                  [](double share) { return std::to_string(std::lround(share * 100)) + " %"; });
        axis.ticks_ = {0, 0.25, 0.5, 0.75, 1};
        return axis;
    }

    [[nodiscard]] double place(double value) const
    {
        const double at = log_ ? std::log10(value) : value;
        return from_ + (at - first_) / (last_ - first_) * (to_ - from_);
    }
    [[nodiscard]] const std::vector<double> &ticks() const { return ticks_; }
    [[nodiscard]] std::string label(double tick) const { return label_(tick); }

  private:
    Axis(double first, double last, double from, double to, Label label)
        : first_(first), last_(last), from_(from), to_(to), label_(std::move(label))
    {
    }

    double first_;
    double last_;
    double from_;
    double to_;
    Label label_;
    bool log_ = false;
    std::vector<double> ticks_;
};

std::string time_label(double ns)
{
    // "10.0 us" has a digit too many for a power of ten.
    std::string text = freezer::format_duration(static_cast<std::uint64_t>(ns));
    const size_t point = text.find('.');
    if (point != std::string::npos)
        text.erase(point, text.find(' ') - point);
    return text;
}

std::string count_label(double count)
{
    std::string text = std::to_string(std::lround(count));
    for (size_t at = text.size(); at > 3;) {
        at -= 3;
        text.insert(at, 1, ',');
    }
    return text;
}

class Drawing
{
  public:
    void text(double x, double y, const std::string &content, const std::string &more = "")
    {
        body_ += "<text x=\"" + number(x) + "\" y=\"" + number(y) + "\"" +
                 (more.empty() ? "" : " " + more) + ">" + content + "</text>\n";
    }
    void line(double x1, double y1, double x2, double y2, const std::string &stroke)
    {
        body_ += "<line x1=\"" + number(x1) + "\" y1=\"" + number(y1) + "\" x2=\"" + number(x2) +
                 "\" y2=\"" + number(y2) + "\" " + stroke + "/>\n";
    }
    void curve(const Curve &curve, const Axis &x, const Axis &y, const std::string &stroke)
    {
        body_ += "<polyline fill=\"none\" " + stroke + " points=\"";
        for (const auto &[at, value] : curve.points)
            body_ += number(x.place(at)) + "," + number(y.place(value)) + " ";
        body_.back() = '"';
        body_ += "/>\n";
    }
    [[nodiscard]] std::string finish(const std::string &title) const
    {
        const std::string size = "width=\"" + number(kWidth) + "\" height=\"" + number(kHeight);
        return "<svg xmlns=\"http://www.w3.org/2000/svg\" " + size + "\" viewBox=\"0 0 " +
               number(kWidth) + " " + number(kHeight) +
               "\" font-family=\"DejaVu Sans, Arial, sans-serif\" font-size=\"12\">\n<title>" +
               title + "</title>\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n" + body_ +
               "</svg>\n";
    }

  private:
    std::string body_;
};

// Calls in the benchmark's own process are dashed: they do not pay for the start of a program.
std::string stroke_of(const Curve &curve, size_t index)
{
    return "stroke=\"" + std::string(kColours[index % kColours.size()]) + "\" stroke-width=\"2\"" +
           (curve.process ? "" : " stroke-dasharray=\"6 3\"");
}

std::string draw(const std::string &title, const std::string &x_name, const Axis &x, const Axis &y,
                 const std::vector<Curve> &curves)
{
    constexpr double kMiddle = (kLeft + kRight) / 2;
    const std::string grid = "stroke=\"" + std::string(kGrid) + "\"";
    Drawing drawing;
    drawing.text(kMiddle, 28, title,
                 "font-size=\"16\" font-weight=\"bold\" text-anchor=\"middle\"");
    for (const double tick : x.ticks()) {
        drawing.line(x.place(tick), kTop, x.place(tick), kBottom, grid);
        drawing.text(x.place(tick), kBottom + kLine, x.label(tick), "text-anchor=\"middle\"");
    }
    for (const double tick : y.ticks()) {
        drawing.line(kLeft, y.place(tick), kRight, y.place(tick), grid);
        drawing.text(kLeft - 8, y.place(tick) + 4, y.label(tick), "text-anchor=\"end\"");
    }
    drawing.text(kMiddle, kBottom + 2 * kLine, x_name, "text-anchor=\"middle\"");
    double legend_y = kTop + kLine;
    for (size_t i = 0; i < curves.size(); ++i, legend_y += kLine) {
        const std::string stroke = stroke_of(curves[i], i);
        drawing.curve(curves[i], x, y, stroke);
        drawing.line(kRight + 16, legend_y - 4, kRight + 46, legend_y - 4, stroke);
        drawing.text(kRight + 54, legend_y, curves[i].name);
    }
    drawing.text(kRight + 16, legend_y + kLine / 2, "dashed: a call,");
    drawing.text(kRight + 16, legend_y + kLine * 3 / 2, "no process");
    return drawing.finish(title);
}

// The least and the most of one coordinate of all points.
std::pair<double, double> range(const std::vector<Curve> &curves,
                                double std::pair<double, double>::*coordinate)
{
    double least = HUGE_VAL;
    double most = 0;
    for (const Curve &curve : curves) {
        for (const auto &point : curve.points) {
            least = std::min(least, point.*coordinate);
            most = std::max(most, point.*coordinate);
        }
    }
    return {least, most};
}

} // namespace

std::string plot_tasks(const std::vector<ScenarioResult> &results)
{
    std::vector<Curve> curves;
    for (const ScenarioResult &result : results) {
        if (result.name != "tasks")
            continue;
        for (const Row &row : result.rows) {
            const auto median = row.freeze.percentile(50);
            if (!median)
                continue;
            auto curve = std::find_if(curves.begin(), curves.end(), [&](const Curve &known) {
                return known.name == row.contestant;
            });
            if (curve == curves.end())
                curve = curves.insert(curve, {row.contestant, row.process, {}});
            curve->points.emplace_back(static_cast<double>(result.tasks),
                                       static_cast<double>(*median));
        }
    }
    const auto [fewest, most] = range(curves, &std::pair<double, double>::first);
    if (fewest >= most)
        return "";
    const auto [fastest, slowest] = range(curves, &std::pair<double, double>::second);
    return draw("Time of a freeze (median) against tasks", "tasks in the cgroup",
                Axis::logarithmic(fewest, most, kLeft, kRight, count_label),
                Axis::logarithmic(fastest, slowest, kBottom, kTop, time_label), curves);
}

std::string plot_churn(const std::vector<ScenarioResult> &results)
{
    std::vector<Curve> curves;
    for (const ScenarioResult &result : results) {
        if (result.name != "churn")
            continue;
        for (const Row &row : result.rows) {
            const auto times = row.freeze.sorted();
            Curve curve{row.contestant, row.process, {}};
            for (size_t i = 0; i < times.size(); ++i)
                curve.points.emplace_back(static_cast<double>(times[i]),
                                          static_cast<double>(i + 1) /
                                              static_cast<double>(times.size()));
            if (!times.empty())
                curves.push_back(std::move(curve));
        }
    }
    if (curves.empty())
        return "";
    const auto [fastest, slowest] = range(curves, &std::pair<double, double>::first);
    return draw("Freezes of 10 tasks in quick succession", "done within",
                Axis::logarithmic(fastest, slowest, kLeft, kRight, time_label),
                Axis::share(kBottom, kTop), curves);
}

} // namespace bench
