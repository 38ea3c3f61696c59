// What figures of whole runs (bench step, bench decode) share: the median and the machine in their JSON line.
#pragma once
#include <algorithm>
#include <vector>

#include "base/json.h"
#include "machine/machine_probe.h"

namespace finback {

// REQUIRES: at least one value.
inline double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

inline void add_machine(Json& figure, const MachineProbe& probe) {
  figure["threads"] = probe.threads;
  figure["kernels"] = probe.kernels;
  figure["arithmetic"] = arithmetic_label(probe);
  figure["processor"] = probe.processor;
}

}  // namespace finback
