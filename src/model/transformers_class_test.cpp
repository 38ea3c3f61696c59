#include "model/transformers_class.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "model/model_config.h"

namespace finback {
namespace {

ModelConfig test_config(const char* keys) {
  Json json =
      parse_json(R"({"model_type": "deepseek_v3", "vocab_size": 61, "hidden_size": 24, "num_hidden_layers": 3, "num_attention_heads": 3,
    "q_lora_rank": 12, "kv_lora_rank": 10, "qk_nope_head_dim": 8, "qk_rope_head_dim": 4, "v_head_dim": 6, "first_k_dense_replace": 1,
    "intermediate_size": 20, "moe_intermediate_size": 8, "n_routed_experts": 8, "n_shared_experts": 1, "num_experts_per_tok": 2, "n_group": 2,
    "topk_group": 1, "max_position_embeddings": 256})",
                 "test config");
  json.update(parse_json(keys, "changes"));
  return parse_model_config(json, "test config");
}

// What is written for a model made under `type` with these keys: its model_type, or the key that no class has. That transformers' classes of these
// names do compute the models is shown by tools/parity_config.
std::string written(const char* type, const char* keys) {
  ModelConfig config = test_config(keys);
  config.model_type = type;
  const TransformersClass kind = transformers_class(config);
  const Json dumped = dump_model_config(config);
  if (kind.model_type.empty()) {
    EXPECT_THROW(check_transformers_class(config, "recipe"), Error);
    return kind.unfit.substr(0, kind.unfit.find(':'));
  }
  EXPECT_NO_THROW(check_transformers_class(config, "recipe"));
  EXPECT_EQ(dumped["model_type"], kind.model_type);
  EXPECT_EQ(dumped["architectures"][0], kind.model_type == "deepseek_v2" ? "DeepseekV2ForCausalLM" : "DeepseekV3ForCausalLM");
  return kind.model_type;
}

TEST(TransformersClass, IsTheOneThatComputesTheModel) {
  const std::tuple<const char*, const char*> cases[] = {
      {R"({})", "deepseek_v3"},
      {R"({"norm_topk_prob": false})", "deepseek_v3"},
      {R"({"topk_method": "greedy", "topk_group": 2})", "deepseek_v3"},
      {R"({"topk_method": "group_limited_greedy", "topk_group": 2})", "deepseek_v3"},
      {R"({"topk_method": "group_limited_greedy"})", "topk_method"},
      {R"({"scoring_func": "softmax", "topk_method": "greedy", "topk_group": 2, "norm_topk_prob": false})", "deepseek_v2"},
      {R"({"scoring_func": "softmax", "topk_method": "group_limited_greedy", "norm_topk_prob": false})", "deepseek_v2"},
      {R"({"scoring_func": "softmax", "topk_method": "greedy", "topk_group": 2, "norm_topk_prob": true})", "norm_topk_prob"},
      {R"({"scoring_func": "softmax", "norm_topk_prob": false})", "topk_method"},
      {R"({"scoring_func": "softmax", "topk_method": "greedy", "topk_group": 2, "norm_topk_prob": false, "rope_interleave": false})",
       "rope_interleave"},
      {R"({"scoring_func": "softmax", "topk_method": "greedy", "topk_group": 2, "norm_topk_prob": false, "num_attention_heads": 5})",
       "num_attention_heads"},
      {R"({"topk_method": "greedy", "n_group": 4, "topk_group": 4, "n_routed_experts": 4, "num_experts_per_tok": 2})", "n_routed_experts"}};
  for (const char* type : {"deepseek_v3", "deepseek_v2", "kimi_k2"}) {
    for (const auto& [keys, expected] : cases) EXPECT_EQ(written(type, keys), expected) << type << " " << keys;
  }
}

TEST(TransformersClass, ADenseTwinIsDenseToTheLastLayerUnderEitherName) {
  for (const char* type : {"deepseek_v3", "deepseek_v2"}) {
    ModelConfig config = test_config(R"({"n_routed_experts": 0, "scoring_func": "softmax", "norm_topk_prob": true})");
    config.model_type = type;
    EXPECT_EQ(transformers_class(config).model_type, type);
    const Json dumped = dump_model_config(config);
    EXPECT_EQ(dumped["first_k_dense_replace"], config.num_hidden_layers);
    EXPECT_EQ(dump_model_config(parse_model_config(dumped, "dumped")), dumped);
    config.num_attention_heads = 5;  // no divisor of the width
    EXPECT_EQ(transformers_class(config).model_type, "deepseek_v3");
  }
}

TEST(TransformersClass, AFileUnderTheWrongNameIsReadAsItSaysAndNoted) {
  ModelConfig config = test_config(R"({"scoring_func": "softmax", "topk_method": "greedy", "topk_group": 2, "norm_topk_prob": false})");
  EXPECT_NE(transformers_note(config, "m/config.json").find("scoring_func"), std::string::npos);
  EXPECT_NE(transformers_note(config, "m/config.json").find("convert writes it as deepseek_v2"), std::string::npos);
  config.model_type = "deepseek_v2";
  EXPECT_EQ(transformers_note(config, "m/config.json"), "");
  config.norm_topk_prob = true;
  EXPECT_NE(transformers_note(config, "m/config.json").find("norm_topk_prob"), std::string::npos);
  EXPECT_EQ(transformers_note(test_config("{}"), "m/config.json"), "");
}

}  // namespace
}  // namespace finback
