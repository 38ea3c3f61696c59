#include "model/model_config.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "model/model_config_rules.h"

namespace finback {
namespace {

Json small() {
  return parse_json(R"({"model_type": "deepseek_v3", "vocab_size": 97, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2,
    "q_lora_rank": 16, "kv_lora_rank": 8, "qk_nope_head_dim": 8, "qk_rope_head_dim": 4, "v_head_dim": 8, "first_k_dense_replace": 1,
    "intermediate_size": 40, "moe_intermediate_size": 12, "n_routed_experts": 8, "n_shared_experts": 1, "num_experts_per_tok": 2,
    "n_group": 2, "topk_group": 1, "rope_theta": 10000})",
                    "test");
}

// The error of `key` = `value` (as JSON text) in an otherwise good config, empty when it parses.
std::string error_of(const std::string& key, const std::string& value) {
  Json json = small();
  json[key] = Json::parse(value);
  try {
    parse_model_config(json, "c.json");
  } catch (const Error& e) {
    EXPECT_EQ(std::string(e.what()).find('\n'), std::string::npos) << e.what();
    return e.what();
  }
  return "";
}

TEST(ModelConfig, ReadsEveryShippedConfig) {
  for (const char* name : {"nano", "tiny", "small", "wide", "v2-lite", "v3"}) {
    const ModelConfig config = load_model_config(std::string(FINBACK_SOURCE_DIR "/configs/models/") + name);
    EXPECT_EQ(dump_model_config(parse_model_config(dump_model_config(config), name)), dump_model_config(config)) << name;
  }
}

TEST(ModelConfig, SoftmaxScaleIsThePublishedOne) {
  EXPECT_NEAR(load_model_config(FINBACK_SOURCE_DIR "/configs/models/v3").softmax_scale(), 0.1352337789, 1e-10);
  EXPECT_NEAR(load_model_config(FINBACK_SOURCE_DIR "/configs/models/v2-lite").softmax_scale(), 0.1147213868, 1e-10);
}

TEST(ModelConfig, V3HasItsPublishedShape) {
  const ModelConfig config = load_model_config(FINBACK_SOURCE_DIR "/configs/models/v3/config.json");
  EXPECT_TRUE(config.fp8_weights);
  EXPECT_EQ(config.q_lora_rank, 1536);
  EXPECT_EQ(config.total_layers(), 62);
  EXPECT_FALSE(config.is_moe_layer(2));
  EXPECT_TRUE(config.is_moe_layer(3));
  EXPECT_TRUE(config.is_moe_layer(61));
  EXPECT_EQ(config.rope_scaling->mscale_all_dim, 1);
}

TEST(ModelConfig, KeepsUnknownKeysAndWritesThemBack) {
  Json json = small();
  json["my_note"] = {{"a", 1}};
  json["aux_loss_alpha"] = 0.001;
  const Json dumped = dump_model_config(parse_model_config(json, "c.json"));
  EXPECT_EQ(dumped["my_note"], json["my_note"]);
  EXPECT_EQ(dumped["aux_loss_alpha"], 0.001);
  EXPECT_EQ(dumped["num_key_value_heads"], 2);
  EXPECT_EQ(dumped["architectures"][0], "DeepseekV3ForCausalLM");
}

TEST(ModelConfig, ReadsTheFormThatTransformersSaves) {
  Json json = small();
  json.erase("rope_theta");
  json["dtype"] = "bfloat16";
  json["head_dim"] = 4;
  json["qk_head_dim"] = 12;
  json["pad_token_id"] = nullptr;
  json["rope_parameters"] = Json::parse(R"({"rope_theta": 500.0, "rope_type": "default"})");
  EXPECT_EQ(parse_model_config(json, "c.json").rope_theta, 500);
  EXPECT_FALSE(parse_model_config(json, "c.json").rope_scaling.has_value());
  json["rope_parameters"] = Json::parse(R"({"beta_fast": 32, "beta_slow": 1, "factor": 4, "mscale": 1.0, "mscale_all_dim": 1.0,
    "original_max_position_embeddings": 64, "rope_theta": 20000.0, "rope_type": "yarn", "type": "yarn"})");
  const ModelConfig config = parse_model_config(json, "c.json");
  EXPECT_EQ(config.torch_dtype, "bfloat16");
  EXPECT_EQ(config.rope_theta, 20000);
  EXPECT_EQ(config.rope_scaling->factor, 4);
  json["rope_scaling"] = json["rope_parameters"];
  EXPECT_EQ(parse_model_config(json, "c.json").rope_scaling->factor, 4);
}

