#include "model/checkpoint.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "base/error.h"
#include "kernels/fp8_block.h"
#include "model/conversion.h"
#include "model/safetensors.h"

namespace finback {
namespace {
namespace fs = std::filesystem;

// Two MoE layers and a dense one, one MTP module; widths beyond one FP8 block and not multiples of it.
ModelConfig small_config() {
  return parse_model_config(parse_json(R"({"model_type": "deepseek_v3", "vocab_size": 67, "hidden_size": 136, "num_hidden_layers": 3,
    "num_attention_heads": 2, "q_lora_rank": 16, "kv_lora_rank": 8, "qk_nope_head_dim": 72, "qk_rope_head_dim": 4, "v_head_dim": 8,
    "first_k_dense_replace": 1, "intermediate_size": 40, "moe_intermediate_size": 12, "n_routed_experts": 4, "n_shared_experts": 1,
    "num_experts_per_tok": 2, "n_group": 2, "topk_group": 1, "num_nextn_predict_layers": 1, "bos_token_id": 0, "eos_token_id": 1,
    "my_note": 7})",
                                       "test"),
                            "test");
}

struct Lively : Parameters {
  explicit Lively(const ModelConfig& config) : Parameters(config, at::kCPU, false) {
    initialize(11, 0.05);
    for (const ParameterSpec& spec : buffers()) buffer(spec.name).copy_(at::linspace(-0.1, 0.2, spec.numel));
  }
};

class CheckpointTest : public testing::Test {
 protected:
  void SetUp() override {
    root_ = fs::temp_directory_path() / ("finback_checkpoint_test_" + std::to_string(getpid()));
    fs::remove_all(root_);
    fs::create_directories(root_);
  }
  void TearDown() override { fs::remove_all(root_); }
  std::string load_error(const fs::path& folder, const ModelConfig& config) {
    Parameters parameters(config, at::kCPU, false);
    try {
      load_parameters(folder, config, parameters);
    } catch (const Error& e) {
      EXPECT_TRUE(parameters.values_P().equal(at::zeros_like(parameters.values_P()))) << "written before the check";
      return e.what();
    }
    return "";
  }
  // Rewrites the single weight file with some tensors replaced or, when undefined, left out; new ones are added.
  void rewrite(const fs::path& folder, std::map<std::string, at::Tensor> changes) {
    std::map<std::string, at::Tensor> all;
    const SafetensorsFile file(folder / "model.safetensors");
    for (const auto& [name, entry] : file.entries()) all[name] = file.tensor(name);
    for (auto& [name, tensor] : changes) all[name] = tensor;
    std::erase_if(all, [](const auto& item) { return !item.second.defined(); });
    std::vector<TensorEntry> entries;
    uint64_t end = 0;
    for (const auto& [name, tensor] : all) {
      entries.push_back({name, tensor.scalar_type(), tensor.sizes().vec(), end, end + tensor.nbytes()});
      end += tensor.nbytes();
    }
    SafetensorsWriter writer(folder / "model.safetensors", entries, {});
    for (const auto& [name, tensor] : all) writer.write(tensor);
    writer.commit();
  }
  fs::path root_;
};

TEST_F(CheckpointTest, F32SurvivesBitForBit) {
  const ModelConfig config = small_config();
  const Lively saved(config);
  save_parameters(root_ / "m", config, saved, {});
  Parameters read(config, at::kCPU, false);
  const uint64_t stamp = *read.stamp();
  load_parameters(root_ / "m", config, read);
  EXPECT_EQ(read.fingerprint(), saved.fingerprint());
  EXPECT_NE(*read.stamp(), stamp);
  const ModelConfig written = load_model_config(root_ / "m");
  EXPECT_EQ(written.other["my_note"], 7);
  EXPECT_EQ(read_json(root_ / "m" / "generation_config.json")["eos_token_id"], 1);
  for (const auto& item : fs::directory_iterator(root_ / "m")) EXPECT_NE(item.path().extension(), ".tmp");
}

