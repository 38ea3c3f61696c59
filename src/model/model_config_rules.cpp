#include "model/model_config_rules.h"

#include "base/error.h"

namespace finback {
namespace {

// Beyond any published model by orders of magnitude, and far from the end of int64 when bytes are counted.
constexpr double kMaxParameters = 1e15;
constexpr double kMaxTensors = 4e6;  // V3 has 46 thousand; every tensor costs a name and a map entry
constexpr int64_t kMaxRows = int64_t{1} << 31;
constexpr int64_t kMaxRopeTable = int64_t{1} << 28;  // floats, made before the first token; V3 has 10 million

void check_gate(const ModelConfig& c, const std::string& what) {
  const bool noaux = c.topk_method == "noaux_tc", limited = c.topk_method == "group_limited_greedy";
  FB_CHECK(noaux || limited || c.topk_method == "greedy", "{}: topk_method: expected noaux_tc, group_limited_greedy or greedy, got \"{}\"",
           what, c.topk_method);
  FB_CHECK(c.scoring_func == "sigmoid" || c.scoring_func == "softmax", "{}: scoring_func: expected sigmoid or softmax, got \"{}\"", what,
           c.scoring_func);
  if (c.n_routed_experts == 0) return;
  const int64_t e = c.n_routed_experts, k = c.num_experts_per_tok;
  FB_CHECK(c.moe_intermediate_size >= 1, "{}: moe_intermediate_size: expected at least 1 with n_routed_experts = {}, got {}", what, e,
           c.moe_intermediate_size);
  FB_CHECK(k >= 1 && k <= e, "{}: num_experts_per_tok: expected 1 to n_routed_experts = {}, got {}", what, e, k);
  FB_CHECK(e % c.n_group == 0, "{}: n_group: expected a divisor of n_routed_experts = {}, got {}", what, e, c.n_group);
  FB_CHECK(c.topk_group <= c.n_group, "{}: topk_group: expected at most n_group = {}, got {}", what, c.n_group, c.topk_group);
  if (!noaux && !limited) {
    FB_CHECK(c.topk_group == c.n_group, "{}: topk_method greedy chooses among all experts: expected topk_group = n_group, got {} of {}",
             what, c.topk_group, c.n_group);
  }
  const int64_t reachable = e / c.n_group * c.topk_group;
  FB_CHECK(k <= reachable, "{}: num_experts_per_tok: expected at most {} (topk_group = {} of n_group = {} groups of {} experts), got {}",
           what, reachable, c.topk_group, c.n_group, e / c.n_group, k);
  // A group's score is the sum of its two best experts.
  FB_CHECK(!noaux || c.n_group == 1 || e / c.n_group >= 2,
           "{}: topk_method noaux_tc: expected at least 2 experts a group, got n_routed_experts = {} in n_group = {}", what, e, c.n_group);
}

void check_yarn(const ModelConfig& c, const std::string& what) {
  if (!c.rope_scaling) return;
  const YarnConfig& y = *c.rope_scaling;
  FB_CHECK(y.beta_fast >= y.beta_slow, "{}: rope_scaling: expected beta_fast >= beta_slow, got {} and {}", what, y.beta_fast, y.beta_slow);
  FB_CHECK(c.rope_theta > 1, "{}: rope_theta: expected more than 1 with rope_scaling, got {}", what, c.rope_theta);
}

// In double: nothing overflows, and the bounds are far below 2^53 rounding.
void check_size(const ModelConfig& c, const std::string& what) {
  const auto rows = [&](int64_t n, const char* keys) { FB_CHECK(n <= kMaxRows, "{}: {}: expected at most 2^31, got {}", what, keys, n); };
  rows(c.num_attention_heads * c.qk_head_dim(), "num_attention_heads * (qk_nope_head_dim + qk_rope_head_dim)");
  rows(c.num_attention_heads * (c.qk_nope_head_dim + c.v_head_dim), "num_attention_heads * (qk_nope_head_dim + v_head_dim)");
  rows(c.n_shared_experts * c.moe_intermediate_size, "n_shared_experts * moe_intermediate_size");
  FB_CHECK(c.max_position_embeddings * c.qk_rope_head_dim <= kMaxRopeTable,
           "{}: max_position_embeddings * qk_rope_head_dim: expected at most 2^28, got {}", what,
           c.max_position_embeddings * c.qk_rope_head_dim);
  const double d = double(c.hidden_size), h = double(c.num_attention_heads), q = double(c.q_lora_rank.value_or(0));
  const double qk = h * double(c.qk_head_dim());
  const double attention = (q > 0 ? q * (d + qk) : d * qk) + d * double(c.latent_dim()) +
                           double(c.kv_lora_rank) * h * double(c.qk_nope_head_dim + c.v_head_dim) + h * double(c.v_head_dim) * d;
  const double experts = double(c.n_routed_experts + c.n_shared_experts) * 3 * d * double(c.moe_intermediate_size);
  const double layer = attention + experts + 3 * d * double(c.intermediate_size) + 2 * d * d;
  const double total = double(c.total_layers()) * layer + 2 * double(c.vocab_size) * d;
  FB_CHECK(total <= kMaxParameters,
           "{}: expected at most {:.0e} parameters, got about {:.1e}. Hint: check hidden_size, n_routed_experts and "
           "num_hidden_layers",
           what, kMaxParameters, total);
  const double tensors = double(c.total_layers()) * (3 * double(c.n_routed_experts) + 20);
  FB_CHECK(tensors <= kMaxTensors, "{}: num_hidden_layers * n_routed_experts: expected at most {:.0e} tensors, got about {:.1e}", what,
           kMaxTensors, tensors);
}

}  // namespace

void check_model_config(const ModelConfig& c, const std::string& what) {
  FB_CHECK(c.qk_rope_head_dim % 2 == 0, "{}: qk_rope_head_dim: expected an even number, got {}", what, c.qk_rope_head_dim);
  FB_CHECK(c.first_k_dense_replace <= c.num_hidden_layers, "{}: first_k_dense_replace: expected at most num_hidden_layers = {}, got {}",
           what, c.num_hidden_layers, c.first_k_dense_replace);
  const bool dense = c.n_routed_experts == 0 || c.first_k_dense_replace > 0;
  FB_CHECK(!dense || c.intermediate_size >= 1, "{}: intermediate_size: expected at least 1 for the dense layers, got {}", what,
           c.intermediate_size);
  for (const auto& [key, id] : {std::pair("bos_token_id", c.bos_token_id), std::pair("eos_token_id", c.eos_token_id)}) {
    FB_CHECK(!id || (*id >= 0 && *id < kMaxRows), "{}: {}: expected 0 to 2^31, got {}", what, key, *id);
  }
  check_gate(c, what);
  check_yarn(c, what);
  check_size(c, what);
}

}  // namespace finback