TEST(ModelConfig, RefusesRopeThatIsSaidTwiceAndDifferently) {
  const char* plain = R"({"rope_type": "default", "rope_theta": 10000})";
  const std::pair<const char*, const char*> cases[] = {{R"({"type": "yarn", "factor": 8, "original_max_position_embeddings": 64})", plain},
                                                       {R"({"type": "yarn", "factor": 8})", R"({"type": "yarn", "factor": 4})"},
                                                       {R"({"type": "default", "rope_theta": 500})", "null"},  // beside the top-level 10000
                                                       {"null", R"({"rope_type": "default", "rope_theta": 500})"}};
  for (const auto& [scaling, parameters] : cases) {
    Json json = small();
    json["rope_scaling"] = Json::parse(scaling);
    json["rope_parameters"] = Json::parse(parameters);
    EXPECT_THROW(parse_model_config(json, "c.json"), Error) << scaling << " and " << parameters;
  }
  Json json = small();
  json["rope_scaling"] = json["rope_parameters"] = Json::parse(plain);
  EXPECT_FALSE(parse_model_config(json, "c.json").rope_scaling.has_value());
}

// The table of transformers 5.23: vars(DeepseekV3Config()) and vars(DeepseekV2Config()).
TEST(ModelConfig, AbsentKeysMeanWhatTransformersMeans) {
  const std::pair<const char*, const char*> families[] = {
      {"deepseek_v3", R"({"vocab_size": 129280, "hidden_size": 7168, "num_hidden_layers": 61, "num_attention_heads": 128,
        "num_key_value_heads": 128, "q_lora_rank": 1536, "kv_lora_rank": 512, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128,
        "intermediate_size": 18432, "moe_intermediate_size": 2048, "n_routed_experts": 256, "n_shared_experts": 1, "num_experts_per_tok": 8,
        "first_k_dense_replace": 3, "n_group": 8, "topk_group": 4, "topk_method": "noaux_tc", "scoring_func": "sigmoid",
        "norm_topk_prob": true, "routed_scaling_factor": 2.5, "num_nextn_predict_layers": 1, "rope_theta": 10000.0, "rope_interleave": true,
        "rope_scaling": null, "max_position_embeddings": 4096, "rms_norm_eps": 1e-6, "initializer_range": 0.02, "tie_word_embeddings": false,
        "bos_token_id": 0, "eos_token_id": 1, "hidden_act": "silu", "attention_bias": false})"},
      {"deepseek_v2", R"({"vocab_size": 102400, "hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32,
        "num_key_value_heads": 32, "q_lora_rank": 1536, "kv_lora_rank": 512, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128,
        "intermediate_size": 11008, "moe_intermediate_size": 1407, "n_routed_experts": 64, "n_shared_experts": 2, "num_experts_per_tok": 6,
        "first_k_dense_replace": 0, "topk_method": "greedy", "scoring_func": "softmax",
        "norm_topk_prob": false, "routed_scaling_factor": 1.0, "num_nextn_predict_layers": 0, "rope_theta": 10000.0,
        "rope_scaling": null, "max_position_embeddings": 2048, "rms_norm_eps": 1e-6, "initializer_range": 0.02, "tie_word_embeddings": false,
        "bos_token_id": 1, "eos_token_id": 2, "hidden_act": "silu", "attention_bias": false})"}};
  for (const auto& [family, table] : families) {
    Json given{{"model_type", family}};
    if (std::string_view(family) == "deepseek_v2") {
      EXPECT_THROW(parse_model_config(given, "c.json"), Error) << "V2 says nothing of the experts a token chooses";
      given["num_experts_per_tok"] = 6;
    }
    const Json read = dump_model_config(parse_model_config(given, "c.json")), expected = Json::parse(table);
    for (const auto& [key, value] : expected.items()) EXPECT_EQ(read.at(key), value) << family << " " << key;
  }
}

TEST(ModelConfig, AShortModelMayLeaveOutItsDenseLayers) {
  Json json = small();
  json.erase("first_k_dense_replace");
  json["num_hidden_layers"] = 2;
  EXPECT_EQ(parse_model_config(json, "c.json").first_k_dense_replace, 2);
}

TEST(ModelConfig, NullIsNoneOfIt) {
  Json json = small();
  json["model_type"] = "deepseek_v2";
  for (const char* key :
       {"n_group", "topk_group", "q_lora_rank", "n_shared_experts", "num_nextn_predict_layers", "bos_token_id", "norm_topk_prob"})
    json[key] = nullptr;
  const ModelConfig config = parse_model_config(json, "c.json");
  EXPECT_EQ(config.n_group, 1);
  EXPECT_EQ(config.topk_group, 1);
  EXPECT_FALSE(config.q_lora_rank || config.bos_token_id || config.norm_topk_prob);
  EXPECT_EQ(config.n_shared_experts + config.num_nextn_predict_layers, 0);
}

TEST(ModelConfig, PlainKeysScaleAndGroupNothing) {
  Json json = plain_model_keys();
  const Json given = small();
  for (const auto& [key, value] : given.items()) json[key] = value;
  for (const char* key : {"n_group", "topk_group"}) json[key] = plain_model_keys()[key];
  const ModelConfig config = parse_model_config(json, "c.json");
  EXPECT_EQ(config.n_group, 1);
  EXPECT_EQ(config.routed_scaling_factor, 1);
  EXPECT_EQ(config.num_nextn_predict_layers, 0);
  EXPECT_FALSE(config.bos_token_id);
}

