#include "train/training_step.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "train/step_rows.h"

namespace finback {
using namespace test;
namespace {

constexpr int64_t kSeqLen = 16;
const StepWeights kWeights = {MlaAlgebra::kExpanded, 0.3, 1e-2, 1e-3};

// The promise of the numerics contract: how a step is cut into micro-batches changes no bit of its losses, loads or gradients.
TEST(TrainingStep, MicroBatchesGiveTheBitsOfOneBigBatch) {
  for (const MlaAlgebra algebra : {MlaAlgebra::kExpanded, MlaAlgebra::kAbsorbed}) {
    StepWeights weights = kWeights;
    weights.algebra = algebra;
    const auto model = lively_model(small_config(), true, 5);
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

TEST(TrainingStep, WithoutMtpWeightTheModuleIsNotRun) {
  const auto model = lively_model(small_config(), true, 5);
  StepWeights weights = kWeights;
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
