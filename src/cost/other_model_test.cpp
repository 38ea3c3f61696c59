#include "cost/other_model.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "model/config_json.h"

namespace finback {
namespace {

const char* const kLatent =
    R"({"vocab_size": 97, "hidden_size": 48, "num_hidden_layers": 5, "num_attention_heads": 4, "num_key_value_heads": 4,
  "q_lora_rank": 24, "kv_lora_rank": 16, "qk_nope_head_dim": 12, "qk_rope_head_dim": 8, "v_head_dim": 10, "intermediate_size": 60,
  "moe_intermediate_size": 20, "n_routed_experts": 6, "n_shared_experts": 1, "num_experts_per_tok": 2, "first_k_dense_replace": 2})";
const char* const kGrouped =
    R"({"vocab_size": 97, "hidden_size": 48, "num_hidden_layers": 5, "num_attention_heads": 4, "num_key_value_heads": 2,
  "intermediate_size": 60})";

Json with(const char* base, const char* changes) {
  Json json = parse_json(base, "base");
  json.update(parse_json(changes, "changes"));
  return json;
}
Json indexed(const char* changes) {
  Json json = with(kLatent, R"({"index_topk": 16, "index_head_dim": 14, "index_n_heads": 3})");
  json.update(parse_json(changes, "changes"));
  return json;
}
std::string error_of(const Json& json) {
  try {
    read_other_model(json, "c.json");
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

// The numbers of transformers 5.23: parameters of the model that it builds from these keys, and its router biases (tools/parity_config).
TEST(OtherModel, CountsWhatTransformersBuilds) {
  const std::pair<Json, int64_t> cases[] = {
      {indexed(R"({"model_type": "deepseek_v32"})"), 135702},
      {indexed(R"({"model_type": "glm_moe_dsa"})"), 135702},
      {indexed(R"({"model_type": "glm_moe_dsa", "index_topk_freq": 3, "index_skip_topk_offset": 1})"), 130146},
      {indexed(R"({"model_type": "glm_moe_dsa", "indexer_types": ["full", "shared", "shared", "full", "shared"]})"), 130146},
      {indexed(R"({"model_type": "glm_moe_dsa", "attention_bias": true})"), 136182},
      {with(kLatent, R"({"model_type": "glm4_moe_lite", "mlp_layer_types": ["dense", "dense", "sparse", "sparse", "sparse"]})"), 126442},
      {with(kGrouped,
            R"({"model_type": "glm4_moe", "head_dim": 16, "attention_bias": true, "use_qk_norm": true, "moe_intermediate_size": 20,
          "n_routed_experts": 6, "n_shared_experts": 1, "num_experts_per_tok": 2, "first_k_dense_replace": 2})"),
       135362},
      {with(kGrouped, R"({"model_type": "llama"})"), 87600},
      {with(kGrouped, R"({"model_type": "llama", "tie_word_embeddings": true, "attention_bias": true, "mlp_bias": true, "head_dim": 20,
          "num_key_value_heads": null})"),
       127464},
      {with(kGrouped, R"({"model_type": "mistral", "head_dim": 16})"), 99120},
      {with(kGrouped, R"({"model_type": "mixtral", "num_local_experts": 4, "num_experts_per_tok": 2})"), 218160},
      {with(kGrouped, R"({"model_type": "qwen2"})"), 88080},
      {with(kGrouped, R"({"model_type": "qwen2_moe", "num_experts": 6, "num_experts_per_tok": 2, "moe_intermediate_size": 20,
          "shared_expert_intermediate_size": 40, "decoder_sparse_step": 2})"),
       117552},
      {with(kGrouped, R"({"model_type": "qwen2_moe", "num_experts": 6, "num_experts_per_tok": 2, "moe_intermediate_size": 20,
          "shared_expert_intermediate_size": 50})"),
       168960},
      {with(kGrouped, R"({"model_type": "qwen2_moe", "num_experts": 6, "num_experts_per_tok": 2, "moe_intermediate_size": 20,
          "shared_expert_intermediate_size": 7, "attention_bias": false})"),
       138000},
      {with(kGrouped, R"({"model_type": "qwen2_moe", "num_experts": 6, "num_experts_per_tok": 2, "moe_intermediate_size": 20})"), 4188000},
      {with(kGrouped, R"({"model_type": "qwen2", "attention_bias": false, "mlp_bias": true})"), 88080},
      {with(kGrouped, R"({"model_type": "mistral", "attention_bias": true, "mlp_bias": true})"), 87600},
      {with(kGrouped, R"({"model_type": "qwen3", "tie_word_embeddings": true})"), 418304},
      {with(kGrouped,
            R"({"model_type": "qwen3_moe", "num_experts": 6, "num_experts_per_tok": 2, "moe_intermediate_size": 20, "head_dim": 16,
          "mlp_only_layers": [0, 3]})"),
       126064}};
  for (const auto& [json, total] : cases) {
    EXPECT_TRUE(is_other_model(json, "c.json")) << dump_json_line(json);
    const OtherModel model = read_other_model(json, "c.json");
    EXPECT_EQ(model.total(), total) << dump_json_line(json);
    EXPECT_TRUE(model.missing.empty()) << dump_json_line(json);
    int64_t sum = 0;
    for (const NamedCount& part : model.parts()) sum += part.count;
    EXPECT_EQ(sum, model.total_with_mtp()) << dump_json_line(json);
  }
}

