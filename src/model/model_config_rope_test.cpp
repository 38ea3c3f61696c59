#include "model/model_config_rope.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "model/model_config.h"

namespace finback {
namespace {

constexpr const char* kYarn =
    R"({"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64, "mscale": 1.0, "mscale_all_dim": 1.0})";

// A config with this rope object under `key`; more keys are laid over the top level.
ModelConfig config_with(const std::string& key, const Json& rope, const char* more = "{}") {
  Json json =
      parse_json(R"({"model_type": "deepseek_v3", "vocab_size": 97, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2,
    "q_lora_rank": 16, "kv_lora_rank": 8, "qk_nope_head_dim": 8, "qk_rope_head_dim": 4, "v_head_dim": 8, "first_k_dense_replace": 1,
    "intermediate_size": 40, "moe_intermediate_size": 12, "n_routed_experts": 8, "n_shared_experts": 1, "num_experts_per_tok": 2,
    "n_group": 2, "topk_group": 1, "max_position_embeddings": 512})",
                 "test");
  json[key] = rope;
  json.update(parse_json(more, "more"));
  return parse_model_config(json, "c.json");
}
Json with(const char* base, const char* changes) {
  Json rope = parse_json(base, "base");
  rope.update(parse_json(changes, "changes"));
  return rope;
}
std::string error_of(const std::string& key, const Json& rope, const char* more = "{}") {
  try {
    config_with(key, rope, more);
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

TEST(ModelConfigRope, NeutralKeysOfYarnAreReadOver) {
  const Json plain = dump_rope(config_with("rope_scaling", parse_json(kYarn, "yarn")));
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    for (const char* changes :
         {R"({"attention_factor": 1.0})", R"({"attention_factor": 1})", R"({"attention_factor": null})", R"({"truncate": true})",
          R"({"finetuned": true})", R"({"finetuned": false})", R"({"partial_rotary_factor": 1.0})", R"({"extrapolation_factor": 1})",
          R"({"attn_factor": 1.0})", R"({"rope_type": "yarn"})", R"({"type": null, "rope_type": "yarn"})",
          R"({"beta_fast": 32, "beta_slow": 1})", R"({"original_max_position_embeddings": 64.0})", R"({"rope_theta": 10000})",
          R"({"type": "deepseek_yarn"})", R"({"low_freq_factor": null})"})
      EXPECT_EQ(dump_rope(config_with(key, with(kYarn, changes))), plain) << key << " " << changes;
  }
  EXPECT_EQ(dump_rope(config_with("rope_scaling", parse_json(kYarn, "yarn"), R"({"original_max_position_embeddings": 64})")), plain);
  EXPECT_EQ(dump_rope(config_with("rope_scaling", parse_json(kYarn, "yarn"), R"({"partial_rotary_factor": 1.0})")), plain);
}

TEST(ModelConfigRope, PlainRopeHasManyForms) {
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    for (const char* rope : {"{}", R"({"rope_theta": 10000.0})", R"({"rope_type": "default"})", R"({"type": "default", "factor": 1.0})",
                             R"({"rope_type": "linear", "factor": 1.0})", R"({"rope_type": "dynamic", "factor": 1})",
                             R"({"rope_type": null})", R"({"factor": 1.0})", R"({"rope_type": "default", "partial_rotary_factor": 1.0})",
                             R"({"rope_type": "default", "beta_fast": 32, "mscale": 0.7})"})
      EXPECT_FALSE(config_with(key, parse_json(rope, "rope")).rope_scaling.has_value()) << key << " " << rope;
  }
}

