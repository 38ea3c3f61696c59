#include "kernels/swiglu.h"

#include <ATen/ATen.h>

#include "base/pool.h"
#include "kernels/backend.h"
#include "kernels/ref_grad.h"
#include "kernels/rows.h"
#include "kernels/swiglu_cpu.h"

namespace finback {
namespace {

constexpr int64_t kSwigluRows = 64;

}  // namespace

at::Tensor swiglu(const at::Tensor& gate_up_T2F) {
  if (backend_of(gate_up_T2F) == Backend::kRef) return swiglu_ref(gate_up_T2F);
  const Rows gate_up = rows_of(gate_up_T2F);
  const int64_t f = gate_up.columns / 2;
  at::Tensor y_TF = at::empty({gate_up.count, f}, gate_up_T2F.options());
  float* y = y_TF.mutable_data_ptr<float>();
  parallel_ranges(gate_up.count, kSwigluRows, [&](int64_t begin, int64_t end) {
    swiglu_rows().forward(end - begin, f, gate_up.at(begin), gate_up.stride, y + begin * f);
  });
  return y_TF;
}

at::Tensor swiglu_backward(const at::Tensor& dy_TF, const at::Tensor& gate_up_T2F) {
  if (backend_of(gate_up_T2F) == Backend::kRef) {
    return gradients_of([](const std::vector<at::Tensor>& in) { return std::vector<at::Tensor>{swiglu_ref(in[0])}; }, {gate_up_T2F},
                        {dy_TF})[0];
  }
  const Rows gate_up = rows_of(gate_up_T2F), dy = rows_of(dy_TF);
  const int64_t f = gate_up.columns / 2;
  FB_ASSERT(dy.count == gate_up.count && dy.columns == f, "dy of these rows");
  at::Tensor d_gate_up_T2F = at::empty({gate_up.count, 2 * f}, gate_up_T2F.options());
  float* d_gate_up = d_gate_up_T2F.mutable_data_ptr<float>();
  parallel_ranges(gate_up.count, kSwigluRows, [&](int64_t begin, int64_t end) {
    swiglu_rows().backward(end - begin, f, dy.at(begin), dy.stride, gate_up.at(begin), gate_up.stride, d_gate_up + begin * 2 * f);
  });
  return d_gate_up_T2F;
}

}  // namespace finback