TEST(ModelConfig, NullExpertsMakeADenseTwin) {
  Json json = small();
  json["n_routed_experts"] = nullptr;
  json["num_nextn_predict_layers"] = 1;
  const ModelConfig config = parse_model_config(json, "c.json");
  for (int64_t layer = 0; layer < config.total_layers(); ++layer) EXPECT_FALSE(config.is_moe_layer(layer));
}

TEST(ModelConfig, RefusesWhatItCannotBeNamingTheKey) {
  const std::pair<const char*, const char*> cases[] = {{"vocab_size", "0"},
                                                       {"vocab_size", "-5"},
                                                       {"vocab_size", "99999999999999999999"},
                                                       {"vocab_size", "9223372036854775807"},
                                                       {"vocab_size", "97.5"},
                                                       {"vocab_size", "\"97\""},
                                                       {"vocab_size", "null"},
                                                       {"hidden_size", "true"},
                                                       {"num_hidden_layers", "1000000000"},
                                                       {"qk_rope_head_dim", "3"},
                                                       {"n_group", "3"},
                                                       {"n_group", "0"},
                                                       {"topk_group", "4"},
                                                       {"num_experts_per_tok", "5"},
                                                       {"num_experts_per_tok", "0"},
                                                       {"num_experts_per_tok", "9"},
                                                       {"first_k_dense_replace", "4"},
                                                       {"moe_layer_freq", "2"},
                                                       {"moe_intermediate_size", "0"},
                                                       {"intermediate_size", "0"},
                                                       {"attention_bias", "true"},
                                                       {"attention_dropout", "0.1"},
                                                       {"hidden_act", "\"gelu\""},
                                                       {"num_key_value_heads", "1"},
                                                       {"qk_head_dim", "13"},
                                                       {"index_topk", "2048"},
                                                       {"topk_method", "\"best\""},
                                                       {"topk_method", "\"greedy\""},
                                                       {"scoring_func", "\"relu\""},
                                                       {"model_type", "\"llama\""},
                                                       {"model_type", "3"},
                                                       {"torch_dtype", "\"int8\""},
                                                       {"norm_topk_prob", "1"},
                                                       {"rms_norm_eps", "0"},
                                                       {"rope_theta", "-1"},
                                                       {"eos_token_id", "[1, 2]"},
                                                       {"bos_token_id", "-1"},
                                                       {"rope_scaling", "{\"type\": \"linear\", \"factor\": 2}"},
                                                       {"rope_scaling", "{\"type\": \"yarn\"}"},
                                                       {"rope_scaling", "{\"type\": \"yarn\", \"factor\": 0}"},
                                                       {"rope_scaling", "{\"type\": \"yarn\", \"factor\": 4, \"mscale\": 0.7}"},
                                                       {"rope_scaling", "{\"type\": \"yarn\", \"factor\": 4, \"attention_factor\": 2}"},
                                                       {"rope_scaling", "[]"},
                                                       {"quantization_config", "{\"quant_method\": \"awq\"}"},
                                                       {"quantization_config", "{\"quant_method\": \"fp8\", \"weight_block_size\": [64]}"},
                                                       {"quantization_config", "{\"quant_method\": \"fp8\"}"},
                                                       {"quantization_config", "[]"}};
  for (const auto& [key, value] : cases) {
    const std::string error = error_of(key, value);
    EXPECT_NE(error.find(key), std::string::npos) << key << " = " << value << ": \"" << error << "\"";
    EXPECT_EQ(error.find("c.json: "), 0u) << error;
  }
}

TEST(ModelConfig, NamesTheNearestKeyForAMisspeltOne) {
  EXPECT_NE(error_of("kv_lora_ranks", "8").find("\"kv_lora_rank\""), std::string::npos);
  EXPECT_NE(error_of("num_expert_per_tok", "8").find("\"num_experts_per_tok\""), std::string::npos);
  EXPECT_NE(error_of("tie_word_embedings", "true").find("\"tie_word_embeddings\""), std::string::npos);
}

TEST(ModelConfig, RefusesSizesWhoseProductsAreAbsurd) {
  Json json = small();
  json["hidden_size"] = 1 << 20;
  json["moe_intermediate_size"] = 1 << 20;
  json["n_routed_experts"] = 65536;
  EXPECT_THROW(parse_model_config(json, "c.json"), Error);
  json = small();
  json["num_hidden_layers"] = 4096;
  json["n_routed_experts"] = 65536;
  EXPECT_THROW(parse_model_config(json, "c.json"), Error);
  json = small();
  json["max_position_embeddings"] = (1 << 26) + 1;  // times 4 rope channels
  EXPECT_THROW(parse_model_config(json, "c.json"), Error);
  json["max_position_embeddings"] = 1 << 26;
  EXPECT_NO_THROW(parse_model_config(json, "c.json"));
}

}  // namespace
}  // namespace finback