TEST(ModelConfigRope, WhatWouldChangeTheArithmeticIsRefusedByName) {
  const std::pair<const char*, const char*> yarn[] = {{R"({"attention_factor": 0.5})", "attention_factor"},
                                                      {R"({"attention_factor": "1"})", "attention_factor"},
                                                      {R"({"truncate": false})", "truncate"},
                                                      {R"({"truncate": 1})", "truncate"},
                                                      {R"({"finetuned": "yes"})", "finetuned"},
                                                      {R"({"partial_rotary_factor": 0.5})", "partial_rotary_factor"},
                                                      {R"({"factor": null})", "factor"},
                                                      {R"({"factor": 0.5})", "factor"},
                                                      {R"({"factor": "4"})", "factor"},
                                                      {R"({"rope_type": "default"})", "rope_type"},
                                                      {R"({"type": "linear"})", "linear"},
                                                      {R"({"type": 3})", "type"},
                                                      {R"({"beta_fast": 1, "beta_slow": 32})", "beta_fast"},
                                                      {R"({"beta_fast": 0})", "beta_fast"},
                                                      {R"({"long_factor": [1.0]})", "long_factor"},
                                                      {R"({"original_max_position_embeddings": 64.5})", "original_max_position_embeddings"},
                                                      {R"({"attn_factor": 2})", "attn_factor"},
                                                      {R"({"mscales": 1})", "mscale"}};
  for (const auto& [changes, name] : yarn) {
    const std::string message = error_of("rope_scaling", with(kYarn, changes));
    EXPECT_NE(message.find(name), std::string::npos) << changes << ": " << message;
    EXPECT_EQ(message.find("c.json: rope_scaling"), 0u) << message;
  }
  const std::pair<const char*, const char*> plain[] = {
      {R"({"factor": 4})", "factor"},
      {R"({"rope_type": "default", "factor": 4})", "factor"},
      {R"({"rope_type": "default", "attention_factor": 1.5})", "attention_factor"},
      {R"({"rope_type": "linear", "factor": 2})", "linear"},
      {R"({"rope_type": "llama3", "factor": 8})", "llama3"},
      {R"({"rope_type": "default", "partial_rotary_factor": 0.25})", "partial_rotary_factor"},
      {R"({"full_attention": {"rope_theta": 1}})", "full_attention"}};
  for (const auto& [rope, name] : plain)
    EXPECT_NE(error_of("rope_parameters", parse_json(rope, "rope")).find(name), std::string::npos) << rope;
  const Json rope = parse_json(kYarn, "yarn");
  EXPECT_NE(error_of("rope_scaling", rope, R"({"partial_rotary_factor": 0.5})").find("partial_rotary_factor"), std::string::npos);
  EXPECT_NE(error_of("rope_scaling", rope, R"({"original_max_position_embeddings": 128})").find("original_max"), std::string::npos);
  EXPECT_NE(error_of("rope_scaling", false).find("rope_scaling"), std::string::npos);
}

// m(k) = 0.1 k ln(factor) + 1: DeepSeek's code takes 1 and 0 for absent keys, transformers takes both or none.
TEST(ModelConfigRope, ALoneMscaleIsRefusedAndTwoThatAgreeAreNot) {
  constexpr const char* kBare = R"({"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64})";
  for (const char* changes : {R"({"mscale_all_dim": 0.707})", R"({"mscale_all_dim": 1.0})", R"({"mscale": 0.707})", R"({"mscale": 0})",
                              R"({"mscale": null, "mscale_all_dim": 1})", R"({"mscale": 0, "mscale_all_dim": 0})",
                              R"({"mscale": 0.707, "mscale_all_dim": 0})", R"({"mscale": 0.707, "mscale_all_dim": null})"})
    EXPECT_NE(error_of("rope_scaling", with(kBare, changes)).find("mscale"), std::string::npos) << changes;
  const ModelConfig bare = config_with("rope_scaling", parse_json(kBare, "rope"));
  for (const char* changes : {R"({"mscale": 1.0})", R"({"mscale_all_dim": 0})", R"({"mscale": null, "mscale_all_dim": null})",
                              R"({"attention_factor": 1.1386294361119891})"})
    EXPECT_EQ(dump_rope(config_with("rope_scaling", with(kBare, changes))), dump_rope(bare)) << changes;
  EXPECT_NE(error_of("rope_scaling", with(kBare, R"({"attention_factor": 1.0})")).find("attention_factor"), std::string::npos);
  const ModelConfig both = config_with("rope_scaling", with(kBare, R"({"mscale": 0.707, "mscale_all_dim": 0.707})"));
  EXPECT_EQ(both.rope_scaling->mscale, 0.707);
  EXPECT_NO_THROW(config_with("rope_scaling", with(kBare, R"({"factor": 1, "mscale_all_dim": 0.707})")));  // scales nothing
}

TEST(ModelConfigRope, KimisEqualBetasAreRead) {
  const ModelConfig kimi = config_with("rope_scaling", with(kYarn, R"({"beta_fast": 1.0, "beta_slow": 1.0, "factor": 32.0})"));
  EXPECT_EQ(kimi.rope_scaling->beta_fast, 1);
}

}  // namespace
}  // namespace finback
