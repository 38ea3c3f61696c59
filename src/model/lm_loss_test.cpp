#include "model/lm_loss.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/pool.h"
#include "model/plain_forward.h"

namespace finback {
namespace {

using namespace test;

struct Case {
  const char* name;
  const char* changes;
};
constexpr Case kCases[] = {
    {"v3", "{}"},
    {"no_q_lora", R"({"q_lora_rank": null})"},
    {"softmax_gate",
     R"({"model_type": "deepseek_v2", "scoring_func": "softmax", "topk_method": "group_limited_greedy", "norm_topk_prob": false,
       "num_nextn_predict_layers": 0, "routed_scaling_factor": 4.0})"},
    {"greedy_gate",
     R"({"model_type": "deepseek_v2", "scoring_func": "softmax", "topk_method": "greedy", "norm_topk_prob": false, "n_group": 1,
       "topk_group": 1, "num_nextn_predict_layers": 0})"},
    {"yarn", R"({"rope_scaling": {"type": "yarn", "factor": 8, "original_max_position_embeddings": 32, "beta_fast": 32, "beta_slow": 1,
       "mscale": 1.0, "mscale_all_dim": 1.0}})"},
    {"rotate_half", R"({"rope_interleave": false, "rms_norm_eps": 1e-5})"},
    {"all_dense_first", R"({"first_k_dense_replace": 2, "n_shared_experts": 2})"},
    {"no_shared", R"({"n_shared_experts": 0, "norm_topk_prob": false})"},
    {"two_mtp", R"({"num_nextn_predict_layers": 2})"},
    {"tied", R"({"tie_word_embeddings": true, "num_nextn_predict_layers": 2})"},
    {"dense_twin", R"({"n_routed_experts": 0, "n_shared_experts": 0, "num_experts_per_tok": 0, "n_group": 1, "topk_group": 1})"},
};

class LmLoss : public testing::TestWithParam<std::tuple<Case, MlaAlgebra>> {};

