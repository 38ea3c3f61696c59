#include "model/model_config.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "model/config_json.h"
#include "model/model_config_rules.h"
#include "model/stored_quantization.h"

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

// What transformers' PretrainedConfig adds to a config.json, its release 4 above all.
TEST(ModelConfig, CarriesGenericKeysAlong) {
  Json json = small();
  json.update(parse_json(R"({"return_dict": true, "output_hidden_states": false, "output_attentions": false, "torchscript": false,
    "use_bfloat16": false, "tf_legacy_loss": false, "pruned_heads": {}, "chunk_size_feed_forward": 0, "is_encoder_decoder": false,
    "is_decoder": false, "cross_attention_hidden_size": null, "add_cross_attention": false, "tie_encoder_decoder": false, "max_length": 20,
    "min_length": 0, "do_sample": false, "early_stopping": false, "num_beams": 1, "num_beam_groups": 1, "diversity_penalty": 0.0,
    "temperature": 1.0, "top_k": 50, "top_p": 1.0, "typical_p": 1.0, "repetition_penalty": 1.0, "length_penalty": 1.0,
    "no_repeat_ngram_size": 0, "encoder_no_repeat_ngram_size": 0, "bad_words_ids": null, "num_return_sequences": 1, "output_scores": false,
    "return_dict_in_generate": false, "forced_bos_token_id": null, "forced_eos_token_id": null, "remove_invalid_values": false,
    "exponential_decay_length_penalty": null, "suppress_tokens": null, "begin_suppress_tokens": null, "finetuning_task": null,
    "id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}, "num_labels": 2, "tokenizer_class": null, "prefix": null, "pad_token_id": null,
    "sep_token_id": null, "decoder_start_token_id": null, "task_specific_params": null, "problem_type": null, "cls_token_id": null,
    "attn_implementation": "eager", "_attn_implementation_autoset": true, "name_or_path": "x/y", "_commit_hash": "0", "use_mla": true,
    "sliding_window": null, "use_sliding_window": false, "layer_types": null, "unsloth_version": "1", "model_max_length": 5, "epsilon_cutoff": 0.0,
    "eta_cutoff": 0.0, "renormalize_logits": false, "hidden_dropout_prob": 0.1, "mlp_bias": false, "hidden_act": "swish",
    "torch_dtype": "float8_e4m3fn", "num_experts": 8, "num_local_experts": 8})",
                         "generic"));
  const ModelConfig config = parse_model_config(json, "c.json");
  EXPECT_EQ(config.n_routed_experts, 8);
  const Json dumped = dump_model_config(config);
  EXPECT_EQ(dumped["top_k"], 50);
  EXPECT_EQ(dumped["hidden_act"], "silu");
}

TEST(ModelConfig, KimiIsDeepseekUnderAnotherName) {
  Json json = small();
  for (const char* type : {"kimi_k2", "someones_own", ""}) {
    json["model_type"] = type;
    json["architectures"] = {"DeepseekV3ForCausalLM"};
    if (!*type) json.erase("model_type");
    const Json dumped = dump_model_config(parse_model_config(json, "c.json"));
    EXPECT_EQ(dumped["model_type"], "deepseek_v3") << type;
    EXPECT_EQ(dumped["topk_method"], "noaux_tc") << type;
  }
  json["architectures"] = {"DeepseekV2ForCausalLM"};
  json["topk_group"] = 2;
  EXPECT_EQ(parse_model_config(json, "c.json").scoring_func, "softmax");
  json["architectures"] = {"DeepseekV3ForCausalLMNextN"};
  EXPECT_THROW(parse_model_config(json, "c.json"), Error);
}

TEST(ModelConfig, HowWeightsAreStoredMattersToTheirReadersAlone) {
  const std::pair<const char*, const char*> unread[] = {
      {R"({"quant_method": "awq", "bits": 4})", "awq"},
      {R"({"quant_method": "gptq"})", "gptq"},
      {R"({"quant_method": "quark", "algo_config": null})", "quark"},
      {R"({"quant_method": "compressed-tensors", "config_groups": {}})", "compressed-tensors"},
      {R"({"quant_method": "bitsandbytes", "load_in_4bit": true})", "bitsandbytes"},
      {R"({"quant_method": "fp8"})", "weight_block_size"},
      {R"({"quant_method": "fp8", "weight_block_size": [0, 128]})", "weight_block_size"},
      {R"({"quant_method": "fp8", "weight_block_size": [128, 128], "fmt": "e5m2"})", "e5m2"}};
  // Objects that ask for nothing.
  for (const char* none :
       {"{}", R"({"quant_method": null})", R"({"quant_method": "bitsandbytes", "load_in_4bit": false, "load_in_8bit": false})"}) {
    Json json = small();
    json["quantization_config"] = parse_json(none, "quantization");
    EXPECT_EQ(quantization_fault(json, "c.json"), std::nullopt) << none;
  }
  for (const auto& [text, word] : unread) {
    for (const char* key : {"quantization_config", "compression_config"}) {
      Json json = small();
      json[key] = parse_json(text, "quantization");
      const ModelConfig config = parse_model_config(json, "c.json");
      EXPECT_NE(quantization_fault(json, "c.json").value_or("").find(word), std::string::npos) << text;
      EXPECT_FALSE(config.fp8_weights) << text;
      EXPECT_FALSE(dump_model_config(config).contains(key)) << text;
    }
  }
  Json json = small();
  json["quantization_config"] = {{"quant_method", "fp8"}, {"weight_block_size", {128, 128}}};
  EXPECT_EQ(quantization_fault(json, "c.json"), "");
  EXPECT_TRUE(parse_model_config(json, "c.json").fp8_weights);
}

