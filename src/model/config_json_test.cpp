#include "model/config_json.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/error.h"
#include "model/model_config.h"

namespace finback {
namespace {

Json countable() {
  return parse_json(R"({"model_type": "deepseek_v3", "vocab_size": 97, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2,
    "q_lora_rank": 16, "kv_lora_rank": 8, "qk_nope_head_dim": 8, "qk_rope_head_dim": 4, "v_head_dim": 8, "first_k_dense_replace": 1,
    "intermediate_size": 40, "moe_intermediate_size": 12, "n_routed_experts": 8, "n_shared_experts": 1, "num_experts_per_tok": 2,
    "n_group": 2, "topk_group": 1})",
                    "test");
}

// What changes arithmetic is refused where a model is computed, all of it at once, and only listed where it is counted; mistakes stay errors.
TEST(ConfigJson, WhatIsNotBuiltIsListedForCounting) {
  Json json = countable();
  json.update(parse_json(R"({"attention_bias": true, "hidden_act": "gelu", "moe_layer_freq": 2, "mlp_bias": true,
    "rope_parameters": {"rope_type": "llama3", "factor": 8, "low_freq_factor": 1, "its_own_key": [1]}})",
                         "changes"));
  std::vector<std::string> unbuilt;
  EXPECT_EQ(parse_countable_config(json, "c.json", unbuilt).hidden_size, 32);
  ASSERT_EQ(unbuilt.size(), 5u);
  for (const char* key : {"attention_bias", "hidden_act", "moe_layer_freq", "mlp_bias", "llama3"}) {
    const auto names = [&](const std::string& line) { return line.find(key) != std::string::npos; };
    EXPECT_EQ(std::count_if(unbuilt.begin(), unbuilt.end(), names), 1) << key;
    try {
      parse_model_config(json, "c.json");
      ADD_FAILURE();
    } catch (const Error& e) {
      EXPECT_TRUE(names(e.what())) << e.what();
    }
  }
  for (const auto& [key, value] :
       {std::pair("hidden_act", "1"), std::pair("attention_bias", "\"yes\""), std::pair("num_key_value_heads", "1"),
        std::pair("n_shared_expert", "1"), std::pair("pruned_heads", "{\"0\": [1]}")}) {
    Json wrong = json;
    wrong[key] = Json::parse(value);
    EXPECT_THROW(parse_countable_config(wrong, "c.json", unbuilt), Error) << key;
  }
  EXPECT_THROW(settable_keys(json, "c.json"), Error);  // which writes RoPE anew
}

TEST(ConfigJson, DropoutIsKeptForWhoeverTrains) {
  Json json = countable();
  EXPECT_EQ(dump_model_config(parse_model_config(json, "c.json"))["attention_dropout"], 0.0);
  json["attention_dropout"] = 0;
  EXPECT_TRUE(parse_model_config(json, "c.json").other.empty());
  json["attention_dropout"] = 0.25;
  EXPECT_EQ(dump_model_config(parse_model_config(json, "c.json"))["attention_dropout"], 0.25);
}

}  // namespace
}  // namespace finback