// Loss and the gradient of every parameter against the plain model in f64: documents of one token, of two, of more; a masked target.
TEST_P(LmLoss, GradientsAreThoseOfThePlainModel) {
  const auto [variant, algebra] = GetParam();
  const ModelConfig config = small_config(variant.changes);
  const auto model = lively_model(config);
  PackedDocuments rows = documents({7, 1, 2, 11}, config.vocab_size);
  rows.targets_T[4] = -1;
  rows.batch.balance_starts = {0, 7, 8, 10, 21};
  LossInputs inputs = loss_inputs(rows, config);
  inputs.z_loss = 0.01;
  inputs.forward.algebra = algebra;
  inputs.forward.balance_scale = 0.02;
  const LossResult ours = lm_loss(*model, rows.batch, inputs);
  PlainModel plain(*model);
  const at::Tensor loss = plain.loss(rows, inputs);
  loss.backward();
  double total = ours.main_nll.value() / inputs.main_denominator + inputs.z_loss * ours.z.value() / inputs.main_denominator +
                 0.02 * ours.balance.value();
  for (size_t k = 0; k < ours.mtp_nll.size(); ++k) {
    total += inputs.mtp_lambda / double(ours.mtp_nll.size()) * ours.mtp_nll[k].value() / inputs.mtp_denominators[k];
    EXPECT_EQ(double(ours.mtp_count[k]), inputs.mtp_denominators[k]);
  }
  EXPECT_NEAR(total, loss.item<double>(), 2e-6 * std::abs(total));
  for (const ParameterSpec& spec : model->parameters().specs()) {
    const at::Tensor expected = plain.leaf(spec.name).grad();
    const at::Tensor got = model->parameters().grad(spec.name);
    if (!expected.defined()) {
      EXPECT_EQ(got.abs().max().item<float>(), 0) << spec.name;  // an expert without a token
    } else {
      EXPECT_LT(relative_l2(got, expected), 2e-5) << spec.name;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Forms, LmLoss,
                         testing::Combine(testing::ValuesIn(kCases), testing::Values(MlaAlgebra::kExpanded, MlaAlgebra::kAbsorbed)),
                         [](const auto& info) {
                           return std::string(std::get<0>(info.param).name) +
                                  (std::get<1>(info.param) == MlaAlgebra::kExpanded ? "_expanded" : "_absorbed");
                         });

// The documents [first, last) of `rows` as a batch of their own.
PackedDocuments part_of(const PackedDocuments& rows, size_t first, size_t last) {
  const auto& sequences = rows.batch.sequences;
  const int64_t begin = sequences[first].first_row, end = sequences[last - 1].first_row + sequences[last - 1].rows;
  std::vector<int64_t> starts;
  for (size_t b = first; b < last; ++b) starts.push_back(sequences[b].first_row - begin);
  starts.push_back(end - begin);
  PackedDocuments part{packed_batch(rows.batch.tokens_T.slice(0, begin, end), rows.batch.positions_T.slice(0, begin, end), starts),
                       rows.targets_T.slice(0, begin, end)};
  part.batch.balance_starts = starts;
  return part;
}

void expect_same_bits(const at::Tensor& a, const at::Tensor& b, const Parameters& parameters) {
  for (const ParameterSpec& spec : parameters.specs()) {
    const at::Tensor x = a.narrow(0, spec.offset, spec.numel), y = b.narrow(0, spec.offset, spec.numel);
    EXPECT_TRUE(at::equal(x, y)) << spec.name << " differs by " << (x - y).abs().max().item<float>();
  }
}

class MicroBatches : public testing::TestWithParam<const char*> {};

TEST_P(MicroBatches, AddUpToTheBitsOfOneBigBatch) {
  const ModelConfig config = small_config(GetParam());
  const auto model = lively_model(config);
  PackedDocuments rows = documents({9, 1, 30, 12, 2, 17}, config.vocab_size);
  rows.batch.balance_starts = {0, 9, 10, 40, 52, 54, 71};
  for (const MlaAlgebra algebra : {MlaAlgebra::kExpanded, MlaAlgebra::kAbsorbed}) {
    LossInputs inputs = loss_inputs(rows, config);
    inputs.z_loss = 1e-3;
    inputs.forward.algebra = algebra;
    inputs.forward.balance_scale = 1e-3;
    model->parameters().grads_P().zero_();
    const LossResult whole = lm_loss(*model, rows.batch, inputs);
    const at::Tensor whole_P = model->parameters().grads_P().clone();
    model->parameters().grads_P().zero_();
    double nll = 0, mtp = 0, z = 0, balance = 0;
    const std::vector<std::pair<size_t, size_t>> cuts = {{0, 2}, {2, 3}, {3, 6}};
    for (const auto& [first, last] : cuts) {
      const PackedDocuments part = part_of(rows, first, last);
      inputs.targets_T = part.targets_T;
      inputs.last = last == 6;
      const LossResult result = lm_loss(*model, part.batch, inputs);
      nll += result.main_nll.value(), z += result.z.value(), balance += result.balance.value();
      for (const TickSum& sum : result.mtp_nll) mtp += sum.value();
    }
    EXPECT_EQ(nll, whole.main_nll.value());
    EXPECT_EQ(z, whole.z.value());
    EXPECT_EQ(balance, whole.balance.value());
    double whole_mtp = 0;
    for (const TickSum& sum : whole.mtp_nll) whole_mtp += sum.value();
    EXPECT_EQ(mtp, whole_mtp);
    expect_same_bits(model->parameters().grads_P(), whole_P, model->parameters());
  }
}

INSTANTIATE_TEST_SUITE_P(Forms, MicroBatches, testing::Values("{}", R"({"tie_word_embeddings": true, "num_nextn_predict_layers": 2})"));

TEST(LmLossGradients, OfTheMainModelDoNotFeelMtpWithoutWeight) {
  const ModelConfig config = small_config();
  const auto model = lively_model(config);
  const PackedDocuments rows = documents({20, 13}, config.vocab_size);
  LossInputs inputs = loss_inputs(rows, config, 0);
  const LossResult with = lm_loss(*model, rows.batch, inputs);
  ASSERT_EQ(with.mtp_nll.size(), 1u);
  EXPECT_GT(with.mtp_nll[0].value(), 0);
  const at::Tensor with_P = model->parameters().grads_P().clone();
  model->parameters().grads_P().zero_();
  inputs.mtp_denominators.clear();
  lm_loss(*model, rows.batch, inputs);
  EXPECT_TRUE(at::equal(with_P, model->parameters().grads_P()));
  EXPECT_EQ(model->parameters().grad("model.layers.3.eh_proj.weight").abs().max().item<float>(), 0);
}

TEST(LmLossGradients, OfTheSharedEmbeddingComeFromBothPlaces) {
  const ModelConfig config = small_config();
  const auto model = lively_model(config);
  const PackedDocuments rows = documents({12}, config.vocab_size);
  LossInputs inputs = loss_inputs(rows, config, 0.3);
  // The last token is never an input of the main model's loss, but the MTP module of the row before the last consumes it.
  const int64_t last = rows.batch.tokens_T[10].item<int64_t>();
  lm_loss(*model, rows.batch, inputs);
  const at::Tensor both = model->parameters().grad("model.embed_tokens.weight")[last].clone();
  model->parameters().grads_P().zero_();
  inputs.mtp_lambda = 0;
  lm_loss(*model, rows.batch, inputs);
  EXPECT_GT((both - model->parameters().grad("model.embed_tokens.weight")[last]).abs().max().item<float>(), 1e-4);
}

TEST(LmLossSums, ThreadsChangeNoBit) {
  const ModelConfig config = small_config();
  const auto model = lively_model(config);
  const PackedDocuments rows = documents({40, 33}, config.vocab_size);
  const LossInputs inputs = loss_inputs(rows, config);
  const int before = threads();
  set_threads(1);
  const double one = lm_loss(*model, rows.batch, inputs).main_nll.value();
  const at::Tensor one_P = model->parameters().grads_P().clone();
  model->parameters().grads_P().zero_();
  set_threads(3);
  const double three = lm_loss(*model, rows.batch, inputs).main_nll.value();
  set_threads(before);
  EXPECT_EQ(one, three);
  expect_same_bits(model->parameters().grads_P(), one_P, model->parameters());
}

TEST(LmLossInputs, OutsideTheModelAreErrors) {
  const ModelConfig config = small_config();
  const auto model = lively_model(config);
  PackedDocuments rows = documents({5}, config.vocab_size);
  const LossInputs inputs = loss_inputs(rows, config);
  rows.batch.tokens_T[2] = config.vocab_size;
  EXPECT_THROW(lm_loss(*model, rows.batch, inputs), Error);
  rows.batch.tokens_T[2] = 0;
  rows.batch.positions_T[4] = config.max_position_embeddings;
  EXPECT_THROW(lm_loss(*model, rows.batch, inputs), Error);
  rows = documents({5}, config.vocab_size);
  rows.targets_T[2] = config.vocab_size;
  try {
    lm_loss(*model, rows.batch, loss_inputs(rows, config));
    FAIL() << "a target of 61 in a vocabulary of 61 passed";
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("got 61"), std::string::npos) << e.what();
  }
}

TEST(MtpTargets, AreThoseOfTheRowBehindInTheSequence) {
  const PackedDocuments rows = documents({4, 1, 3}, 50);
  EXPECT_EQ(mtp_target_counts(rows.batch, rows.targets_T, 3), (std::vector<int64_t>{2 + 0 + 1, 1, 0}));
}

TEST(MtpAgreement, CountsGuessesThatEqualTheMainHeads) {
  // A module whose block adds nothing and whose join passes the hidden state of a model without layers' influence: with eh_proj zero every
  // row's hidden state is zero, all logits are equal and both greedy tokens are 0 only where the main head says so.
  const ModelConfig config = small_config();
  const auto model = lively_model(config);
  const PackedDocuments rows = documents({30}, config.vocab_size);
  LossInputs inputs = loss_inputs(rows, config, 0);
  inputs.gradients = false;
  model->parameters().value("model.layers.3.eh_proj.weight").zero_();
  for (const char* name : {"self_attn.o_proj", "mlp.shared_experts.down_proj"})
    model->parameters().value(std::string("model.layers.3.") + name + ".weight").zero_();
  for (int64_t e = 0; e < config.n_routed_experts; ++e)
    model->parameters().value(fmt::format("model.layers.3.mlp.experts.{}.down_proj.weight", e)).zero_();
  model->parameters().value("model.norm.weight").zero_();
  model->parameters().touch();
  const LossResult result = lm_loss(*model, rows.batch, inputs);
  EXPECT_EQ(result.mtp_count[0], 28);
  EXPECT_EQ(result.mtp_agree[0], 28);
  const double uniform = std::log(double(config.vocab_size));
  EXPECT_NEAR(result.main_nll.value() / 29, uniform, 1e-6);
  EXPECT_NEAR(result.mtp_nll[0].value() / 28, uniform, 1e-6);
}

}  // namespace
}  // namespace finback
