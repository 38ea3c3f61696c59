// Models whose MTP modules agree with the main model by construction, as often as a test needs. Test code only.
#pragma once
#include <ATen/ATen.h>

#include <memory>

#include "model/test_models.h"

namespace finback::test {

inline ModelConfig with_two_modules(ModelConfig config) {
  config.num_nextn_predict_layers = 2;
  return config;
}

// Every block adds `mixed` times what it would, so at 0 the next token depends on the last one alone; an MTP module's eh_proj hands on the embedding
// of the token that it consumes, and `mixed` times the rest. At 0 the modules draft what the main model says, `sign` -1: the opposite; in between they
// agree now and then.
inline std::unique_ptr<Transformer> drafting_model(const ModelConfig& config, double mixed, double sign = 1) {
  auto model = lively_model(config, false);
  Parameters& parameters = model->parameters();
  for (const ParameterSpec& spec : parameters.specs()) {
    const at::Tensor value = parameters.value(spec.name);
    if (spec.name.ends_with("norm.weight") && mixed == 0) value.fill_(1);
    if (spec.name.ends_with("o_proj.weight") || spec.name.ends_with("down_proj.weight")) value.mul_(mixed);
    if (spec.name == "lm_head.weight") value.mul_(4);  // drawn at temperature 1, too, a few tokens are likely
    if (spec.name.ends_with("eh_proj.weight")) value.mul_(mixed).slice(1, 0, config.hidden_size).add_(at::eye(config.hidden_size), sign);
  }
  parameters.touch();
  return model;
}

}  // namespace finback::test
