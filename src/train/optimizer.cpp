#include "train/optimizer.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace finback {

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

void Optimizer::step(double lr, int64_t step_number, double grad_norm, double max_norm) {
  AdamwOptions options;
  options.lr = lr;
  options.beta1 = config_.beta1;
  options.beta2 = config_.beta2;
  options.eps = config_.eps;
  options.weight_decay = config_.weight_decay;
  options.step = step_number;
  options.grad_scale = clip_scale(grad_norm, max_norm);
  adamw_(parameters_.values_P(), parameters_.grads_P(), m_P_, v_P_, decayed_, options);
  parameters_.touch();
}

}  // namespace finback