// Of DeepSeek V2 and V3 with keys that nothing computes; numbers of transformers 5.23 again, but for moe_layer_freq, which it does not read: of the
// layers 2, 3 and 4 number 3 has a dense FFN instead of experts, router and its bias.
TEST(OtherModel, CountsDeepseeksThatAreNotComputed) {
  const std::tuple<const char*, const char*, int64_t> cases[] = {
      {"deepseek_v3", R"({"attention_bias": true})", 126922},
      {"deepseek_v2", R"({"attention_bias": true})", 126904},
      {"deepseek_v2", R"({"mlp_bias": true})", 127024},
      {"deepseek_v3", R"({"mlp_bias": true})", 126442},
      {"deepseek_v2", R"({"attention_bias": true, "mlp_bias": true, "q_lora_rank": null, "n_shared_experts": 2})", 139864},
      {"deepseek_v3", R"({"attention_bias": true, "q_lora_rank": null, "n_shared_experts": 2})", 139162},
      {"deepseek_v3", R"({"hidden_act": "gelu", "rope_scaling": {"type": "linear", "factor": 2}})", 126442},
      {"deepseek_v3", R"({"moe_layer_freq": 2})", 126442 - (7 * 3 * 48 * 20 + 6 * 48 + 6) + 3 * 48 * 60}};
  for (const auto& [type, changes, total] : cases) {
    Json json = with(kLatent, changes);
    json.update(Json{{"model_type", type}, {"n_group", 1}, {"topk_group", 1}, {"num_nextn_predict_layers", 0}});
    EXPECT_FALSE(is_other_model(json, "c.json"));
    std::vector<std::string> unbuilt;
    const ModelConfig config = parse_countable_config(json, "c.json", unbuilt);
    ASSERT_FALSE(unbuilt.empty()) << changes;
    const OtherModel model = count_unbuilt_model(config, unbuilt, json, "c.json");
    EXPECT_EQ(model.total(), total) << type << changes;
    EXPECT_EQ(model.unbuilt, unbuilt);
    int64_t sum = 0;
    for (const NamedCount& part : model.parts()) sum += part.count;
    EXPECT_EQ(sum, model.total_with_mtp()) << changes;
  }
}

