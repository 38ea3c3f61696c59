#include "train/training_step.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>
#include <tuple>

#include "model/precision_audit.h"
#include "train/step_rows.h"

namespace finback {
using namespace test;
namespace {

constexpr int64_t kSeqLen = 16;
const LossWeights kWeights = {MlaAlgebra::kExpanded, 0.3, 1e-2, 1e-3};

// The promise of the numerics contract: how a step is cut into micro-batches changes no bit of its losses, loads or gradients.
TEST(TrainingStep, MicroBatchesGiveTheBitsOfOneBigBatch) {
  constexpr Precision kF32 = Precision::kF32, kBf16 = Precision::kBf16, kFp8 = Precision::kFp8;
  for (const auto& [algebra, precision, wgrad] : {std::tuple{MlaAlgebra::kExpanded, kF32, kF32},
                                                  {MlaAlgebra::kAbsorbed, kF32, kF32},
                                                  {MlaAlgebra::kExpanded, kBf16, kBf16},
                                                  {MlaAlgebra::kExpanded, kFp8, kFp8},
                                                  {MlaAlgebra::kAbsorbed, kFp8, kFp8},
                                                  {MlaAlgebra::kExpanded, kFp8, kF32}}) {
    SCOPED_TRACE(fmt::format("{} {} {}", int(algebra), precision_name(precision), precision_name(wgrad)));
    LossWeights weights = kWeights;
    weights.algebra = algebra;
    const auto model = lively_model(small_config(), true, 5);
    model->set_precision({precision, wgrad, {"model.layers.2.mlp"}});
    const MicroBatch big = random_micro_batch(6, kSeqLen, 1);
    const StepResult whole = accumulate_gradients(*model, {big}, weights);
    const at::Tensor whole_grads_P = model->parameters().grads_P().clone();
    EXPECT_GT(whole.grad_norm, 0);
    for (const std::vector<int64_t>& cut : {std::vector<int64_t>{3, 3}, {1, 2, 3}, {1, 1, 1, 1, 1, 1}}) {
      std::vector<MicroBatch> parts;
      int64_t first = 0;
      for (const int64_t rows : cut) {
        parts.push_back(slice_rows(big, kSeqLen, first, rows));
        first += rows;
      }
      const StepResult result = accumulate_gradients(*model, parts, weights);
      EXPECT_TRUE(at::equal(model->parameters().grads_P(), whole_grads_P)) << cut.size() << " micro-batches";
      EXPECT_EQ(result.loss, whole.loss);
      EXPECT_EQ(result.main_loss, whole.main_loss);
      EXPECT_EQ(result.mtp_loss, whole.mtp_loss);
      EXPECT_EQ(result.balance_loss, whole.balance_loss);
      EXPECT_EQ(result.z_loss, whole.z_loss);
      EXPECT_EQ(result.grad_norm, whole.grad_norm);
      ASSERT_EQ(result.loads.size(), whole.loads.size());
      for (size_t i = 0; i < whole.loads.size(); ++i) EXPECT_EQ(result.loads[i].counts, whole.loads[i].counts);
    }
  }
}

// Weights are linear: a target of weight 2 counts like two, one of weight 0 like a masked one that the denominators still count.
TEST(TrainingStep, WeightsMultiplyEachTargetsLossAndGradient) {
  const auto model = lively_model(small_config(), true, 5);
  MicroBatch micro = random_micro_batch(3, kSeqLen, 2);
  const LossWeights weights = {MlaAlgebra::kExpanded, 0.3, 0, 0};
  const auto grads = [&](const at::Tensor& weights_T) {
    micro.weights_T = weights_T;
    const StepResult result = accumulate_gradients(*model, {micro}, weights);
    return std::pair(model->parameters().grads_P().clone(), result.loss);
  };
  const at::Tensor first_T = at::arange(3 * kSeqLen).lt(20).to(at::kFloat);
  const auto [all, all_loss] = grads({});
  const auto [ones, ones_loss] = grads(at::ones({3 * kSeqLen}));
  EXPECT_TRUE(at::equal(all, ones));
  EXPECT_EQ(all_loss, ones_loss);
  const auto [head, head_loss] = grads(first_T);
  const auto [tail, tail_loss] = grads(1 - first_T);
  const auto [twice, twice_loss] = grads(1 + first_T);
  EXPECT_NEAR(head_loss + tail_loss, all_loss, 1e-6);
  EXPECT_NEAR(all_loss + head_loss, twice_loss, 1e-6);
  EXPECT_GT(head_loss, 0.1);
  EXPECT_TRUE(at::allclose(head + tail, all, 1e-4, 1e-6));
  EXPECT_TRUE(at::allclose(all + head, twice, 1e-4, 1e-6));
}

// An audit looks at a step's first row alone, so a cut into micro-batches changes none of its figures, and it changes nothing of the step.
TEST(TrainingStep, AnAuditSeesTheFirstRowWhateverTheCut) {
  const auto model = lively_model(small_config(), true, 5);
  model->set_precision({Precision::kFp8, Precision::kFp8, {}});
  const MicroBatch big = random_micro_batch(4, kSeqLen, 1);
  const auto figures = [&](const std::vector<MicroBatch>& parts) {
    PrecisionAudit audit;
    LossWeights weights = kWeights;
    weights.audit = &audit;
    accumulate_gradients(*model, parts, weights);
    std::string text;
    for (const auto& [name, f] : audit.figures()) {
      text += fmt::format("{} {} {} {} {} {} {}\n", name, f.x.value_or(0), f.w.value_or(0), f.y.value_or(0), f.dy.value_or(0),
                          f.dx.value_or(0), f.dw.value_or(0));
    }
    return text;
  };
  accumulate_gradients(*model, {big}, kWeights);
  const at::Tensor unheard_P = model->parameters().grads_P().clone();
  const std::string whole = figures({big});
  EXPECT_TRUE(at::equal(model->parameters().grads_P(), unheard_P));
  EXPECT_EQ(whole, figures({slice_rows(big, kSeqLen, 0, 1), slice_rows(big, kSeqLen, 1, 3)}));
  EXPECT_NE(whole, figures({slice_rows(big, kSeqLen, 1, 3)}));
}

TEST(TrainingStep, LossIsTheWeightedSumOfItsParts) {
  const auto model = lively_model(small_config(), true, 5);
  const MicroBatch micro = random_micro_batch(3, kSeqLen, 2);
  const StepResult result = accumulate_gradients(*model, {micro}, kWeights);
  ASSERT_EQ(result.mtp_loss.size(), 1u);
  EXPECT_NEAR(result.loss, result.main_loss + 0.3 * result.mtp_loss[0] + result.balance_loss + result.z_loss, 1e-12);
  EXPECT_NEAR(result.bpb, result.main_loss * double(micro.valid_targets) / std::numbers::ln2 / double(micro.target_bytes), 1e-12);
  EXPECT_GT(result.main_loss, 1);
  EXPECT_GT(result.balance_loss, 0.99e-2);  // alpha per MoE layer at perfect balance; the MTP layer counts too
  int64_t routed = 0;
  for (const LayerLoad& load : result.loads) {
    for (const int64_t count : load.counts) routed += count;
  }
  // No token is dropped: K = 3 of every row of two MoE layers and of the MTP layer, whose last row of each sequence drops out.
  EXPECT_EQ(routed, 3 * (2 * 3 * kSeqLen + 3 * (kSeqLen - 1)));
}

// The sum of log-sum-exp^2 leaves the ticks' range here; a term without weight must not carry its NaN into the loss.
TEST(TrainingStep, AZLossWithoutWeightCannotEndARun) {
  const auto model = lively_model(small_config(), true, 5);
  model->parameters().value("lm_head.weight").mul_(1e7);
  model->parameters().touch();
  LossWeights weights = kWeights;
  const MicroBatch micro = random_micro_batch(3, kSeqLen, 2);
  EXPECT_FALSE(std::isfinite(accumulate_gradients(*model, {micro}, weights).loss)) << "the sum leaves the range, or this shows nothing";
  weights.z_loss = 0;
  EXPECT_TRUE(std::isfinite(accumulate_gradients(*model, {micro}, weights).loss));
}

TEST(TrainingStep, WithoutMtpWeightTheModuleIsNotRun) {
  const auto model = lively_model(small_config(), true, 5);
  LossWeights weights = kWeights;
  weights.mtp_lambda = 0;
  const StepResult result = accumulate_gradients(*model, {random_micro_batch(2, kSeqLen, 2)}, weights);
  EXPECT_TRUE(result.mtp_loss.empty());
  EXPECT_EQ(model->parameters().grad("model.layers.3.eh_proj.weight").abs().sum().item<double>(), 0);
  EXPECT_GT(model->parameters().grad("model.layers.1.self_attn.o_proj.weight").abs().sum().item<double>(), 0);
}

TEST(TrainingStep, NonFiniteNumbersNameTheFirstTensor) {
  const auto model = lively_model(small_config(), true, 5);
  const std::vector<MicroBatch> micro = {random_micro_batch(2, kSeqLen, 2)};
  StepResult result = accumulate_gradients(*model, micro, kWeights);
  EXPECT_EQ(nonfinite_report(*model, result), "");
  model->parameters().value("model.layers.1.self_attn.o_proj.weight").fill_(NAN);
  model->parameters().touch();
  result = accumulate_gradients(*model, micro, kWeights);
  EXPECT_NE(nonfinite_report(*model, result).find("weights of model.layers.1.self_attn.o_proj.weight"), std::string::npos)
      << nonfinite_report(*model, result);
  make_lively(model->parameters(), 5);
  result = accumulate_gradients(*model, micro, kWeights);
  model->parameters().grad("model.norm.weight")[3] = INFINITY;
  result.grad_norm = INFINITY;
  EXPECT_NE(nonfinite_report(*model, result).find("gradient of model.norm.weight"), std::string::npos);
}

}  // namespace
}  // namespace finback
