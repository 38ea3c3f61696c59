// The tensors of a model: checkpoint names, shapes and places in the flat buffer, as a function of its config. Allocates nothing.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "model/model_config.h"

namespace finback {

struct ParameterSpec {
  std::string name;  // checkpoint name, "model.layers.3.mlp.experts.7.gate_proj.weight"
  std::vector<int64_t> shape;
  int64_t offset = 0;  // in the flat buffer, floats
  int64_t numel = 0;
  bool decays() const { return shape.size() >= 2; }  // matrices decay, norm weights do not
  // Projections and head, which serving may keep as stored weights; embedding, router and norms stay f32.
  bool is_stored() const;
};

// Trained tensors in checkpoint order: embedding, layers 0..L-1, final norm, head (unless tied), then MTP layers L, L+1, ...
// An MTP layer's embedding and head are the main model's and are not listed.
std::vector<ParameterSpec> parameter_specs(const ModelConfig& config);
// e_score_correction_bias of every MoE layer: f32 [E], not trained by gradient.
std::vector<ParameterSpec> buffer_specs(const ModelConfig& config);
// Numbers in the flat buffer of these tensors.
int64_t numbers_of(const std::vector<ParameterSpec>& specs);

}  // namespace finback
