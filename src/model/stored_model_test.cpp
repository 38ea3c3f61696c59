#include "model/stored_model.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "base/error.h"
#include "kernels/op_check.h"
#include "model/checkpoint.h"
#include "model/conversion.h"
#include "model/fp8_scales.h"
#include "model/safetensors.h"
#include "model/test_models.h"
#include "model/weights.h"

namespace finback {
namespace {
namespace fs = std::filesystem;
using test::small_config;

class StoredModelTest : public testing::Test {
 protected:
  void SetUp() override {
    root_ = fs::temp_directory_path() / fmt::format("finback_stored_model_test_{}", getpid());
    fs::remove_all(root_);
  }
  void TearDown() override { fs::remove_all(root_); }
  // A lively model of this config in a folder of several shards, in this form.
  fs::path folder_of(const ModelConfig& config, const std::string& form) {
    fs::remove_all(root_);
    SaveOptions options;
    options.shard_bytes = 100'000;
    save_model(root_ / "f32", *test::lively_model(config, false), options);
    if (form == "f32") return root_ / "f32";
    convert_model(root_ / "f32", root_ / form, form);
    return root_ / form;
  }
  // The folder as one file, each tensor as `change` returns it; undefined ones drop out; `all`: new ones.
  void rewrite(const fs::path& folder, const std::function<at::Tensor(const std::string&, const at::Tensor&)>& change,
               std::map<std::string, at::Tensor> all = {}) {
    {
      const SafetensorsFolder files(folder);
      for (const std::string& name : files.names()) {
        if (const at::Tensor tensor = change(name, files.tensor(name)); tensor.defined()) all[name] = tensor.clone();
      }
    }
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

at::Tensor served_logits(Transformer& model) {
  const at::NoGradGuard no_grad;
  ForwardOptions options;
  options.algebra = MlaAlgebra::kAbsorbed;
  return model.logits(model.forward(test::documents({19, 1, 4}, model.config().vocab_size).batch, options));
}

// Sizes that no block or panel divides; a tied head without query compression; dense layers only, two MTP modules.
std::vector<ModelConfig> odd_configs() {
  return {small_config(), small_config(R"({"q_lora_rank": null, "tie_word_embeddings": true, "num_nextn_predict_layers": 0})"),
          small_config(R"({"n_routed_experts": null, "num_nextn_predict_layers": 2, "hidden_size": 160, "intermediate_size": 300})")};
}

// The seams of joined matrices and of heads lie between panels.
ModelConfig even_config() {
  return small_config(R"({"hidden_size": 160, "moe_intermediate_size": 96, "intermediate_size": 224, "qk_nope_head_dim": 64,
    "v_head_dim": 64, "kv_lora_rank": 140})");
}

TEST_F(StoredModelTest, HasTheBitsOfLoadingF32AndThenStoring) {
  for (const ModelConfig& config : odd_configs()) {
    for (const std::string form : {"f32", "bf16", "fp8"}) {
      const fs::path folder = folder_of(config, form);
      const auto twice = load_model(folder, at::kCPU, false);
      for (const Precision storage : {Precision::kBf16, Precision::kFp8, Precision::kInt8}) {
        if (form == "fp8" && storage == Precision::kFp8) continue;  // below
        SCOPED_TRACE(form + " as " + precision_name(storage));
        for_each_variant([&] {
          twice->store_weights(storage);
          EXPECT_TRUE(same_bits(served_logits(*load_stored_model(folder, storage)), served_logits(*twice)));
        });
      }
    }
  }
}

// Experts as transformers stores them, and f16, which bf16 rounds.
TEST_F(StoredModelTest, ReadsFusedExpertsAndHalves) {
  const fs::path folder = folder_of(small_config(), "f32");
  std::map<std::string, at::Tensor> fused;
  {
    const SafetensorsFolder files(folder);
    for (const std::string layer : {"1", "2", "3"}) {
      const std::string experts = "model.layers." + layer + ".mlp.experts.";
      std::vector<at::Tensor> gate_up, down;
      for (int64_t e = 0; e < 8; ++e) {
        const auto one = [&](const char* part) { return files.tensor(fmt::format("{}{}.{}_proj.weight", experts, e, part)); };
        gate_up.push_back(at::cat({one("gate"), one("up")})), down.push_back(one("down").clone());
      }
      fused[experts + "gate_up_proj"] = at::stack(gate_up), fused[experts + "down_proj"] = at::stack(down);
    }
  }
  rewrite(
      folder,
      [](const std::string& name, const at::Tensor& t) {
        if (name.find(".experts.") != std::string::npos) return at::Tensor();
        return name.ends_with("o_proj.weight") ? t.to(at::kHalf) : t;
      },
      fused);
  const auto twice = load_model(folder, at::kCPU, false);
  for (const Precision storage : {Precision::kBf16, Precision::kInt8}) {
    twice->store_weights(storage);
    EXPECT_TRUE(same_bits(served_logits(*load_stored_model(folder, storage)), served_logits(*twice)));
  }
}

// FP8 codes and scales as they lie: the model is the one of the folder's numbers, to the bit. Scales of several magnitudes, as f32 and as exponents.
TEST_F(StoredModelTest, TakesFp8AsItLies) {
  const fs::path folder = folder_of(even_config(), "fp8");
  for (const bool exponents : {false, true}) {
    rewrite(folder, [&](const std::string& name, const at::Tensor& t) {
      if (!name.ends_with(kScaleSuffix)) return t;
      if (!exponents) return t.mul(at::linspace(0.7, 1.9, t.numel()).view_as(t));
      return t.view(at::kInt).bitwise_right_shift(23).to(at::kByte).view(at::kFloat8_e8m0fnu);
    });
    const auto f32 = load_model(folder, at::kCPU, false);
    for_each_variant([&] {
      const auto stored = load_stored_model(folder, Precision::kFp8);
      EXPECT_TRUE(same_bits(served_logits(*stored), served_logits(*f32))) << exponents;
      // Rounding once more would have moved some number.
      f32->store_weights(Precision::kFp8);
      std::map<std::string, at::Tensor> again;
      f32->for_each_weight([&](LayerMatrix& m) { again[m.name] = m.stored->numbers(); });
      int64_t moved = 0;
      stored->for_each_weight([&](LayerMatrix& m) { moved += m.stored && !m.stored->numbers().equal(again[m.name]); });
      EXPECT_TRUE(moved > 0 || exponents);
      f32->read_stored(std::make_shared<StoredWeights>());
    });
  }
}

// Where a block would lie in two panels its matrix is made anew, from the same numbers as any other matrix.
TEST_F(StoredModelTest, MakesFp8AnewWhereBlocksDoNotFit) {
  const fs::path folder = folder_of(small_config(), "fp8");
  const auto stored = load_stored_model(folder, Precision::kFp8), f32 = load_model(folder, at::kCPU, false);
  std::map<std::string, at::Tensor> folders, anew;
  f32->for_each_weight([&](LayerMatrix& m) {
    folders[m.name] = m.packed.weight(), anew[m.name] = store_weight(m.packed.weight(), Precision::kFp8, m.transposed).numbers();
  });
  int64_t matrices = 0;
  stored->for_each_weight([&](LayerMatrix& m) {
    if (m.name.ends_with("kv_b_proj") || m.name == "lm_head") return;
    const bool joined = m.name.ends_with("gate_up_proj") && m.packed.n() / 2 % panel_width() != 0;
    EXPECT_TRUE(m.stored->numbers().equal(joined ? anew.at(m.name) : folders.at(m.name))) << m.name;
    ++matrices;
  });
  EXPECT_GT(matrices, 15);
}

TEST_F(StoredModelTest, KnowsTheFormOfAFolder) {
  EXPECT_EQ(stored_form(folder_of(small_config(), "f32")), Precision::kF32);
  EXPECT_EQ(stored_form(folder_of(small_config(), "bf16")), Precision::kBf16);
  const fs::path fp8 = folder_of(small_config(), "fp8");
  EXPECT_EQ(stored_form(fp8), Precision::kFp8);
  rewrite(fp8, [](const std::string& name, const at::Tensor& t) { return name.ends_with("q_b_proj.weight") ? t.to(at::kHalf) : t; });
  EXPECT_EQ(stored_form(fp8), Precision::kFp8);
  const fs::path bf16 = folder_of(small_config(), "bf16");
  rewrite(bf16,
          [](const std::string& name, const at::Tensor& t) { return name.ends_with("2.self_attn.o_proj.weight") ? t.to(at::kFloat) : t; });
  EXPECT_EQ(stored_form(bf16), Precision::kF32);
}

TEST_F(StoredModelTest, RefusesNumbersThatAreNoneWithTheirTensor) {
  for (const std::string form : {"f32", "bf16", "fp8"}) {
    const fs::path folder = folder_of(even_config(), form);
    const std::string bad = "model.layers.2.self_attn.o_proj.weight";
    rewrite(folder, [&](const std::string& name, const at::Tensor& t) {
      if (name != (form == "fp8" ? bad + kScaleSuffix : bad)) return t;
      const at::Tensor copy = t.clone();
      copy[0][0] = std::numeric_limits<float>::infinity();
      return copy;
    });
    try {
      load_stored_model(folder, form == "fp8" ? Precision::kFp8 : Precision::kBf16);
      FAIL() << form;
    } catch (const Error& e) {
      EXPECT_NE(std::string(e.what()).find(bad + "\": expected finite weights"), std::string::npos) << e.what();
    }
  }
}

// A cache or a batch that was made with other codes must not be gone on with: one number of one matrix is enough.
TEST_F(StoredModelTest, ItsFingerprintIsThatOfItsCodesToo) {
  const fs::path folder = folder_of(small_config(), "bf16");
  const std::string before = load_stored_model(folder, Precision::kBf16)->fingerprint();
  EXPECT_EQ(load_stored_model(folder, Precision::kBf16)->fingerprint(), before);
  rewrite(folder, [](const std::string& name, const at::Tensor& t) {
    if (name != "model.layers.1.self_attn.o_proj.weight") return t;
    at::Tensor other = t.clone();
    other[0][0] += 1;
    return other;
  });
  EXPECT_NE(load_stored_model(folder, Precision::kBf16)->fingerprint(), before);
  const auto f32 = load_model(folder, at::kCPU, false);
  EXPECT_EQ(f32->fingerprint(), f32->parameters().fingerprint());
}

TEST_F(StoredModelTest, HoldsNoMatrixInF32AndNoMtp) {
  const fs::path folder = folder_of(small_config(), "bf16");
  const auto model = load_stored_model(folder, Precision::kBf16);
  EXPECT_EQ(model->config().num_nextn_predict_layers, 0);
  for (const ParameterSpec& spec : model->parameters().specs()) EXPECT_FALSE(spec.is_stored()) << spec.name;
  model->for_each_weight([&](LayerMatrix& m) {
    EXPECT_TRUE(m.packed.weight().is_meta()) << m.name;
    EXPECT_EQ(m.stored != nullptr, !m.name.ends_with(".kv_b_proj")) << m.name;
  });
}

}  // namespace
}  // namespace finback
