#include "model/dense_ffn.h"

#include <ATen/ATen.h>

#include <utility>

#include "kernels/swiglu.h"

namespace finback {
namespace {

// What SwiGLU keeps for its backward pass. f32: its input and its output. bf16 and fp8: its input alone, quantized, from which the output is
// recomputed (V3 section 3.3.3).
struct KeptSwiglu {
  QuantizedRows gate_up;
  LinearInput a;
};

KeptSwiglu keep_swiglu(const at::Tensor& gate_up_S2F, LinearInput a, const Numerics& numerics) {
  if (numerics.precision == Precision::kF32) return {quantize_rows(gate_up_S2F, Precision::kF32), std::move(a)};
  return {quantize_rows(gate_up_S2F, numerics.precision), {{}, a.exact}};
}

LinearInput output_again(const KeptSwiglu& kept, const at::Tensor& gate_up_S2F, const Numerics& numerics) {
  if (numerics.precision == Precision::kF32) return kept.a;
  return {quantize_rows(swiglu(gate_up_S2F), numerics.precision), kept.a.exact};
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
  return forward(x, pass->row_groups, pass, keep);
}

LayerResult DenseFfn::forward(const LinearInput& x, const RowGroups& groups, const std::shared_ptr<ForwardPass>& pass, bool keep) const {
  const Call call = {this, x, &groups};
  return std::move(forward_all({&call, 1}, pass, keep).front());
}

std::vector<LayerResult> DenseFfn::forward_all(std::span<const Call> calls, const std::shared_ptr<ForwardPass>& pass, bool keep) {
  std::vector<LinearUse> uses;
  for (const Call& call : calls) uses.push_back({&call.ffn->gate_up_, &call.x, call.groups});
  const std::vector<at::Tensor> gate_ups = finback::forward_all(uses, pass->audit);
  std::vector<LinearInput> inputs;
  std::vector<RowGroups> own;  // rows already in permuted order: only the first product reads rows of the pass
  for (size_t i = 0; i < calls.size(); ++i) {
    inputs.push_back(linear_input(swiglu(gate_ups[i]), calls[i].ffn->numerics_, pass->audit != nullptr));
    own.push_back(*calls[i].groups);
    own.back().source_rows_S.reset();
  }
  uses.clear();
  for (size_t i = 0; i < calls.size(); ++i) uses.push_back({&calls[i].ffn->down_, &inputs[i], &own[i]});
  const std::vector<at::Tensor> outputs = finback::forward_all(uses, pass->audit);
  std::vector<LayerResult> results;
  for (size_t i = 0; i < calls.size(); ++i) {
    results.push_back({outputs[i], {}});
    if (keep) results[i].backward = calls[i].ffn->backward_of(calls[i], std::move(own[i]), gate_ups[i], inputs[i], pass);
  }
  return results;
}

LayerBackward DenseFfn::backward_of(const Call& call, RowGroups own, const at::Tensor& gate_up_S2F, const LinearInput& a,
                                    const std::shared_ptr<ForwardPass>& pass) const {
  return [this, call, own = std::move(own), pass, kept = keep_swiglu(gate_up_S2F, a, numerics_),
          numerics = numerics_](const at::Tensor& dy_SD) {
    const at::Tensor wide_S2F = dequantize_rows(kept.gate_up);
    const at::Tensor da_SF = down_.backward(dy_SD, output_again(kept, wide_S2F, numerics), own, pass->audit);
    return gate_up_.backward(swiglu_backward(da_SF, wide_S2F), call.x, *call.groups, pass->audit);
  };
}

}  // namespace finback
