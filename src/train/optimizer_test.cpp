#include "train/optimizer.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

#include "train/step_rows.h"

namespace finback {
using namespace test;
namespace {

TEST(Optimizer, OnlyMatricesDecayAndNeighboursAreJoined) {
  const std::vector<ParameterSpec> specs = {{"a", {2, 3}, 0, 6}, {"b", {4, 2}, 6, 8}, {"norm", {5}, 14, 5}, {"c", {1, 1}, 19, 1}};
  const std::vector<FlatRange> ranges = decayed_ranges(specs);
  ASSERT_EQ(ranges.size(), 2u);
  EXPECT_EQ(ranges[0].begin, 0);
  EXPECT_EQ(ranges[0].end, 14);
  EXPECT_EQ(ranges[1].begin, 19);
  EXPECT_EQ(ranges[1].end, 20);
}

TEST(Optimizer, ClippingScalesOnlyNormsAboveTheBound) {
  EXPECT_EQ(clip_scale(0.5, 1.0), 1.0);
  EXPECT_NEAR(clip_scale(4.0, 1.0), 0.25, 1e-6);
  EXPECT_EQ(clip_scale(4.0, 0), 1.0);
}

TEST(Optimizer, NamesTheTensorOfAnElement) {
  const std::vector<ParameterSpec> specs = {{"a", {2, 3}, 0, 6}, {"b", {4, 2}, 6, 8}};
  EXPECT_EQ(parameter_at(specs, 5), "a");
  EXPECT_EQ(parameter_at(specs, 6), "b");
}

// Three updates of one matrix element and one norm element against the formulas of the AdamW paper in double.
TEST(Optimizer, FollowsAdamWWithDecoupledDecayOnMatricesOnly) {
  const auto model = lively_model(small_config(), true, 3);
  Parameters& parameters = model->parameters();
  OptimizerSection config;
  config.weight_decay = 0.5;
  Optimizer optimizer(parameters, config);
  const ParameterSpec *matrix = nullptr, *norm = nullptr;
  for (const ParameterSpec& spec : parameters.specs()) (spec.decays() ? matrix : norm) = &spec;
  ASSERT_TRUE(matrix && norm);
  struct Scalar {
    int64_t index;
    double decay, value, m = 0, v = 0;
  };
  std::vector<Scalar> scalars = {{matrix->offset, 0.5, 0}, {norm->offset, 0, 0}};
  for (Scalar& s : scalars) s.value = parameters.values_P()[s.index].item<double>();
  const double lr = 0.01, norm_before_clip = 4, scale = clip_scale(norm_before_clip, 2);
  for (int step = 1; step <= 3; ++step) {
    const double gradient = 0.3 * step;
    parameters.grads_P().fill_(gradient);
    const uint64_t stamp = *parameters.stamp();
    optimizer.step(lr, step, norm_before_clip, 2, 1);
    EXPECT_NE(*parameters.stamp(), stamp) << "packed weights must be made again";
    for (Scalar& s : scalars) {
      const double g = gradient * scale;
      s.m = 0.9 * s.m + 0.1 * g;
      s.v = 0.95 * s.v + 0.05 * g * g;
      const double m_hat = s.m / (1 - std::pow(0.9, step)), v_hat = s.v / (1 - std::pow(0.95, step));
      s.value = s.value * (1 - lr * s.decay) - lr * m_hat / (std::sqrt(v_hat) + 1e-8);
      EXPECT_NEAR(parameters.values_P()[s.index].item<double>(), s.value, 2e-6) << step;
    }
  }
}

// Two MTP modules, and moments from a step that trained both: then a step trains as many as its loss reaches.
TEST(Optimizer, AModuleThatAStepDoesNotTrainIsLeftAsItIs) {
  struct Untrained {
    const char* what;
    double lambda;
    int64_t seq_len;      // of documents: MTP depth k has targets behind token k + 1
    int64_t first_layer;  // from here on nothing changes; 3 layers and 2 modules
  };
  for (const Untrained& c : {Untrained{"lambda 0", 0, 16, 3}, {"no document of 4 tokens", 0.3, 3, 4}, {"nor of 3", 0.3, 2, 3}}) {
    SCOPED_TRACE(c.what);
    const auto model = lively_model(small_config(R"({"num_nextn_predict_layers": 2})"), true, 3);
    Parameters& parameters = model->parameters();
    OptimizerSection config;
    config.weight_decay = 0.5;
    Optimizer optimizer(parameters, config);
    StepResult result = accumulate_gradients(*model, {random_micro_batch(4, 16, 1)}, {MlaAlgebra::kExpanded, 0.3, 0, 0});
    EXPECT_EQ(result.mtp_trained, 2);
    optimizer.step(0.01, 1, result.grad_norm, 1, result.mtp_trained);
    const std::vector<at::Tensor> before = {parameters.values_P().clone(), optimizer.m_P().clone(), optimizer.v_P().clone()};
    result = accumulate_gradients(*model, {random_micro_batch(4, c.seq_len, 2)}, {MlaAlgebra::kExpanded, c.lambda, 0, 0});
    EXPECT_EQ(result.mtp_trained, c.first_layer - 3);
    optimizer.step(0.01, 2, result.grad_norm, 1, result.mtp_trained);
    const std::vector<at::Tensor> after = {parameters.values_P(), optimizer.m_P(), optimizer.v_P()};
    for (const ParameterSpec& spec : parameters.specs()) {
      const auto of_mtp = [&](int64_t layer) { return spec.name.starts_with(fmt::format("model.layers.{}.", layer)); };
      const bool trained = !(of_mtp(4) || (of_mtp(3) && c.first_layer == 3));
      for (size_t i = 0; i < after.size(); ++i) {
        const auto part = [&](const at::Tensor& flat_P) { return flat_P.narrow(0, spec.offset, spec.numel); };
        EXPECT_EQ(at::equal(part(after[i]), part(before[i])), !trained) << spec.name << " " << i;
      }
    }
  }
}

// Its gradient is zeros, not none: moments fade and weights decay, as in PyTorch.
TEST(Optimizer, AnExpertWithoutTokensStillDecays) {
  const auto model = lively_model(small_config(), true, 3);
  Parameters& parameters = model->parameters();
  OptimizerSection config;
  config.weight_decay = 0.5;
  Optimizer optimizer(parameters, config);
  const at::Tensor expert = parameters.value("model.layers.1.mlp.experts.0.down_proj.weight"), before = expert.clone();
  parameters.grads_P().zero_();
  optimizer.step(0.01, 1, 0, 1, 1);
  EXPECT_TRUE(at::equal(expert, before * float(1 - 0.01 * 0.5)));
}

}  // namespace
}  // namespace finback
