#include "cost/electricity.h"

#include <fmt/format.h>

#include "cost/hardware.h"

namespace finback {
namespace {

constexpr double kVcpuWatts = 360.0 / 192;  // EPYC 9654: TDP 360 W, 192 hardware threads (AMD data sheet, 2022-11)

}  // namespace

Electricity estimated_electricity(const std::string& device, double device_hours) {
  for (const Accelerator& gpu : accelerators()) {
    if (gpu.name != plain_name(device) && gpu.name != device) continue;
    return {device_hours * gpu.tdp_w * kBoardDraw / 1000,
            fmt::format("estimated: {:.0f} % of {:.0f} W a board", 100 * kBoardDraw, gpu.tdp_w)};
  }
  return {device_hours * kVcpuWatts / 1000, fmt::format("estimated: {:.2f} W a vCPU, a server processor's share", kVcpuWatts)};
}

}  // namespace finback
