#include "train/evaluation.h"

#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <numbers>

#include "train/step_rows.h"

namespace finback {
using namespace test;
namespace {

std::function<std::optional<MicroBatch>()> feed_of(std::vector<MicroBatch> parts) {
  return [parts = std::move(parts), next = size_t{0}]() mutable -> std::optional<MicroBatch> {
    if (next == parts.size()) return std::nullopt;
    return parts[next++];
  };
}

TEST(Evaluation, BitsAByteFollowFromTheLogitsAndNoCutChangesThem) {
  const auto model = lively_model(small_config(), true, 9);
  const MicroBatch whole = random_micro_batch(4, 16, 3);
  const Validation validation = evaluate(*model, MlaAlgebra::kExpanded, feed_of({whole}));
  const at::NoGradGuard no_grad;
  const at::Tensor logits_TW = model->logits(model->forward(whole.batch, {}));
  const at::Tensor valid_T = whole.targets_T.ge(0);
  const at::Tensor chosen_T = at::log_softmax(logits_TW.to(at::kDouble), 1).gather(1, whole.targets_T.clamp_min(0).unsqueeze(1)).squeeze(1);
  const double nll = -chosen_T.masked_select(valid_T).sum().item<double>();
  EXPECT_NEAR(validation.bpb, nll / std::numbers::ln2 / double(whole.target_bytes), 1e-5);
  EXPECT_EQ(validation.targets, whole.valid_targets);
  EXPECT_EQ(validation.bytes, whole.target_bytes);
  LossInputs inputs;
  inputs.targets_T = whole.targets_T;
  inputs.mtp_denominators = {1};
  const LossResult loss = lm_loss(*model, whole.batch, inputs);
  ASSERT_EQ(validation.mtp_acceptance.size(), 1u);
  ASSERT_GT(loss.mtp_agree[0], 0);  // of fewer targets than the main head has
  EXPECT_EQ(validation.mtp_acceptance[0], double(loss.mtp_agree[0]) / double(loss.mtp_count[0]));
  const Validation cut = evaluate(*model, MlaAlgebra::kExpanded, feed_of({slice_rows(whole, 16, 0, 1), slice_rows(whole, 16, 1, 3)}));
  EXPECT_EQ(cut.bpb, validation.bpb);
  EXPECT_EQ(cut.mtp_loss, validation.mtp_loss);
}

TEST(Evaluation, AnEmptySplitIsAnError) {
  const auto model = lively_model(small_config(), true, 9);
  EXPECT_THROW(evaluate(*model, MlaAlgebra::kExpanded, feed_of({})), Error);
}

TEST(Evaluation, LeavesGradientsAlone) {
  const auto model = lively_model(small_config(), true, 9);
  model->parameters().grads_P().fill_(2);
  evaluate(*model, MlaAlgebra::kExpanded, feed_of({random_micro_batch(1, 16, 3)}));
  EXPECT_TRUE(at::equal(model->parameters().grads_P(), at::full_like(model->parameters().grads_P(), 2)));
}

TEST(Evaluation, IsLeftBetweenTwoBatchesAndTellsItsProgress) {
  const auto model = lively_model(small_config(), true, 9);
  const MicroBatch batch = random_micro_batch(2, 16, 3);
  std::vector<int64_t> told;
  const auto run = [&](size_t stop_at) {
    told.clear();
    return evaluate_until(
        *model, MlaAlgebra::kExpanded, feed_of({batch, batch, batch}), [&] { return told.size() == stop_at; },
        [&](int64_t targets) { told.push_back(targets); });
  };
  EXPECT_FALSE(run(2).has_value());
  EXPECT_EQ(told, (std::vector<int64_t>{batch.valid_targets, 2 * batch.valid_targets}));
  EXPECT_FALSE(run(0).has_value());
  EXPECT_EQ(run(9)->targets, 3 * batch.valid_targets);
}

}  // namespace
}  // namespace finback