// Published sizes: V3 with its indexer (61 layers of 13,959,424), Llama 3.1 8B, Qwen3 30B-A3B.
TEST(OtherModel, ReproducesPublishedSizes) {
  Json v32 = read_json(FINBACK_SOURCE_DIR "/configs/models/v3/config.json");
  v32.update(Json{{"model_type", "deepseek_v32"}, {"index_topk", 2048}, {"index_n_heads", 64}, {"index_head_dim", 128}});
  const OtherModel sparse = read_other_model(v32, "v32.json");
  EXPECT_EQ(sparse.total(), 671'026'419'200 + 61 * 13'959'424LL);
  EXPECT_EQ(sparse.active(), 36'625'618'432 + 61 * 13'959'424LL);
  EXPECT_EQ(sparse.total_with_mtp() - sparse.total(), 11'610'068'224 + 13'959'424);
  const Json llama = with(kGrouped, R"({"model_type": "llama", "vocab_size": 128256, "hidden_size": 4096, "num_hidden_layers": 32,
      "num_attention_heads": 32, "num_key_value_heads": 8, "intermediate_size": 14336})");
  EXPECT_EQ(read_other_model(llama, "llama.json").total(), 8'030'261'248);
  const Json qwen = with(kGrouped, R"({"model_type": "qwen3_moe", "vocab_size": 151936, "hidden_size": 2048, "num_hidden_layers": 48,
      "num_attention_heads": 32, "num_key_value_heads": 4, "head_dim": 128, "moe_intermediate_size": 768, "num_experts": 128,
      "num_experts_per_tok": 8, "intermediate_size": 6144})");
  EXPECT_EQ(read_other_model(qwen, "qwen.json").total(), 30'532'122'624);
}

TEST(OtherModel, AnUnknownNameIsCountedByItsShapesWithALineThatSaysSo) {
  const OtherModel latent = read_other_model(with(kLatent, R"({"model_type": "someones_own", "topk_method": "noaux_tc"})"), "c.json");
  EXPECT_EQ(latent.total(), 126442);  // DeepSeek V3's count of these shapes
  ASSERT_EQ(latent.missing.size(), 1u);
  EXPECT_NE(latent.missing[0].find("someones_own"), std::string::npos);
  EXPECT_EQ(read_other_model(with(kGrouped, R"({"model_type": "someones_llama"})"), "c.json").total(), 87600);
  const Json hybrid = with(kGrouped, R"({"model_type": "qwen2", "layer_types": ["linear_attention", "full_attention", "linear_attention",
      "linear_attention", "full_attention"], "linear_num_key_heads": 2})");
  EXPECT_EQ(read_other_model(hybrid, "c.json").missing.size(), 2u);
}

TEST(OtherModel, ALanguageModelInsideAnotherIsFound) {
  Json outer = {{"model_type", "kimi_k25"}, {"vision_config", {{"hidden_size", 3}}}};
  outer["text_config"] = with(kLatent, R"({"model_type": "kimi_k2"})");
  ASSERT_TRUE(is_other_model(outer, "c.json"));
  const OtherModel model = read_other_model(outer, "c.json");
  EXPECT_EQ(model.total(), 126442);
  ASSERT_EQ(model.missing.size(), 1u);
  EXPECT_NE(model.missing[0].find("vision_config"), std::string::npos);
}

TEST(OtherModel, NamesMatchWholeAndLaterModelsAreRefused) {
  for (const char* name : {"deepseek_v4", "deepseek_v4_flash", "deepseek_v5"}) {
    const Json json = with(kLatent, fmt::format(R"({{"model_type": "{}"}})", name).c_str());
    EXPECT_NE(error_of(json).find(name), std::string::npos) << name;
    EXPECT_THROW(is_other_model(json, "c.json"), Error) << name;
    EXPECT_THROW(parse_model_config(json, "c.json"), Error) << name;
  }
  EXPECT_THROW(is_other_model(with(kLatent, R"({"architectures": ["DeepseekV4ForCausalLM"]})"), "c.json"), Error);
  for (const char* name : {"deepseek_v33", "deepseek_v3_moe", "llama_moe", "xdeepseek_v3"})
    EXPECT_EQ(read_other_model(with(kLatent, fmt::format(R"({{"model_type": "{}"}})", name).c_str()), "c.json").missing.size(), 1u) << name;
}

TEST(OtherModel, SaysWhichShapeIsMissingOrImpossible) {
  const std::tuple<const char*, const char*, const char*> cases[] = {
      {kGrouped, R"({"hidden_size": null})", "hidden_size"},
      {kGrouped, R"({"vocab_size": 0})", "vocab_size"},
      {kGrouped, R"({"num_hidden_layers": -1})", "num_hidden_layers"},
      {kGrouped, R"({"num_hidden_layers": 1e3})", "num_hidden_layers"},
      {kGrouped, R"({"num_attention_heads": 5})", "num_key_value_heads"},
      {kGrouped, R"({"num_attention_heads": 5, "num_key_value_heads": 5})", "num_attention_heads"},
      {kGrouped, R"({"intermediate_size": "big"})", "intermediate_size"},
      {kGrouped, R"({"num_experts": 4, "num_experts_per_tok": 5})", "num_experts_per_tok"},
      {kGrouped, R"({"num_experts": 4, "num_local_experts": 5})", "num_local_experts"},
      {kGrouped, R"({"attention_bias": 1})", "attention_bias"},
      {kGrouped, R"({"kv_lora_rank": 8})", "kv_lora_rank"},
      {kGrouped, R"({"num_experts": 4, "num_experts_per_tok": 2, "mlp_layer_types": ["dense"]})", "mlp_layer_types"},
      {kGrouped, R"({"hidden_size": 1048576, "intermediate_size": 16777216, "num_hidden_layers": 4096})", "1e+15"},
      {kLatent, R"({"model_type": "deepseek_v32", "index_topk": 4})", "index_n_heads"},
      {kLatent,
       R"({"model_type": "deepseek_v32", "index_topk": 4, "index_n_heads": 65536, "index_head_dim": 65536, "q_lora_rank": 1048576})",
       "index"},
      {kLatent, R"({"model_type": "deepseek_v32", "kv_lora_rank": null})", "kv_lora_rank"}};
  for (const auto& [base, changes, key] : cases) {
    Json json = with(base, R"({"model_type": "llama"})");
    json.update(parse_json(changes, "changes"));
    const std::string message = error_of(json);
    EXPECT_NE(message.find(key), std::string::npos) << changes << ": " << message;
    EXPECT_EQ(message.find("c.json: ") == 0 || message.find("llama") == 0, true) << message;
  }
  EXPECT_NE(error_of(Json::object()).find("model_type"), std::string::npos);
  EXPECT_NE(error_of(Json::array()).find("object"), std::string::npos);
}

}  // namespace
}  // namespace finback
