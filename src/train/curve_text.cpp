#include "train/curve_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/terminal.h"
#include "base/timer.h"

namespace finback {
namespace {

constexpr int kLabelColumns = 9;
constexpr int kColours[] = {36, 33, 35, 32, 34, 31};  // cyan, yellow, magenta, green, blue, red

// A character of the plot: dots, or a letter; and whose it is.
struct Cell {
  unsigned dots = 0;
  char letter = 0;
  int run = 0;
  bool bright = false;
};

class Canvas {
 public:
  Canvas(int columns, int lines, const CurveRange& range)
      : columns_(columns), lines_(lines), range_(range), cells_(size_t(columns * lines)) {}

  // letter 0: dots.
  void draw(const Curve& curve, int run, bool bright, char letter) {
    const CurvePoint* before = nullptr;
    for (const CurvePoint& point : curve) {
      if (before) line(*before, point, run, bright, letter);
      before = &point;
    }
    if (curve.size() == 1) line(curve[0], curve[0], run, bright, letter);
  }

  std::string row(int line, bool colours) const {
    std::string text;
    for (int column = 0; column < columns_; ++column) text += glyph(cells_[size_t(line * columns_ + column)], colours);
    return text.substr(0, text.find_last_not_of(' ') + 1);
  }

 private:
  // In dots, the origin at the top left.
  double x_of(double tokens) const { return tokens / range_.tokens * (2 * columns_ - 1); }
  double y_of(double value) const { return (range_.high - value) / (range_.high - range_.low) * (4 * lines_ - 1); }

  void line(const CurvePoint& a, const CurvePoint& b, int run, bool bright, char letter) {
    const double x0 = x_of(a.tokens), y0 = y_of(a.value), x1 = x_of(b.tokens), y1 = y_of(b.value);
    const int steps = 1 + int(std::min(4000.0, std::max(std::abs(x1 - x0), std::abs(y1 - y0))));
    for (int i = 0; i <= steps; ++i) {
      const double share = double(i) / steps;
      dot(std::lround(x0 + share * (x1 - x0)), std::lround(y0 + share * (y1 - y0)), run, bright, letter);
    }
  }

  void dot(long x, long y, int run, bool bright, char letter) {
    if (x < 0 || x >= 2 * columns_ || y < 0 || y >= 4 * lines_) return;
    static constexpr unsigned kBits[4][2] = {{0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}};
    Cell& cell = cells_[size_t((y / 4) * columns_ + x / 2)];
    if (letter) cell.letter = letter;
    cell.dots |= kBits[y % 4][x % 2];
    cell.run = run;
    cell.bright = bright;
  }

  static std::string glyph(const Cell& cell, bool colours) {
    if (!cell.dots) return " ";
    const unsigned code = 0x2800 + cell.dots;
    std::string text = cell.letter ? std::string(1, cell.letter)
                                   : std::string{char(0xe0 | code >> 12), char(0x80 | (code >> 6 & 0x3f)), char(0x80 | (code & 0x3f))};
    if (!colours) return text;
    return fmt::format("\033[{}{}m{}\033[0m", cell.bright ? "1;" : "", kColours[size_t(cell.run) % std::size(kColours)], text);
  }

