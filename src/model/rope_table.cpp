#include "model/rope_table.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <numbers>

namespace finback {

std::vector<float> rope_inv_freq(const ModelConfig& config) {
  const int64_t half = config.qk_rope_head_dim / 2;
  const float dim = float(config.qk_rope_head_dim), base = float(config.rope_theta);
  std::vector<float> inv_freq;
  for (int64_t i = 0; i < half; ++i) inv_freq.push_back(1.0f / std::pow(base, float(2 * i) / dim));  // theta_i = base^(-2i/R)
  if (!config.rope_scaling) return inv_freq;
  const YarnConfig& yarn = *config.rope_scaling;
  // The channel pair that turns `rotations` times over the original length.
  const auto correction_dim = [&](double rotations) {
    return double(dim) * std::log(yarn.original_max_position_embeddings / (rotations * 2 * std::numbers::pi)) /
           (2 * std::log(config.rope_theta));
  };
  const double low = std::max(std::floor(correction_dim(yarn.beta_fast)), 0.0);
  double high = std::min(std::ceil(correction_dim(yarn.beta_slow)), double(dim) - 1);
  if (low == high) high += 0.001;
  for (int64_t i = 0; i < half; ++i) {
    // Fast pairs keep their frequency, slow ones are stretched by the factor, a linear ramp between.
    const float ramp = float(std::clamp((double(i) - low) / (high - low), 0.0, 1.0));
    float& f = inv_freq[size_t(i)];
    f = f / float(yarn.factor) * ramp + f * (1 - ramp);
  }
  return inv_freq;
}

double yarn_mscale(double factor, double k) { return factor > 1 ? 0.1 * k * std::log(factor) + 1 : 1; }

at::Tensor rope_table(const ModelConfig& config, at::Device device) {
  const std::vector<float> inv_freq = rope_inv_freq(config);
  const int64_t positions = config.max_position_embeddings, half = int64_t(inv_freq.size());
  double multiplier = 1;
  if (config.rope_scaling) {
    const YarnConfig& yarn = *config.rope_scaling;
    multiplier = yarn_mscale(yarn.factor, yarn.mscale) / yarn_mscale(yarn.factor, yarn.mscale_all_dim);
  }
  at::Tensor table_SR = at::empty({positions, 2 * half}, at::kFloat);
  float* table = table_SR.mutable_data_ptr<float>();
  for (int64_t p = 0; p < positions; ++p) {
    for (int64_t i = 0; i < half; ++i) {
      const double angle = double(float(p) * inv_freq[size_t(i)]);  // the angle in f32, as transformers has it; its cosine exact
      table[p * 2 * half + i] = float(std::cos(angle) * multiplier);
      table[p * 2 * half + half + i] = float(std::sin(angle) * multiplier);
    }
  }
  return table_SR.to(device);
}

}  // namespace finback
