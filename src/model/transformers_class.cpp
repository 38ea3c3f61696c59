#include "model/transformers_class.h"

#include "base/error.h"

namespace finback {
namespace {

// What keeps DeepseekV3 from being this model; empty: nothing. It reads neither scoring_func nor topk_method. Without stored expert biases they are
// zero, which makes its router the greedy one, and the limited one where every group may be used.
std::string unfit_for_v3(const ModelConfig& c) {
  if (c.n_routed_experts == 0) return "";
  if (c.scoring_func != "sigmoid") return fmt::format("scoring_func: expected sigmoid, got {}", c.scoring_func);
  if (c.topk_method == "group_limited_greedy" && c.topk_group < c.n_group)
    return "topk_method: expected noaux_tc with scoring_func sigmoid, got group_limited_greedy";
  if (c.n_routed_experts / c.n_group < 2)
    return fmt::format("n_routed_experts: expected at least 2 a group, got {} in n_group = {}", c.n_routed_experts, c.n_group);
  return "";
}

// The same for DeepseekV2, which never normalises, always pairs neighbouring rope channels and wants heads that divide the width.
std::string unfit_for_v2(const ModelConfig& c) {
  if (c.n_routed_experts > 0) {
    if (c.scoring_func != "softmax") return fmt::format("scoring_func: expected softmax, got {}", c.scoring_func);
    if (c.topk_method == "noaux_tc") return "topk_method: expected greedy or group_limited_greedy with scoring_func softmax, got noaux_tc";
    if (c.norm_topk_prob) return "norm_topk_prob: expected false with scoring_func softmax, got true";
  }
  if (!c.rope_interleave) return "rope_interleave: expected true with scoring_func softmax, got false";
  if (c.num_attention_heads > 0 && c.hidden_size % c.num_attention_heads != 0)
    return fmt::format("num_attention_heads: expected a divisor of hidden_size = {} with scoring_func softmax, got {}", c.hidden_size,
                       c.num_attention_heads);
  return "";
}

}  // namespace

TransformersClass transformers_class(const ModelConfig& c) {
  const std::string v2 = unfit_for_v2(c), v3 = unfit_for_v3(c);
  if (v2.empty() && (c.model_type == "deepseek_v2" || !v3.empty())) return {"deepseek_v2", ""};
  if (v3.empty()) return {"deepseek_v3", ""};
  return {"", c.scoring_func == "softmax" ? v2 : v3};
}

void check_transformers_class(const ModelConfig& config, const std::string& what) {
  const TransformersClass written = transformers_class(config);
  FB_CHECK(!written.model_type.empty(),
           "{}: {} (no class of transformers computes such a model, so its checkpoints would mean another one there)", what, written.unfit);
}

std::string transformers_note(const ModelConfig& c, const std::string& what) {
  const TransformersClass fit = transformers_class(c);
  const bool v2 = c.model_type == "deepseek_v2";
  const std::string unfit = v2 ? unfit_for_v2(c) : unfit_for_v3(c);
  if (unfit.empty()) return "";
  const std::string kind = v2 ? "DeepseekV2" : "DeepseekV3";
  return fmt::format("{}: transformers' {} is not this model ({}); it is computed as the file says{}", what, kind, unfit,
                     fit.model_type.empty() ? "" : ". Hint: finback convert writes it as " + fit.model_type);
}

}  // namespace finback
