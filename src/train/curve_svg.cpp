#include "train/curve_svg.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>

#include "base/timer.h"
#include "train/curve_text.h"

namespace finback {
namespace {

constexpr double kWidth = 760, kPanel = 190, kLeft = 64, kRight = 20, kGap = 46;
constexpr const char* kInks[] = {"#036", "#b52", "#384", "#727", "#875", "#066"};

struct SvgSeries {
  std::string name;
  Curve curve;
  std::string ink;
  double opacity = 1;
};

std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    out += c == '<'   ? "&lt;"
           : c == '>' ? "&gt;"
           : c == '&' ? "&amp;"
           : c == '"' ? "&quot;"
                      : std::string(1, static_cast<unsigned char>(c) < 0x20 ? ' ' : c);
  }
  return out;
}

// Round numbers, about five.
std::vector<double> ticks(double low, double high) {
  const double span = std::max(high - low, 1e-12) / 5, power = std::pow(10, std::floor(std::log10(span)));
  double step = power;
  for (const double factor : {1.0, 2.0, 2.5, 5.0, 10.0}) {
    step = power * factor;
    if (step >= span) break;
  }
  std::vector<double> values;
  for (double value = std::ceil(low / step) * step; value <= high + 1e-9 * step; value += step) values.push_back(value);
  return values;
}

std::string panel(double top, const std::string& title, const std::vector<SvgSeries>& series, double tokens) {
  std::vector<Curve> curves;
  for (const SvgSeries& one : series) curves.push_back(one.curve);
  const CurveRange range = curve_range(curves);
  const auto x = [&](double t) { return kLeft + (kWidth - kLeft - kRight) * t / tokens; };
  const auto y = [&](double v) {
    return top + kPanel - kPanel * (std::clamp(v, range.low, range.high) - range.low) / (range.high - range.low);
  };
  std::string out = fmt::format("<text x=\"{}\" y=\"{}\" font-weight=\"bold\">{}</text>\n", kLeft, top - 8, escaped(title));
  for (const double tick : ticks(range.low, range.high)) {
    out += fmt::format("<line x1=\"{}\" x2=\"{}\" y1=\"{:.1f}\" y2=\"{:.1f}\" stroke=\"#ddd\"/>", kLeft, kWidth - kRight, y(tick), y(tick));
    out += fmt::format("<text x=\"{}\" y=\"{:.1f}\" text-anchor=\"end\">{:.4g}</text>\n", kLeft - 6, y(tick) + 4, tick);
  }
  for (const double tick : ticks(0, tokens)) {
    out += fmt::format("<text x=\"{:.1f}\" y=\"{}\" text-anchor=\"middle\">{}</text>\n", x(tick), top + kPanel + 16, human_figure(tick));
  }
  double line = top + 14;
  for (const SvgSeries& one : series) {
    if (one.curve.empty()) continue;
    std::string points;
    for (const CurvePoint& point : one.curve) points += fmt::format("{:.1f},{:.1f} ", x(point.tokens), y(point.value));
    out += fmt::format("<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-opacity=\"{}\" stroke-width=\"1.6\"/>\n", points,
                       one.ink, one.opacity);
    out += fmt::format("<text x=\"{}\" y=\"{}\" text-anchor=\"end\" fill=\"{}\" fill-opacity=\"{}\">{}</text>\n", kWidth - kRight - 6, line,
                       one.ink, one.opacity, escaped(one.name));
    line += 15;
  }
  return out;
}

// At most a few hundred points: more cannot be seen.
Curve thinned(const Curve& curve) {
  const size_t stride = std::max<size_t>(1, curve.size() / 600);
  Curve out;
  for (size_t i = 0; i < curve.size(); i += stride) out.push_back(curve[i]);
  if (!curve.empty() && (curve.size() - 1) % stride != 0) out.push_back(curve.back());
  return out;
}

}  // namespace

std::string curves_svg(const std::vector<RunCurves>& runs) {
  std::vector<SvgSeries> losses, balance, acceptance;
  double tokens = 1;
  for (size_t i = 0; i < runs.size(); ++i) {
    const RunCurves& run = runs[i];
    const std::string ink = kInks[i % std::size(kInks)], of = runs.size() > 1 ? run.name + ": " : "";
    losses.push_back({of + "training (mean of 25 steps)", thinned(smoothed(run.steps)), ink, 0.5});
    losses.push_back({of + "validation", run.validation, ink});
    balance.push_back({of + "worst layer", thinned(smoothed(run.worst_vio)), ink});
    balance.push_back({of + "mean of layers", thinned(smoothed(run.mean_vio)), ink, 0.5});
    Curve percent = run.mtp_acceptance;
    for (CurvePoint& point : percent) point.value *= 100;
    acceptance.push_back({of + "depth 1", percent, ink});
    tokens = std::max(tokens, run.tokens);
  }
  const std::string key = runs.empty() ? "" : runs[0].key;
  std::string body;
  double top = 40;
  const auto add = [&](const std::string& title, const std::vector<SvgSeries>& series) {
    if (std::all_of(series.begin(), series.end(), [](const SvgSeries& one) { return one.curve.empty(); })) return;
    body += panel(top, title, series, tokens);
    top += kPanel + kGap;
  };
  add(key == "bpb" ? "bits a byte" : key, losses);
  add("router: overload of the busiest expert, (max - mean) / mean", balance);
  add("MTP acceptance on validation, %", acceptance);
  body += fmt::format("<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">tokens trained{}</text>\n", kWidth / 2, top - 8,
                      runs.size() == 1 ? ", " + escaped(runs[0].name) : "");
  return fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{}\" height=\"{}\" font-family=\"sans-serif\" font-size=\"12\">"
      "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n{}</svg>\n",
      kWidth, top + 6, body);
}

}  // namespace finback
