// Curves of runs as text for a terminal: braille dots, or letters where several runs could not be told apart without colours; and a table of where they
// stand. Lines are never wider than asked. Pure.
#pragma once
#include <string>
#include <vector>

#include "train/run_curves.h"

namespace finback {

struct CurveTextOptions {
  int columns = 80;  // at least 20
  int lines = 16;    // of the plot
  bool colours = false;
};
std::string curves_text(const std::vector<RunCurves>& runs, const CurveTextOptions& options);

// The values that a picture of these runs shows: what lies before a twentieth of the tokens may be above.
struct CurveRange {
  double tokens = 1, low = 0, high = 1;
};
CurveRange curve_range(const std::vector<Curve>& curves);

}  // namespace finback