// As numpy and old trainers leave them: the same model as in f32, whatever it becomes.
TEST_F(CheckpointTest, F64IsRoundedToF32) {
  const ModelConfig config = small_config();
  const Lively saved(config);
  for (const char* folder : {"f32", "f64"}) save_parameters(root_ / folder, config, saved, {});
  std::map<std::string, at::Tensor> doubles;
  const SafetensorsFile file(root_ / "f64" / "model.safetensors");
  for (const auto& [name, entry] : file.entries()) doubles[name] = file.tensor(name).to(at::kDouble) * (1 + 1e-12);
  rewrite(root_ / "f64", doubles);
  const auto loaded = [&](const std::string& folder) {
    Parameters read(config, at::kCPU, false);
    load_parameters(root_ / folder, config, read);
    return read.fingerprint();
  };
  EXPECT_EQ(loaded("f64"), saved.fingerprint());
  for (const std::string weights : {"f32", "bf16", "fp8"}) {
    for (const std::string from : {"f32", "f64"}) convert_model(root_ / from, root_ / (from + weights), weights);
    EXPECT_EQ(loaded("f64" + weights), loaded("f32" + weights)) << weights;
  }
  EXPECT_EQ(loaded("f64f32"), saved.fingerprint());
}

TEST_F(CheckpointTest, WritesDeepSeeksNames) {
  const ModelConfig config = small_config();
  const Lively saved(config);
  save_parameters(root_ / "m", config, saved, {});
  const SafetensorsFile file(root_ / "m" / "model.safetensors");
  EXPECT_EQ(file.metadata().at("format"), "pt");
  EXPECT_TRUE(file.tensor("model.layers.3.embed_tokens.weight").equal(saved.value("model.embed_tokens.weight")));
  EXPECT_TRUE(file.tensor("model.layers.3.shared_head.head.weight").equal(saved.value("lm_head.weight")));
  for (const char* name :
       {"model.layers.0.mlp.gate_proj.weight", "model.layers.2.mlp.experts.3.down_proj.weight", "model.layers.3.eh_proj.weight",
        "model.layers.3.mlp.gate.e_score_correction_bias", "model.layers.3.enorm.weight", "model.layers.3.hnorm.weight",
        "model.layers.1.mlp.shared_experts.up_proj.weight", "model.layers.1.self_attn.kv_a_proj_with_mqa.weight"}) {
    EXPECT_TRUE(file.has(name)) << name;
  }
  EXPECT_EQ(file.entries().size(), saved.specs().size() + saved.buffers().size() + 2);
}

TEST_F(CheckpointTest, CarriesTheFingerprintOfWhatIsLoadedFromIt) {
  const ModelConfig config = small_config();
  const Lively saved(config);
  SaveOptions options;
  options.shard_bytes = 100'000;
  save_parameters(root_ / "m", config, saved, options);
  EXPECT_EQ(stored_fingerprint(root_ / "m"), saved.fingerprint());
  options.dtype = "bf16";
  save_parameters(root_ / "b", config, saved, options);
  EXPECT_EQ(stored_fingerprint(root_ / "b"), std::nullopt);
  convert_model(root_ / "m", root_ / "c", "bf16");
  EXPECT_EQ(stored_fingerprint(root_ / "c"), std::nullopt);
}

