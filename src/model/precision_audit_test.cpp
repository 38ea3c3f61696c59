#include "model/precision_audit.h"

#include <gtest/gtest.h>

#include "model/test_models.h"

namespace finback {
using namespace test;
namespace {

struct Step {
  at::Tensor grads_P;
  double loss = 0;
};

Step step_of(Transformer& model, const PackedDocuments& given, PrecisionAudit* audit = nullptr) {
  model.parameters().grads_P().zero_();
  LossInputs inputs = loss_inputs(given, model.config());
  inputs.forward.audit = audit;
  const LossResult result = lm_loss(model, given.batch, inputs);
  return {model.parameters().grads_P().clone(), result.main_nll.value()};
}

PackedDocuments rows() { return documents({70, 80}, 61); }

TEST(PrecisionPlan, Fp8FollowsF32WithinItsNoiseAndBf16Closer) {
  const auto model = lively_model(small_config());
  const Step f32 = step_of(*model, rows());
  const auto error = [&](const PrecisionPlan& plan) {
    model->set_precision(plan);
    const Step step = step_of(*model, rows());
    EXPECT_NEAR(step.loss, f32.loss, 0.02 * f32.loss);
    return relative_l2(step.grads_P, f32.grads_P);
  };
  const double bf16 = error({Precision::kBf16, Precision::kBf16, {}}), fp8 = error({Precision::kFp8, Precision::kFp8, {}});
  EXPECT_LT(bf16, 0.05);
  EXPECT_LT(fp8, 0.4);  // a routed expert may change
  EXPECT_LT(4 * bf16, fp8);
  EXPECT_LT(error({Precision::kFp8, Precision::kF32, {}}), fp8 * 1.05);
  EXPECT_EQ(error({Precision::kF32, Precision::kF32, {}}), 0) << "back to the bits of f32";
}

// Embedding, head, router, norms and eh_proj: a model whose blocks see nothing (zero matrices) has the same gradients there in every precision.
TEST(PrecisionPlan, WhatStaysOutOfFp8KeepsItsBits) {
  const auto model = lively_model(small_config());
  for (const ParameterSpec& spec : model->parameters().specs()) {
    if (spec.name.find("_proj") != std::string::npos && spec.name.find("eh_proj") == std::string::npos) {
      model->parameters().value(spec.name).zero_();
    }
  }
  model->parameters().touch();
  const auto head_gradient = [&](Precision precision) {
    model->set_precision({precision, precision, {}});
    step_of(*model, rows());
    return model->parameters().grad("lm_head.weight").clone();
  };
  EXPECT_TRUE(at::equal(head_gradient(Precision::kF32), head_gradient(Precision::kFp8)));
}

TEST(PrecisionAudit, FiguresAreThoseOfE4M3) {
  const auto model = lively_model(small_config());
  model->set_precision({Precision::kFp8, Precision::kFp8, {}});
  PrecisionAudit audit;
  step_of(*model, rows(), &audit);
  // Attention 5 and dense FFN 2 in layer 0; attention 5, shared 2, routed 2 in two MoE layers and the MTP layer.
  EXPECT_EQ(audit.figures().size(), 7u + 3 * 9);
  for (const auto& [name, f] : audit.figures()) {
    for (const auto& operand : {f.x, f.w, f.dy})
      EXPECT_TRUE(operand && *operand > 28 && *operand < 36) << name << " " << operand.value_or(-1);
    for (const auto& product : {f.y, f.dx, f.dw})
      EXPECT_TRUE(product && *product > 23 && *product < 34) << name << " " << product.value_or(-1);
  }
}

TEST(PrecisionAudit, NamesTheSubLayersBelowTheBars) {
  const auto model = lively_model(small_config());
  model->set_precision({Precision::kFp8, Precision::kFp8, {"model.layers.1.mlp"}});
  PrecisionAudit audit;
  step_of(*model, rows(), &audit);
  EXPECT_TRUE(audit.below({20, 20}).empty());
  const std::vector<std::string> all = audit.below({20, 60});
  EXPECT_EQ(all.size(), 7u) << "two sub-layers in four layers but the one that fell back before";
  EXPECT_EQ(all.front(), "model.layers.0.mlp");
  EXPECT_EQ(all.back(), "model.layers.3.self_attn");
  EXPECT_EQ(audit.below({60, 20}), all);
}

}  // namespace
}  // namespace finback