TEST(ModelConfig, KeysThatFollowFromOthersAreNotInTheWayOfThose) {
  Json json = small();
  json.update(parse_json(R"({"num_key_value_heads": 2, "qk_head_dim": 12, "head_dim": 4, "num_mtp_layers": 1, "num_local_experts": 8,
    "dtype": "bfloat16", "rope_theta": null, "rope_parameters": {"rope_theta": 500.0, "rope_type": "default"}})",
                         "changes"));
  Json settable = settable_keys(json, "c.json");
  EXPECT_EQ(parse_model_config(settable, "c.json").rope_theta, 500);
  EXPECT_EQ(parse_model_config(settable, "c.json").num_nextn_predict_layers, 1);
  settable.update(parse_json(R"({"num_attention_heads": 4, "qk_rope_head_dim": 8, "num_nextn_predict_layers": 2, "n_routed_experts": 4,
    "rope_theta": 700})",
                             "a recipe"));
  const Json dumped = dump_model_config(parse_model_config(settable, "c.json"));
  EXPECT_EQ(dumped["num_key_value_heads"], 4);
  EXPECT_EQ(dumped["rope_theta"], 700);
  EXPECT_FALSE(dumped.contains("head_dim"));
  json["rope_parameters"] = {{"rope_type", "yarn"}, {"factor", 4}};
  json["max_position_embeddings"] = 64;
  settable = settable_keys(json, "c.json");
  settable["max_position_embeddings"] = 256;
  EXPECT_EQ(parse_model_config(settable, "c.json").rope_scaling->original_max_position_embeddings, 64);
  json["num_key_value_heads"] = 1;
  EXPECT_THROW(settable_keys(json, "c.json"), Error);
}

TEST(ModelConfig, GroupsThatAreLimitedMustBeGiven) {
  Json json = small();
  json["model_type"] = "deepseek_v2";
  json["topk_method"] = "group_limited_greedy";
  EXPECT_NO_THROW(parse_model_config(json, "c.json"));
  for (const char* key : {"n_group", "topk_group"}) {
    Json without = json;
    without.erase(key);
    EXPECT_THROW(parse_model_config(without, "c.json"), Error) << key;
  }
}

TEST(ModelConfig, AListOfEndTokensIsReadAndKept) {
  Json json = small();
  json["eos_token_id"] = {5, 9};
  const ModelConfig config = parse_model_config(json, "c.json");
  EXPECT_EQ(config.eos_token_id, 5);
  EXPECT_EQ(dump_model_config(config)["eos_token_id"], Json({5, 9}));
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
                                                       {"attention_dropout", "1.5"},
                                                       {"attention_dropout", "-0.1"},
                                                       {"attention_dropout", "true"},
                                                       {"hidden_act", "\"gelu\""},
                                                       {"num_key_value_heads", "1"},
                                                       {"qk_head_dim", "13"},
                                                       {"index_topk", "2048"},
                                                       {"topk_method", "\"best\""},
                                                       {"topk_method", "\"greedy\""},
                                                       {"scoring_func", "\"relu\""},
                                                       {"model_type", "\"llama\""},
                                                       {"model_type", "3"},
                                                       {"norm_topk_prob", "1"},
                                                       {"rms_norm_eps", "0"},
                                                       {"rope_theta", "-1"},
                                                       {"bos_token_id", "-1"},
                                                       {"rope_scaling", "{\"type\": \"linear\", \"factor\": 2}"},
                                                       {"rope_scaling", "{\"type\": \"yarn\"}"},
                                                       {"rope_scaling", "{\"type\": \"yarn\", \"factor\": 0}"},
                                                       {"rope_scaling", "{\"type\": \"yarn\", \"factor\": 4, \"mscale\": 0.7}"},
                                                       {"rope_scaling", "{\"type\": \"yarn\", \"factor\": 4, \"attention_factor\": 2}"},
                                                       {"rope_scaling", "[]"},
                                                       {"routed_scaling_factor", "null"},
                                                       {"rms_norm_eps", "null"},
                                                       {"scoring_func", "null"},
                                                       {"topk_method", "null"},
                                                       {"pruned_heads", "{\"0\": [1]}"},
                                                       {"is_encoder_decoder", "true"},
                                                       {"eos_token_id", "[1, \"2\"]"},
                                                       {"eos_token_id", "[1, -2]"},
                                                       {"num_experts", "9"},
                                                       {"num_local_experts", "9"},
                                                       {"torch_dtype", "\"flaot32\""},
                                                       {"topk_method", "[\"noaux_tc\"]"},
                                                       {"tie_word_embeddings", "\"no\""},
                                                       {"hidden_act", "[\"silu\"]"},
                                                       {"quantization_config", "\"awq\""},
                                                       {"quantization_config", "[]"}};
  for (const auto& [key, value] : cases) {
    const std::string error = error_of(key, value);
    EXPECT_NE(error.find(key), std::string::npos) << key << " = " << value << ": \"" << error << "\"";
    EXPECT_EQ(error.find("c.json: "), 0u) << error;
  }
}

TEST(ModelConfig, NamesTheNearestKeyForAMisspeltOne) {
  EXPECT_NE(error_of("n_shared_expert", "1").find("\"n_shared_experts\""), std::string::npos);
  EXPECT_NE(error_of("rope_thetas", "1").find("\"rope_theta\""), std::string::npos);
  EXPECT_NE(error_of("quantisation_config", "{}").find("\"quantization_config\""), std::string::npos);
  EXPECT_NE(error_of("routed_scale_factor", "1").find("\"routed_scaling_factor\""), std::string::npos);  // which is absent
  EXPECT_EQ(error_of("moe_intermediate_length", "1"), "");                                               // beside the key itself
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