TEST_F(CheckpointTest, CopiesUnderAnMtpLayerMustBeCopies) {
  ModelConfig config = small_config();
  const Lively saved(config);
  const std::string embedding = "model.layers.3.embed_tokens.weight", head = "model.layers.3.shared_head.head.weight";
  save_parameters(root_ / "m", config, saved, {});
  rewrite(root_ / "m", {{embedding, saved.value("model.embed_tokens.weight").to(at::kBFloat16)}});
  EXPECT_EQ(load_error(root_ / "m", config), "") << "a rounded copy is a copy";
  for (const std::string& name : {embedding, head}) {
    save_parameters(root_ / "m", config, saved, {});
    at::Tensor other = saved.value(name == head ? "lm_head.weight" : "model.embed_tokens.weight").clone();
    other[66][135] += 1;
    rewrite(root_ / "m", {{name, other}});
    EXPECT_NE(load_error(root_ / "m", config).find(name + "\": expected the values of"), std::string::npos)
        << load_error(root_ / "m", config);
    rewrite(root_ / "m", {{name, at::zeros({3, 5})}});
    EXPECT_NE(load_error(root_ / "m", config).find("expected the shape"), std::string::npos);
  }
  const at::Tensor fp8 = saved.value("model.embed_tokens.weight").to(at::kFloat8_e4m3fn);
  for (const at::Tensor& scales : {at::ones({1, 1}), at::ones({7}), at::ones({1, 2}, at::kLong)}) {
    rewrite(root_ / "m", {{embedding, fp8}, {embedding + "_scale_inv", scales}});
    EXPECT_NE(load_error(root_ / "m", config).find("_scale_inv\": expected F32 [1, 2]"), std::string::npos)
        << load_error(root_ / "m", config);
  }
  config.tie_word_embeddings = true;
  const Lively tied(config);
  save_parameters(root_ / "t", config, tied, {});
  rewrite(root_ / "t", {{"lm_head.weight", tied.value("model.embed_tokens.weight").clone()}});
  EXPECT_EQ(load_error(root_ / "t", config), "");
  rewrite(root_ / "t", {{"lm_head.weight", tied.value("model.embed_tokens.weight") * 2}});
  EXPECT_NE(load_error(root_ / "t", config).find("expected the values of model.embed_tokens.weight"), std::string::npos);
}

