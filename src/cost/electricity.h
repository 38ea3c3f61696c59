// Electricity of a run where no counter measured it: watts of a device times its hours. Knows no counters.
#pragma once
#include <string>

namespace finback {

struct Electricity {
  double kwh = 0;
  std::string how;  // "measured: ..." or "estimated: ...", for people
};
// An accelerator draws kBoardDraw of its power limit, a vCPU its share of a processor's. Memory, fans and losses are not in it.
Electricity estimated_electricity(const std::string& device, double device_hours);

// What boards draw in training, as a share of their power limit (published runs lie between 15 and 85 %).
inline constexpr double kBoardDraw = 0.75;

}  // namespace finback
