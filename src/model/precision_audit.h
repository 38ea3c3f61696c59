// Signal-to-noise ratios of what FP8 linears multiply, on a step's first tokens, beside the same products of the f32 operands in f64. Sees the
// linears while one forward and backward pass runs; knows no steps and decides nothing but what lies below its thresholds. Sampled: the first 128
// tokens of the pass's first packed row, and of the routed experts the one that has most of them, so the figures depend neither on how a step is
// cut into micro-batches nor on its later rows. Not thread-safe.
#pragma once
#include <ATen/core/Tensor.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "model/linear_input.h"

namespace finback {

constexpr int64_t kAuditedTokens = 128;  // one tile along tokens

// dB, rounded to 0.01, at most 200; no value where there was no signal.
struct PrecisionFigures {
  std::optional<double> x, w, y;     // operands and result of the forward product
  std::optional<double> dy, dx, dw;  // operand and results of the backward products
};

struct PrecisionThresholds {
  double forward_db = 25, gradient_db = 30;
};

// A linear layer as an audit sees it: its name without ".weight", its f32 weight [N, K] or [E, N, K], what its products multiply.
struct AuditedLinear {
  const std::string& name;
  const at::Tensor& weight;
  Precision precision, wgrad;
};

class PrecisionAudit {
 public:
  // For the layers; shapes as in Linear (model/weights.h).
  void forward(const AuditedLinear& linear, const LinearInput& x, const RowGroups& groups, const at::Tensor& y_SN);
  void backward(const AuditedLinear& linear, const at::Tensor& dy_SN, const LinearInput& x, const RowGroups& groups,
                const at::Tensor& dx_SK);

  // By linear, "model.layers.3.mlp.experts.down_proj".
  const std::map<std::string, PrecisionFigures>& figures() const { return figures_; }
  // The sub-layers ("model.layers.3.mlp"), ascending, with a linear that has a dy below gradient_db, or x, w, y or dx below forward_db. An E4M3
  // operand has about 31.5 dB and a product of two 28.5, so 30 can be asked of the gradient that a linear receives, not of dx. dw is shown only:
  // its sum over tokens cancels more of the signal than of the noise.
  std::vector<std::string> below(const PrecisionThresholds& thresholds) const;

 private:
  std::map<std::string, PrecisionFigures> figures_;
};

}  // namespace finback
