#include "model/parameters.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "base/pool.h"

namespace finback {
namespace {

ModelConfig nano() { return load_model_config(FINBACK_SOURCE_DIR "/configs/models/nano"); }

int64_t count(const std::vector<ParameterSpec>& specs) {
  int64_t total = 0;
  for (const ParameterSpec& spec : specs) total += spec.numel;
  return total;
}

// 671,026,419,200 counts 58 expert biases of 256; the MTP module's own figure counts one.
TEST(Parameters, CountsArePublishedOnes) {
  ModelConfig v3 = load_model_config(FINBACK_SOURCE_DIR "/configs/models/v3");
  EXPECT_EQ(count(parameter_specs(v3)) + count(buffer_specs(v3)), 671'026'419'200 + 11'610'068'224);
  v3.num_nextn_predict_layers = 0;
  EXPECT_EQ(count(parameter_specs(v3)) + count(buffer_specs(v3)), 671'026'419'200);
  EXPECT_EQ(count(parameter_specs(load_model_config(FINBACK_SOURCE_DIR "/configs/models/v2-lite"))), 15'706'484'224);
}

TEST(Parameters, TensorsTileTheBufferInCheckpointOrder) {
  const Parameters parameters(nano(), at::kCPU, true);
  int64_t end = 0;
  std::set<std::string> names;
  for (const ParameterSpec& spec : parameters.specs()) {
    EXPECT_EQ(spec.offset, end);
    EXPECT_TRUE(names.insert(spec.name).second) << spec.name;
    end += spec.numel;
  }
  EXPECT_EQ(parameters.values_P().numel(), end);
  EXPECT_EQ(parameters.grads_P().numel(), end);
  EXPECT_EQ(uintptr_t(parameters.values_P().const_data_ptr()) % 64, 0u);
  EXPECT_EQ(parameters.specs().front().name, "model.embed_tokens.weight");
  EXPECT_EQ(parameters.specs().back().name, "model.layers.4.shared_head.norm.weight");
  EXPECT_FALSE(parameters.has("model.layers.4.embed_tokens.weight"));
}

TEST(Parameters, TiedModelHasNoHead) {
  ModelConfig config = nano();
  EXPECT_TRUE(Parameters(config, at::kCPU, false).has("lm_head.weight"));
  config.tie_word_embeddings = true;
  EXPECT_FALSE(Parameters(config, at::kCPU, false).has("lm_head.weight"));
}

TEST(Parameters, StackedExpertsAreTheSameMemory) {
  Parameters parameters(nano(), at::kCPU, true);
  parameters.initialize(1, 0.02);
  parameters.grads_P().copy_(at::arange(parameters.grads_P().numel(), at::kFloat));
  const std::string prefix = "model.layers.2.mlp.experts.";
  for (const bool gradient : {false, true}) {
    const at::Tensor gate_up_E2FD = parameters.stacked_gate_up(prefix, gradient), down_EDF = parameters.stacked_down(prefix, gradient);
    for (int64_t e = 0; e < 8; ++e) {
      const auto named = [&](const char* w) {
        const std::string name = prefix + std::to_string(e) + "." + w + "_proj.weight";
        return gradient ? parameters.grad(name) : parameters.value(name);
      };
      EXPECT_TRUE(gate_up_E2FD[e].equal(at::cat({named("gate"), named("up")}))) << e;
      EXPECT_TRUE(down_EDF[e].equal(named("down"))) << e;
      EXPECT_EQ(down_EDF[e].const_data_ptr(), named("down").const_data_ptr());
    }
  }
}

// Layer 2 alone, of its experts 1, 2 and 6: memory for these only, names, initial values and stacks as in the whole model.
TEST(Parameters, APartHoldsItsTensorsUnderTheirNames) {
  const std::string layer = "model.layers.2.", prefix = layer + "mlp.experts.";
  const std::vector<int64_t> experts = {1, 2, 6};
  const auto holds = [&](const ParameterSpec& spec) {
    if (!spec.name.starts_with(prefix)) return spec.name.starts_with(layer);
    return std::ranges::any_of(experts, [&](int64_t e) { return spec.name.starts_with(fmt::format("{}{}.", prefix, e)); });
  };
  Parameters whole(nano(), at::kCPU, true), part(nano(), at::kCPU, true, holds);
  whole.initialize(5, 0.02), part.initialize(5, 0.02);
  int64_t end = 0;
  for (const ParameterSpec& spec : part.specs()) {
    EXPECT_TRUE(holds(spec)) << spec.name;
    EXPECT_EQ(spec.offset, end);
    EXPECT_TRUE(part.value(spec.name).equal(whole.value(spec.name))) << spec.name;
    EXPECT_EQ(part.grad(spec.name).storage_offset(), end);
    end += spec.numel;
  }
  EXPECT_EQ(part.values_P().numel(), end);
  EXPECT_EQ(part.grads_P().numel(), end);
  EXPECT_EQ(int64_t(part.specs().size()), std::ranges::count_if(whole.specs(), holds));
  EXPECT_FALSE(part.has("lm_head.weight") || part.has(prefix + "0.up_proj.weight"));
  ASSERT_EQ(part.buffers().size(), 1u);
  EXPECT_EQ(part.buffers()[0].name, layer + "mlp.gate.e_score_correction_bias");
  const at::Tensor chosen = at::tensor(experts);
  EXPECT_TRUE(part.stacked_gate_up(prefix, false).equal(whole.stacked_gate_up(prefix, false).index_select(0, chosen)));
  EXPECT_TRUE(part.stacked_down(prefix, false).equal(whole.stacked_down(prefix, false).index_select(0, chosen)));
  EXPECT_EQ(part.stacked_down(prefix, true).size(0), 3);
  EXPECT_EQ(part.pieces().back().end, end);
}

TEST(Parameters, InferenceHasNoGradients) {
  const Parameters parameters(nano(), at::kCPU, false);
  EXPECT_FALSE(parameters.has_gradients());
  EXPECT_FALSE(parameters.grad("model.norm.weight").defined());
  EXPECT_FALSE(parameters.stacked_down("model.layers.2.mlp.experts.", true).defined());
}

TEST(Parameters, InitializationDependsOnSeedAndNameAlone) {
  Parameters one(nano(), at::kCPU, false), two(nano(), at::kCPU, false);
  one.initialize(5, 0.02);
  const int before = threads();
  set_threads(before == 1 ? 2 : 1);
  two.initialize(5, 0.02);
  set_threads(before);
  EXPECT_TRUE(one.values_P().equal(two.values_P()));
  EXPECT_EQ(one.fingerprint(), two.fingerprint());
  const uint64_t stamp = *two.stamp();
  two.initialize(6, 0.02);
  EXPECT_NE(*two.stamp(), stamp);
  EXPECT_NE(one.fingerprint(), two.fingerprint());
  // Without the MTP module, and so with another layout, the shared tensors are the same.
  ModelConfig config = nano();
  config.num_nextn_predict_layers = 0;
  config.num_hidden_layers = 3;
  Parameters shorter(config, at::kCPU, false);
  shorter.initialize(5, 0.02);
  for (const ParameterSpec& spec : shorter.specs()) EXPECT_TRUE(shorter.value(spec.name).equal(one.value(spec.name))) << spec.name;
}

TEST(Parameters, MatricesOfOneShapeBeginDifferently) {
  Parameters parameters(nano(), at::kCPU, false);
  parameters.initialize(1, 0.02);
  const auto of = [&](int expert) { return parameters.value(fmt::format("model.layers.2.mlp.experts.{}.up_proj.weight", expert)); };
  EXPECT_FALSE(at::allclose(of(0), of(1), 0, 1e-4));
}

TEST(Parameters, InitialValuesHaveTheirDistribution) {
  Parameters parameters(nano(), at::kCPU, false);
  parameters.initialize(3, 0.02);
  const at::Tensor head_WD = parameters.value("lm_head.weight");
  EXPECT_NEAR(head_WD.mean().item<double>(), 0, 2e-4);  // 262,144 values: 5 standard errors
  EXPECT_NEAR(head_WD.std().item<double>(), 0.02, 2e-4);
  EXPECT_TRUE(parameters.value("model.layers.1.self_attn.q_a_layernorm.weight").equal(at::ones({64})));
  EXPECT_TRUE(parameters.buffer("model.layers.1.mlp.gate.e_score_correction_bias").equal(at::zeros({8})));
}

TEST(Parameters, PiecesCoverEveryTensorFromItsOwnStart) {
  const Parameters parameters(nano(), at::kCPU, false);
  size_t piece = 0;
  for (const ParameterSpec& spec : parameters.specs()) {
    for (int64_t begin = spec.offset; begin < spec.offset + spec.numel; ++piece) {
      ASSERT_LT(piece, parameters.pieces().size());
      EXPECT_EQ(parameters.pieces()[piece].begin, begin);
      begin = parameters.pieces()[piece].end;
      EXPECT_TRUE(begin == spec.offset + spec.numel || begin == parameters.pieces()[piece].begin + kPieceNumbers) << spec.name;
    }
  }
  EXPECT_EQ(piece, parameters.pieces().size());
}

TEST(Parameters, FingerprintSeesValuesAndBuffers) {
  Parameters parameters(nano(), at::kCPU, false);
  parameters.initialize(3, 0.02);
  const std::string first = parameters.fingerprint();
  EXPECT_EQ(first.size(), 16u);
  parameters.buffer("model.layers.1.mlp.gate.e_score_correction_bias")[7].fill_(1e-3);
  const std::string second = parameters.fingerprint();
  EXPECT_NE(first, second);
  parameters.value("model.layers.4.shared_head.norm.weight")[127].fill_(2);
  EXPECT_NE(parameters.fingerprint(), second);
}

}  // namespace
}  // namespace finback
