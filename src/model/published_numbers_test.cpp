// Small worked examples of DeepSeek's formulas, computed elsewhere in double precision, through our config keys, tables and ops.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "kernels/rope.h"
#include "kernels/router.h"
#include "model/moe.h"
#include "model/rope_table.h"

namespace finback {
namespace {

const std::vector<float> kLogits = {0.59104f,  1.818595f, -1.059672f, -1.545529f, 1.457938f, 1.169834f,  -1.759392f, -0.716459f,
                                    1.944015f, 0.215507f, -1.999549f, 0.299754f,  1.922305f, -0.795111f, -1.717414f, 1.23767f};

ModelConfig gate(const char* method, const char* scoring, bool renormalised, double factor) {
  ModelConfig config;
  config.n_routed_experts = 16;
  config.num_experts_per_tok = 4;
  config.n_group = 4;
  config.topk_group = 2;
  config.topk_method = method;
  config.scoring_func = scoring;
  config.norm_topk_prob = renormalised;
  config.routed_scaling_factor = factor;
  return config;
}

void expect_routing(const ModelConfig& config, const at::Tensor& bias_E, const std::vector<int64_t>& ids,
                    const std::vector<double>& weights) {
  const Routing routing = route(at::tensor(kLogits).unsqueeze(0), bias_E, router_options(config));
  for (int64_t k = 0; k < 4; ++k) {
    EXPECT_EQ(routing.topk_ids_TK[0][k].item<int64_t>(), ids[size_t(k)]) << k;
    EXPECT_NEAR(routing.weights_TK[0][k].item<float>(), weights[size_t(k)], 1e-6 * weights[size_t(k)]) << k;
  }
}

TEST(PublishedNumbers, V3GateWithMixedBiases) {
  const at::Tensor bias_E = at::tensor({0.05f, 0.03108f, -0.01136f, -0.045204f, -0.044838f, -0.01054f, 0.031735f, 0.049993f, 0.030418f,
                                        -0.012177f, -0.045557f, -0.04446f, -0.009716f, 0.03238f, 0.049972f, 0.029746f});
  expect_routing(gate("noaux_tc", "sigmoid", true, 2.5), bias_E, {1, 12, 15, 0}, {0.682518278, 0.692035642, 0.614901435, 0.510544645});
}

// A gate that masks dropped groups with 0 instead of -inf would choose experts 0 to 3 here.
TEST(PublishedNumbers, V3GateWithNegativeBiasesStaysInTheKeptGroups) {
  expect_routing(gate("noaux_tc", "sigmoid", true, 2.5), at::full({16}, -0.9f), {12, 4, 15, 5},
                 {0.676929115, 0.629458344, 0.60147868, 0.592133861});
}

TEST(PublishedNumbers, V2GateRanksGroupsByTheirBestExpert) {
  expect_routing(gate("group_limited_greedy", "softmax", false, 16), {}, {8, 12, 15, 11},
                 {2.994146606, 2.929844211, 1.47744501, 0.578335142});
}

TEST(PublishedNumbers, SequenceBalanceLoss) {
  const at::Tensor scores_TE =
      at::tensor({0.9f, 0.2f, 0.6f, 0.3f, 0.8f, 0.7f, 0.1f, 0.4f, 0.3f, 0.9f, 0.5f, 0.2f, 0.7f, 0.1f, 0.6f, 0.5f}).view({4, 4});
  const at::Tensor ids_TK = at::tensor({0, 2, 0, 1, 1, 2, 0, 2}, at::kLong).view({4, 2});  // the two best of each row
  EXPECT_NEAR(sequence_balance(scores_TE, ids_TK, at::tensor({0, 4}, at::kLong), 0, {})[0].item<float>(), 1.108552631579, 1e-6);
}

TEST(PublishedNumbers, RopeInBothLayouts) {
  ModelConfig config;
  config.qk_rope_head_dim = 4;
  config.max_position_embeddings = 3;
  const at::Tensor table_SR = rope_table(config, at::kCPU), position_T = at::tensor({2}, at::kLong);
  at::Tensor pairs = at::tensor({1.0f, 2.0f, 3.0f, 4.0f}).view({1, 4}), halves = at::tensor({1.0f, 3.0f, 2.0f, 4.0f}).view({1, 4});
  rope_(pairs, position_T, table_SR, /*rotate_half=*/false, /*inverse=*/false);
  rope_(halves, position_T, table_SR, /*rotate_half=*/true, /*inverse=*/false);
  const double expected[] = {-2.23474169, 0.077003754, 2.919405353, 4.059196027};
  const int64_t moved[] = {0, 2, 1, 3};
  for (int64_t i = 0; i < 4; ++i) {
    EXPECT_NEAR(pairs[0][i].item<float>(), expected[i], 1e-6);
    EXPECT_NEAR(halves[0][moved[i]].item<float>(), expected[i], 1e-6);
  }
}

}  // namespace
}  // namespace finback
