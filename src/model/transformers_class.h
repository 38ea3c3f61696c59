// Under which name a model is written, so that the class which transformers 5 has for that name computes what this program computes. It knows two
// routers: DeepseekV3's (sigmoid, expert biases, sums of each group's two best) and DeepseekV2's (softmax, not normalised); tools/parity_config compares.
#pragma once
#include <string>

#include "model/model_config_fields.h"

namespace finback {

struct TransformersClass {
  std::string model_type;  // deepseek_v2 or deepseek_v3; empty: no class computes this model
  std::string unfit;       // then: which keys, expected and got
};
TransformersClass transformers_class(const ModelConfig& config);
// Throws Error when there is no class: asked before a model is made.
void check_transformers_class(const ModelConfig& config, const std::string& what);
// A line for people when the class of the name in a file computes another model than the file says; else empty.
std::string transformers_note(const ModelConfig& config, const std::string& what);

}  // namespace finback
