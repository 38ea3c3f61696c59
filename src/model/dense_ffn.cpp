#include "model/dense_ffn.h"

#include <ATen/ATen.h>

#include <utility>

#include "kernels/swiglu.h"

namespace finback {
namespace {

// What SwiGLU leaves for its backward pass. f32: its input and its output. Narrower: its input alone, narrow too, and the output is made
// again from it (V3 section 3.3.3).
struct Kept {
  NarrowRows gate_up;
  LinearInput a;
};

Kept keep_swiglu(const at::Tensor& gate_up_S2F, LinearInput a, const Numerics& numerics) {
  if (numerics.precision == Precision::kF32) return {narrow_rows(gate_up_S2F, Precision::kF32), std::move(a)};
  return {narrow_rows(gate_up_S2F, numerics.precision), {{}, a.exact}};
}

LinearInput output_again(const Kept& kept, const at::Tensor& gate_up_S2F, const Numerics& numerics) {
  if (numerics.precision == Precision::kF32) return kept.a;
  return {narrow_rows(swiglu(gate_up_S2F), numerics.precision), kept.a.exact};
}

}  // namespace

DenseFfn::DenseFfn(const Parameters& parameters, const std::string& prefix)
    : DenseFfn(fused_gate_up(parameters, prefix), Linear(parameters, prefix + "down_proj")) {}

DenseFfn::DenseFfn(Linear gate_up, Linear down) : gate_up_(std::move(gate_up)), down_(std::move(down)) {}

void DenseFfn::set_numerics(const Numerics& numerics) {
  numerics_ = numerics;
  gate_up_.set_numerics(numerics);
  down_.set_numerics(numerics);
}

LayerResult DenseFfn::forward(const LinearInput& x, const std::shared_ptr<ForwardPass>& pass, bool keep) const {
  return forward(x, pass->row_slots, pass, keep);
}

LayerResult DenseFfn::forward(const LinearInput& x, const Slots& slots, const std::shared_ptr<ForwardPass>& pass, bool keep) const {
  const at::Tensor gate_up_S2F = gate_up_.forward(x, slots, pass->audit);
  // The slots' own rows: only the first product reads rows of the pass.
  const LinearInput a = linear_input(swiglu(gate_up_S2F), numerics_, pass->audit != nullptr);
  Slots own = slots;
  own.rows_S.reset();
  LayerResult result{down_.forward(a, own, pass->audit), {}};
  if (keep) {
    result.backward = [this, x, &slots, own = std::move(own), pass, kept = keep_swiglu(gate_up_S2F, a, numerics_),
                       numerics = numerics_](const at::Tensor& dy_SD) {
      const at::Tensor wide_S2F = widen_rows(kept.gate_up);
      const at::Tensor da_SF = down_.backward(dy_SD, output_again(kept, wide_S2F, numerics), own, pass->audit);
      return gate_up_.backward(swiglu_backward(da_SF, wide_S2F), x, slots, pass->audit);
    };
  }
  return result;
}

}  // namespace finback