  int columns_, lines_;
  CurveRange range_;
  std::vector<Cell> cells_;
};

std::string legend(const std::vector<RunCurves>& runs, const CurveTextOptions& options, bool letters) {
  std::string text;
  for (size_t i = 0; i < runs.size(); ++i) {
    const RunCurves& run = runs[i];
    const std::string mark = letters ? fmt::format("{} {}  ", char('a' + i % 26), char('A' + i % 26)) : "";
    const std::string trained = run.steps.empty() ? "" : fmt::format("training {}", human_figure(smoothed(run.steps).back().value));
    std::string validation;
    if (!run.validation.empty()) {
      const auto best = std::min_element(run.validation.begin(), run.validation.end(), [](auto& a, auto& b) { return a.value < b.value; });
      validation = fmt::format("validation {} (best {})", human_figure(run.validation.back().value), human_figure(best->value));
    }
    const std::string line = fit_line({{mark + run.name, 0, 12},
                                       {fmt::format("step {}", run.last_step), 2},
                                       {human_count(run.tokens) + " tokens", 4},
                                       {trained, 3},
                                       {validation, 1},
                                       {human_duration(60 * run.minutes), 5},
                                       {run.bad_lines ? fmt::format("{} bad lines", run.bad_lines) : "", 6}},
                                      options.columns);
    const int colour = kColours[i % std::size(kColours)];
    text += options.colours ? fmt::format("\033[{}m{}\033[0m\n", colour, line) : line + "\n";
  }
  return text;
}

}  // namespace

CurveRange curve_range(const std::vector<Curve>& curves) {
  CurveRange range{0, std::numeric_limits<double>::infinity(), -std::numeric_limits<double>::infinity()};
  for (const Curve& curve : curves) {
    if (!curve.empty()) range.tokens = std::max(range.tokens, curve.back().tokens);
  }
  // The first steps would flatten all others; they count only when there is nothing else.
  for (const double from : {range.tokens / 20, 0.0}) {
    for (const Curve& curve : curves) {
      for (const CurvePoint& point : curve) {
        if (point.tokens < from || !std::isfinite(point.value)) continue;
        range.low = std::min(range.low, point.value);
        range.high = std::max(range.high, point.value);
      }
    }
    if (range.low < range.high) break;
  }
  if (!(range.low <= range.high)) range.low = 0, range.high = 1;
  const double pad = range.high > range.low ? 0.04 * (range.high - range.low) : std::max(1e-9, std::abs(range.high) * 0.1);
  range.low -= pad;
  range.high += pad;
  if (range.tokens <= 0) range.tokens = 1;
  return range;
}

std::string curves_text(const std::vector<RunCurves>& runs, const CurveTextOptions& options) {
  std::vector<Curve> drawn;
  for (const RunCurves& run : runs) {
    drawn.push_back(smoothed(run.steps));
    drawn.push_back(run.validation);
  }
  const CurveRange range = curve_range(drawn);
  const bool letters = !options.colours && runs.size() > 1;
  const int columns = std::max(8, options.columns - kLabelColumns);
  Canvas canvas(columns, options.lines, range);
  for (size_t i = 0; i < runs.size(); ++i) canvas.draw(drawn[2 * i], int(i), false, letters ? char('a' + i % 26) : 0);
  for (size_t i = 0; i < runs.size(); ++i) {
    canvas.draw(drawn[2 * i + 1], int(i), true, letters ? char('A' + i % 26) : options.colours ? 0 : 'o');
  }

  const bool with_validation = std::any_of(runs.begin(), runs.end(), [](const RunCurves& run) { return !run.validation.empty(); });
  const char* marks = letters           ? "small letters: training, capitals: validation"
                      : options.colours ? "thin: training, bold: validation"
                                        : "dots: training, o: validation";
  std::string text = cut_to_width(fmt::format("{} over tokens{}", runs[0].key == "bpb" ? "bits a byte" : runs[0].key,
                                              with_validation ? fmt::format(" ({})", marks) : ""),
                                  options.columns) +
                     "\n";
  for (int line = 0; line < options.lines; ++line) {
    const bool labelled = line == 0 || line == options.lines - 1 || line % 4 == 0;
    const double value = range.high - (range.high - range.low) * (line + 0.5) / options.lines;
    text += fmt::format("{:>7} ┤{}\n", labelled ? cut_to_width(human_figure(value), 7) : "", canvas.row(line, options.colours));
  }
  const std::string end = cut_to_width(human_count(range.tokens) + " tokens", columns - 1);
  text += fmt::format("{:>8}└{}\n", "", fmt::format("{:─<{}}", "", columns));
  text += fmt::format("{:>8} 0{:>{}}\n", "", end, std::max(0, columns - 1));
  return text + legend(runs, options, letters);
}

}  // namespace finback
