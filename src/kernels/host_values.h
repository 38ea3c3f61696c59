// Integers of a tensor that decide how an op's work is cut: offsets, starts, boundaries. CPU code reads them where they lie; a reference (_ref),
// which runs on a device too, must fetch them, and there each fetch waits for the device. Fetches are counted, and the ops of a MoE layer read
// no tensor on the host in any other way (tools/check host, model/moe_test.cpp). Knows no op.
#pragma once
#include <ATen/core/Tensor.h>

#include <atomic>
#include <cstdint>
#include <span>
#include <vector>

#include "base/error.h"

namespace finback {

// Of a contiguous i64 vector on the CPU, which outlives the span.
inline std::span<const int64_t> values_in_place(const at::Tensor& x_N) {
  FB_ASSERT(x_N.dim() == 1 && x_N.scalar_type() == at::kLong && x_N.is_cpu() && x_N.is_contiguous(), "expected an i64 vector on the CPU");
  return {x_N.const_data_ptr<int64_t>(), size_t(x_N.numel())};
}

// How often fetched_values was called in this process.
inline std::atomic<int64_t>& fetch_count() {
  static std::atomic<int64_t> count = 0;
  return count;
}
// A copy on the host, from any device.
inline std::vector<int64_t> fetched_values(const at::Tensor& x_N) {
  ++fetch_count();
  const at::Tensor host_N = x_N.to(at::kCPU).contiguous();
  const std::span<const int64_t> values = values_in_place(host_N);
  return {values.begin(), values.end()};
}

}  // namespace finback
