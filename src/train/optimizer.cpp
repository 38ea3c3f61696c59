#include "train/optimizer.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"

// Note [What a step trains]
// A tensor that the loss of a step does not depend on is left as it is, moments too, as PyTorch skips a parameter without a gradient: the MTP
// modules from number `mtp_trained` on, where mtp_lambda is 0 or no target is that far from its document's end. Weight decay would shrink them
// to nothing otherwise. All else is trained in every step: an expert that got no token has a gradient of zeros, as in PyTorch, so its moments
// fade and its weights decay. Differs from PyTorch: the step count of the bias correction is the run's, not the tensor's.

namespace finback {
namespace {

// The parts of the ranges below `end`.
std::vector<FlatRange> below(std::vector<FlatRange> ranges, int64_t end) {
  std::erase_if(ranges, [end](const FlatRange& range) { return range.begin >= end; });
  for (FlatRange& range : ranges) range.end = std::min(range.end, end);
  return ranges;
}

}  // namespace

std::vector<FlatRange> decayed_ranges(const std::vector<ParameterSpec>& specs) {
  std::vector<FlatRange> ranges;
  for (const ParameterSpec& spec : specs) {
    if (!spec.decays()) continue;
    if (!ranges.empty() && ranges.back().end == spec.offset) {
      ranges.back().end += spec.numel;
    } else {
      ranges.push_back({spec.offset, spec.offset + spec.numel});
    }
  }
  return ranges;
}

double clip_scale(double norm, double max_norm) { return max_norm > 0 ? std::min(1.0, max_norm / (norm + 1e-6)) : 1.0; }

double gradient_norm(const Parameters& parameters) { return std::sqrt(sum_of_squares(parameters.grads_P(), parameters.pieces())); }

std::string parameter_at(const std::vector<ParameterSpec>& specs, int64_t index) {
  for (const ParameterSpec& spec : specs) {
    if (index >= spec.offset && index < spec.offset + spec.numel) return spec.name;
  }
  FB_ASSERT(false, "every element of the flat buffer belongs to a tensor");
}

Optimizer::Optimizer(Parameters& parameters, const OptimizerSection& config)
    : parameters_(parameters),
      config_(config),
      decayed_(decayed_ranges(parameters.specs())),
      m_P_(at::zeros_like(parameters.values_P())),
      v_P_(at::zeros_like(parameters.values_P())) {}

void Optimizer::step(double lr, int64_t step_number, double grad_norm, double max_norm, int64_t mtp_trained) {
  AdamwOptions options;
  options.lr = lr;
  options.beta1 = config_.beta1;
  options.beta2 = config_.beta2;
  options.eps = config_.eps;
  options.weight_decay = config_.weight_decay;
  options.step = step_number;
  options.grad_scale = clip_scale(grad_norm, max_norm);
  const int64_t trained = parameters_.numel_with_mtp(mtp_trained);
  const auto part = [trained](const at::Tensor& flat_P) { return flat_P.narrow(0, 0, trained); };
  adamw_(part(parameters_.values_P()), part(parameters_.grads_P()), part(m_P_), part(v_P_), below(decayed_, trained), options);
  parameters_.touch();
}

}  // namespace finback