TEST_F(CheckpointTest, ShardsHoldTheSameModel) {
  const ModelConfig config = small_config();
  const Lively saved(config);
  save_parameters(root_ / "m", config, saved, {});  // what an earlier save left must not win
  SaveOptions options;
  options.shard_bytes = 100'000;
  save_parameters(root_ / "m", config, saved, options);
  EXPECT_FALSE(fs::exists(root_ / "m" / "model.safetensors"));
  const SafetensorsFolder folder(root_ / "m");
  EXPECT_GT(folder.shards().size(), 4u);
  for (const std::string& shard : folder.shards()) EXPECT_LT(fs::file_size(root_ / "m" / shard), 200'000u);
  Parameters read(config, at::kCPU, false);
  load_parameters(root_ / "m", config, read);
  EXPECT_EQ(read.fingerprint(), saved.fingerprint());
}

TEST_F(CheckpointTest, Bf16KeepsTheBiasInF32) {
  const ModelConfig config = small_config();
  const Lively saved(config);
  SaveOptions options;
  options.dtype = "bf16";
  save_parameters(root_ / "m", config, saved, options);
  Parameters read(config, at::kCPU, false);
  load_parameters(root_ / "m", config, read);
  EXPECT_TRUE(read.values_P().equal(saved.values_P().to(at::kBFloat16).to(at::kFloat)));
  EXPECT_TRUE(read.buffer("model.layers.2.mlp.gate.e_score_correction_bias")
                  .equal(saved.buffer("model.layers.2.mlp.gate.e_score_correction_bias")));
  EXPECT_EQ(load_model_config(root_ / "m").torch_dtype, "bfloat16");
  options.dtype = "int8";
  EXPECT_THROW(save_parameters(root_ / "m", config, saved, options), Error);
}

TEST_F(CheckpointTest, TiedModelHasNoHeadButItsMtpCopy) {
  ModelConfig config = small_config();
  config.tie_word_embeddings = true;
  const Lively saved(config);
  save_parameters(root_ / "m", config, saved, {});
  const SafetensorsFile file(root_ / "m" / "model.safetensors");
  EXPECT_FALSE(file.has("lm_head.weight"));
  EXPECT_TRUE(file.tensor("model.layers.3.shared_head.head.weight").equal(saved.value("model.embed_tokens.weight")));
  EXPECT_EQ(load_error(root_ / "m", config), "");
}

TEST_F(CheckpointTest, ReadsFusedExperts) {
  const ModelConfig config = small_config();
  const Lively saved(config);
  save_parameters(root_ / "m", config, saved, {});
  const std::string prefix = "model.layers.2.mlp.experts.";
  std::map<std::string, at::Tensor> changes = {{prefix + "gate_up_proj", saved.stacked_gate_up(prefix, false).contiguous()},
                                               {prefix + "down_proj", saved.stacked_down(prefix, false).contiguous()}};
  for (int e = 0; e < 4; ++e) {
    for (const char* part : {"gate", "up", "down"}) changes[prefix + std::to_string(e) + "." + part + "_proj.weight"] = at::Tensor();
  }
  rewrite(root_ / "m", changes);
  Parameters read(config, at::kCPU, false);
  load_parameters(root_ / "m", config, read);
  EXPECT_EQ(read.fingerprint(), saved.fingerprint());
}

TEST_F(CheckpointTest, WhatDoesNotFitIsOneErrorThatNamesTheFirst) {
  const ModelConfig config = small_config();
  const std::string q = "model.layers.1.self_attn.q_b_proj.weight";
  const std::pair<std::map<std::string, at::Tensor>, std::vector<const char*>> cases[] = {
      {{{"model.norm.weight", at::Tensor()}}, {"expected tensor \"model.norm.weight\" [136], not there"}},
      {{{"model.norm.weight", at::Tensor()}, {"lm_head.weight", at::Tensor()}}, {"\"lm_head.weight\"", "and 1 more"}},
      {{{"model.layers.0.self_attn.k_proj.weight", at::ones({2})}}, {"k_proj.weight\" is not one of"}},
      {{{"model.norm.weight", at::ones({135})}}, {"model.norm.weight", "expected shape [136], got [135]"}},
      {{{"model.norm.weight", at::ones({136}, at::kLong)}}, {"expected F64, F32, BF16, F16 or F8_E4M3, got I64"}},
      {{{q, at::ones({152, 16}).to(at::kFloat8_e4m3fn)}}, {"expected its scales", "_scale_inv"}},
      {{{q, at::ones({152, 16}).to(at::kFloat8_e4m3fn)}, {q + "_scale_inv", at::ones({1, 1})}}, {"expected F32 [2, 1], got F32 [1, 1]"}},
      {{{q + "_scale_inv", at::ones({2, 1})}}, {"its weight is not F8_E4M3"}}};
  for (const auto& [changes, expected] : cases) {
    save_parameters(root_ / "m", config, Lively(config), {});
    rewrite(root_ / "m", changes);
    const std::string error = load_error(root_ / "m", config);
    for (const char* part : expected) EXPECT_NE(error.find(part), std::string::npos) << part << " in: " << error;
  }
}

TEST_F(CheckpointTest, RedundantTensorsOfOtherSoftwareAreIgnored) {
  const ModelConfig config = small_config();
  save_parameters(root_ / "m", config, Lively(config), {});
  rewrite(root_ / "m", {{"model.layers.0.self_attn.rotary_emb.inv_freq", at::ones({2})},
                        {"model.layers.3.embed_tokens.weight", at::Tensor()},
                        {"model.layers.3.shared_head.head.weight", at::Tensor()}});
  EXPECT_EQ(load_error(root_ / "m", config), "");
}

TEST_F(CheckpointTest, Fp8FolderReadsBackAsQuantizedValues) {
  const ModelConfig config = small_config();
  const Lively saved(config);
  save_parameters(root_ / "m", config, saved, {});
  convert_model(root_ / "m", root_ / "fp8", "fp8");
  EXPECT_TRUE(load_model_config(root_ / "fp8").fp8_weights);
  const SafetensorsFile file(root_ / "fp8" / "model.safetensors");
  Parameters read(config, at::kCPU, false);
  load_parameters(root_ / "fp8", config, read);
  for (const ParameterSpec& spec : saved.specs()) {
    const at::Tensor w = saved.value(spec.name);
    const bool linear = (spec.name.find("_proj") != std::string::npos) && spec.name.find("eh_proj") == std::string::npos;
    EXPECT_EQ(file.entries().at(spec.name).dtype, linear ? at::kFloat8_e4m3fn : at::kBFloat16) << spec.name;
    const at::Tensor expected =
        linear ? fp8_dequantize_weight_ref(fp8_quantize_ref(w, 128, false).values, fp8_quantize_ref(w, 128, false).scales)
               : w.to(at::kBFloat16).to(at::kFloat);
    EXPECT_TRUE(read.value(spec.name).equal(expected)) << spec.name;
  }
  EXPECT_EQ(file.entries().at("model.layers.1.mlp.gate.e_score_correction_bias").dtype, at::kFloat);
  EXPECT_EQ(file.entries().at("model.layers.1.self_attn.q_b_proj.weight_scale_inv").shape, (std::vector<int64_t>{2, 1}));
}

TEST_F(CheckpointTest, ConversionChainsAgree) {
  const ModelConfig config = small_config();
  SaveOptions options;
  options.shard_bytes = 100'000;
  save_parameters(root_ / "m", config, Lively(config), options);
  convert_model(root_ / "m", root_ / "fp8", "fp8");
  convert_model(root_ / "fp8", root_ / "again", "fp8");  // nothing changes: byte for byte
  convert_model(root_ / "fp8", root_ / "f32", "f32");
  convert_model(root_ / "f32", root_ / "f32b", "f32");
  Parameters from_fp8(config, at::kCPU, false), from_f32(config, at::kCPU, false);
  load_parameters(root_ / "fp8", config, from_fp8);
  load_parameters(root_ / "f32", config, from_f32);
  EXPECT_EQ(from_fp8.fingerprint(), from_f32.fingerprint());
  EXPECT_FALSE(load_model_config(root_ / "f32").fp8_weights);
  for (const auto& [one, two] : {std::pair("fp8", "again"), std::pair("f32", "f32b")}) {
    for (const std::string& shard : SafetensorsFolder(root_ / one).shards()) {
      EXPECT_EQ(hash_file(root_ / one / shard), hash_file(root_ / two / shard)) << shard;
    }
  }
}

// Neither a layer too many nor a head of its own is a matter of MTP modules.
TEST_F(CheckpointTest, HintsNameTheKeyThatIsWrong) {
  ModelConfig config = small_config();
  config.num_nextn_predict_layers = 0;
  save_parameters(root_ / "m", config, Lively(config), {});
  ModelConfig shallow = config;
  --shallow.num_hidden_layers;
  const std::string said = fmt::format("the weights have {} layers, config.json says num_hidden_layers = {}", config.num_hidden_layers,
                                       shallow.num_hidden_layers);
  EXPECT_NE(load_error(root_ / "m", shallow).find(said), std::string::npos);
  shallow.num_nextn_predict_layers = 1;  // the layer is no module
  EXPECT_NE(load_error(root_ / "m", shallow).find(said), std::string::npos);
  ModelConfig tied = config;
  tied.tie_word_embeddings = true;
  EXPECT_NE(load_error(root_ / "m", tied).find("tie_word_embeddings false"), std::string::npos);
}

TEST_F(CheckpointTest, ConvertRefusesWhatItCannotDo) {
  const ModelConfig config = small_config();
  save_parameters(root_ / "m", config, Lively(config), {});
  EXPECT_THROW(convert_model(root_ / "m", root_ / "x", "int4"), Error);
  EXPECT_THROW(convert_model(root_ / "m", root_ / "m", "bf16"), Error);
  EXPECT_FALSE(fs::exists(root_ / "x"));
  rewrite(root_ / "m", {{"model.layers.1.mlp.experts.down_proj", at::ones({4, 2, 2})}});
  EXPECT_THROW(convert_model(root_ / "m", root_ / "x", "fp8"), Error);
  EXPECT_FALSE(fs::exists(root_ / "x" / "config.json"));
}

// Refused before the target is touched: what an earlier conversion left there is whole.
TEST_F(CheckpointTest, ConvertChecksEveryTensorBeforeItWrites) {
  const ModelConfig config = small_config();
  const std::string q = "model.layers.1.self_attn.q_b_proj.weight";
  const std::pair<std::map<std::string, at::Tensor>, const char*> cases[] = {
      {{{q, at::ones({152})}}, "expected a matrix for fp8, got [152]"},
      {{{q, at::ones({})}}, "expected a matrix for fp8, got []"},
      {{{q + "_scale_inv", at::ones({2, 1})}}, "expected F8_E4M3 beside a _scale_inv, got F32"},
      {{{q, at::ones({152, 16}).to(at::kFloat8_e4m3fn)}, {q + "_scale_inv", at::ones({1, 1})}}, "_scale_inv\": expected F32 [2, 1]"}};
  save_parameters(root_ / "m", config, Lively(config), {});
  convert_model(root_ / "m", root_ / "x", "bf16");
  const uint64_t before = hash_file(root_ / "x" / "model.safetensors");
  for (const auto& [changes, expected] : cases) {
    save_parameters(root_ / "m", config, Lively(config), {});
    rewrite(root_ / "m", changes);
    std::string error;
    try {
      convert_model(root_ / "m", root_ / "x", "fp8", {.overwrite = true, .card = {}});
    } catch (const Error& e) {
      error = e.what();
    }
    EXPECT_NE(error.find(expected), std::string::npos) << expected << " in: " << error;
    EXPECT_TRUE(fs::exists(root_ / "x" / "config.json"));
    EXPECT_EQ(hash_file(root_ / "x" / "model.safetensors"), before);
  }
}

TEST_F(CheckpointTest, ASaveRemovesStaleShardsAndNothingElse) {
  const ModelConfig config = small_config();
  fs::create_directories(root_ / "m");
  const char* stale[] = {"model-00001-of-00002.safetensors", "model.safetensors.index.json"};
  const char* others[] = {"model_ema.safetensors", "model-lora.safetensors", "model-1-of-2.safetensors", "adapter_model.safetensors"};
  for (const char* name : stale) write_file_atomic(root_ / "m" / name, "{}");
  for (const char* name : others) write_file_atomic(root_ / "m" / name, "{}");
  save_parameters(root_ / "m", config, Lively(config), {});
  for (const char* name : stale) EXPECT_FALSE(fs::exists(root_ / "m" / name)) << name;
  for (const char* name : others) EXPECT_TRUE(fs::exists(root_ / "m" / name)) << name;
}

// Compared before the model is allocated: V3's config.json would ask for 2.7 TB.
TEST_F(CheckpointTest, AConfigOfAnotherModelIsAnErrorBeforeAnyMemory) {
  save_parameters(root_ / "m", small_config(), Lively(small_config()), {});
  write_file_atomic(root_ / "m" / "config.json", read_file(FINBACK_SOURCE_DIR "/configs/models/v3/config.json"));
  EXPECT_THROW(load_model(root_ / "m", at::kCPU, false), Error);
}

TEST_F(CheckpointTest, TokenizerFilesComeAlong) {
  const ModelConfig config = small_config();
  fs::create_directories(root_ / "tokenizer");
  write_file_atomic(root_ / "tokenizer" / "tokenizer.json", "{}");
  SaveOptions options;
  options.tokenizer_folder = root_ / "tokenizer";
  save_parameters(root_ / "m", config, Lively(config), options);
  convert_model(root_ / "m", root_ / "bf16", "bf16");
  for (const char* folder : {"m", "bf16"}) EXPECT_EQ(read_file(root_ / folder / "tokenizer.json"), "{}");
}

}  // namespace
}  // namespace finback
