#include "model/transformer.h"

#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "gemm/variant.h"
#include "model/mtp.h"
#include "model/test_models.h"

namespace finback {
namespace {

using namespace test;

at::Tensor logits_of(Transformer& model, const Batch& batch, MlaAlgebra algebra) {
  const at::NoGradGuard no_grad;
  ForwardOptions options;
  options.algebra = algebra;
  return model.logits(model.forward(batch, options));
}

constexpr MlaAlgebra kBoth[] = {MlaAlgebra::kExpanded, MlaAlgebra::kAbsorbed};

TEST(Transformer, BothAlgebrasAgreeToRounding) {
  for (const char* changes : {"{}", R"({"q_lora_rank": null, "rope_interleave": false})"}) {
    const auto model = lively_model(small_config(changes), false);
    const PackedDocuments rows = documents({70, 1, 9}, 61);
    const at::Tensor expanded = logits_of(*model, rows.batch, kBoth[0]), absorbed = logits_of(*model, rows.batch, kBoth[1]);
    EXPECT_LT(relative_l2(absorbed, expanded), 3e-6);
    EXPECT_GT(relative_l2(absorbed, expanded), 0);
  }
}

TEST(Transformer, ADocumentDoesNotFeelTheOthers) {
  const auto model = lively_model(small_config(), false);
  PackedDocuments rows = documents({11, 17, 5}, 61);
  for (const MlaAlgebra algebra : kBoth) {
    const at::Tensor before = logits_of(*model, rows.batch, algebra);
    PackedDocuments changed = documents({11, 17, 5}, 61);
    changed.batch.tokens_T.slice(0, 11, 28).fill_(3);
    const at::Tensor after = logits_of(*model, changed.batch, algebra);
    EXPECT_LT(relative_l2(after.slice(0, 0, 11), before.slice(0, 0, 11)), 1e-6);
    EXPECT_LT(relative_l2(after.slice(0, 28), before.slice(0, 28)), 1e-6);
    EXPECT_GT(relative_l2(after.slice(0, 11, 28), before.slice(0, 11, 28)), 1e-2);
  }
}

TEST(Transformer, ATokenDoesNotFeelLaterOnes) {
  const auto model = lively_model(small_config(), false);
  const PackedDocuments rows = documents({30}, 61);
  for (const MlaAlgebra algebra : kBoth) {
    const at::Tensor before = logits_of(*model, rows.batch, algebra);
    PackedDocuments changed = documents({30}, 61);
    changed.batch.tokens_T.slice(0, 20).fill_(3);
    EXPECT_LT(relative_l2(logits_of(*model, changed.batch, algebra).slice(0, 0, 20), before.slice(0, 0, 20)), 1e-6);
  }
}

// One sequence through the cache in chunks of the given sizes; pages are taken out of order.
at::Tensor logits_in_chunks(Transformer& model, const Batch& whole, const std::vector<int64_t>& chunks) {
  const at::NoGradGuard no_grad;
  KvCache cache(model.config(), 5, at::kCPU);
  cache.pages_XLPY.fill_(std::numeric_limits<float>::quiet_NaN());  // what nobody wrote must not be read
  ForwardOptions options;
  options.algebra = MlaAlgebra::kAbsorbed;
  options.cache = &cache;
  std::vector<at::Tensor> logits;
  int64_t cached = 0;
  for (const int64_t rows : chunks) {
    Batch batch;
    batch.tokens_T = whole.tokens_T.slice(0, cached, cached + rows);
    batch.positions_T = whole.positions_T.slice(0, cached, cached + rows);
    Sequence sequence;
    sequence.rows = rows;
    sequence.pages = {3, 1, 4};
    sequence.cached_tokens = cached;
    if (cached > 0) sequence.keys.push_back({KeySegment::Where::kCache, 0, cached});
    sequence.keys.push_back({KeySegment::Where::kBatch, 0, rows});
    batch.sequences = {sequence};
    logits.push_back(model.logits(model.forward(batch, options)));
    cached += rows;
  }
  return at::cat(logits, 0);
}

TEST(Transformer, ChunksThroughTheCacheEqualOneForward) {
  const std::string before = kernel_label();
  for (const char* kernels : {"ref", "auto"}) {
    select_kernels(kernels);
    const auto model = lively_model(small_config(), false);
    const PackedDocuments rows = documents({150}, 61);
    const at::Tensor whole = logits_of(*model, rows.batch, MlaAlgebra::kAbsorbed);
    for (const std::vector<int64_t>& chunks : {std::vector<int64_t>{150}, {64, 64, 22}, {1, 99, 1, 1, 48}}) {
      const at::Tensor cut = logits_in_chunks(*model, rows.batch, chunks);
      EXPECT_LT(relative_l2(cut, whole), 1e-5);
      if (std::string(kernels) == "auto") {
        EXPECT_TRUE(at::equal(cut, whole)) << "kernels " << kernel_label() << ", first chunk " << chunks[0];
      }
    }
  }
  select_kernels(before);
}

TEST(Transformer, ASequenceHasTheSameBitsInAnyBatch) {
  const auto model = lively_model(small_config(), false);
  const PackedDocuments alone = documents({33}, 61), crowd = documents({33, 70, 2}, 61);
  for (const MlaAlgebra algebra : kBoth) {
    EXPECT_TRUE(at::equal(logits_of(*model, alone.batch, algebra), logits_of(*model, crowd.batch, algebra).slice(0, 0, 33)));
  }
}

// Experts in another order, with their gate rows and biases: the same function.
TEST(Transformer, ExpertsMayBePermutedWithinAGroup) {
  const ModelConfig config = small_config();
  const auto model = lively_model(config, false), permuted = lively_model(config, false);
  Parameters& parameters = permuted->parameters();
  const auto swap_rows = [](const at::Tensor& t, int64_t a, int64_t b) {
    const at::Tensor keep = t[a].clone();
    t[a].copy_(t[b]);
    t[b].copy_(keep);
  };
  for (const int64_t layer : {1, 2}) {
    const std::string p = fmt::format("model.layers.{}.mlp.", layer);
    swap_rows(parameters.value(p + "gate.weight"), 4, 5);
    swap_rows(parameters.buffer(p + "gate.e_score_correction_bias"), 4, 5);
    swap_rows(parameters.stacked_gate_up(p + "experts.", false), 4, 5);
    swap_rows(parameters.stacked_down(p + "experts.", false), 4, 5);
  }
  parameters.touch();
  const PackedDocuments rows = documents({40}, 61);
  EXPECT_LT(relative_l2(logits_of(*permuted, rows.batch, kBoth[0]), logits_of(*model, rows.batch, kBoth[0])), 3e-6);
}

TEST(Transformer, RoutesEveryTokenWhateverTheLoad) {
  const ModelConfig config = small_config(R"({"n_group": 1, "topk_group": 1})");
  const auto model = lively_model(config);
  const at::Tensor bias = model->parameters().buffer("model.layers.1.mlp.gate.e_score_correction_bias");
  bias.zero_();
  bias.slice(0, 0, 3).fill_(10);  // all tokens to experts 0, 1, 2
  const PackedDocuments rows = documents({25, 8}, 61);
  const LossResult result = lm_loss(*model, rows.batch, loss_inputs(rows, config));
  ASSERT_EQ(result.router.layers.size(), 3u);  // layers 1, 2 and the MTP module
  const RouterLog::Layer& first = result.router.layers[0];
  EXPECT_EQ(first.layer, 1);
  for (int64_t e = 0; e < 8; ++e) EXPECT_EQ(first.counts_E[e].item<int64_t>(), e < 3 ? 33 : 0);
  EXPECT_EQ(result.router.layers[1].counts_E.sum().item<int64_t>(), 33 * 3);
  EXPECT_EQ(result.router.layers[2].layer, 3);
  EXPECT_EQ(result.router.layers[2].counts_E.sum().item<int64_t>(), 31 * 3);
  EXPECT_EQ(model->parameters().grad("model.layers.1.mlp.experts.5.down_proj.weight").abs().max().item<float>(), 0);
  EXPECT_GT(model->parameters().grad("model.layers.1.mlp.experts.2.down_proj.weight").abs().max().item<float>(), 0);
}

TEST(Transformer, TheSelectionBiasNeverEntersAWeight) {
  // A bias that selects the same experts for every token leaves the outputs as they were.
  const ModelConfig config = small_config(R"({"n_group": 1, "topk_group": 1})");
  const auto model = lively_model(config, false);
  const PackedDocuments rows = documents({12}, 61);
  const auto set_bias = [&](float value) {
    for (const ParameterSpec& spec : model->parameters().buffers())
      model->parameters().buffer(spec.name).zero_().slice(0, 2, 5).fill_(value);
  };
  set_bias(10);
  const at::Tensor ten = logits_of(*model, rows.batch, kBoth[0]);
  set_bias(20);
  EXPECT_TRUE(at::equal(ten, logits_of(*model, rows.batch, kBoth[0])));
}

TEST(MtpRowsOf, DropTheLastRowOfEachSequence) {
  PackedDocuments rows = documents({4, 1, 3}, 61);
  rows.batch.balance_starts = {0, 5, 8};
  const MtpRows depth = mtp_rows(rows.batch);
  EXPECT_TRUE(at::equal(depth.rows, at::tensor({0, 1, 2, 5, 6}, at::kLong)));
  EXPECT_TRUE(at::equal(depth.batch.tokens_T, rows.batch.tokens_T.index_select(0, depth.rows + 1)));
  EXPECT_TRUE(at::equal(depth.batch.positions_T, at::tensor({0, 1, 2, 0, 1}, at::kLong)));
  EXPECT_EQ(depth.batch.balance_starts, (std::vector<int64_t>{0, 3, 5}));
  ASSERT_EQ(depth.batch.sequences.size(), 3u);
  EXPECT_EQ(depth.batch.sequences[1].rows, 0);
  EXPECT_EQ(depth.batch.sequences[2].first_row, 3);
  EXPECT_EQ(depth.batch.sequences[2].keys[0].begin, 3);
  EXPECT_EQ(depth.batch.sequences[2].keys[0].count, 2);
}

// An MTP module over its own cache, in two calls that overlap by the row whose next token was not known: the same hidden states, and the
// same bits but in the references.
TEST(Mtp, ThroughTheCacheEqualsTheWholeSequence) {
  const ModelConfig config = small_config();
  const auto model = lively_model(config, false);
  const at::NoGradGuard no_grad;
  const PackedDocuments rows = documents({90}, 61);
  ForwardOptions options;
  options.algebra = MlaAlgebra::kAbsorbed;
  const at::Tensor hidden_TD = model->forward(rows.batch, options);
  const at::Tensor whole = model->mtp_forward(0, rows.batch, hidden_TD, options).hidden_TD;
  KvCache cache(config, 2, at::kCPU, /*mtp_depths=*/1);
  cache.pages_XLPY.fill_(std::numeric_limits<float>::quiet_NaN());
  options.cache = &cache;
  std::vector<at::Tensor> parts;
  for (const auto& [begin, end] : {std::pair<int64_t, int64_t>{0, 50}, {49, 90}}) {
    Batch batch;
    batch.tokens_T = rows.batch.tokens_T.slice(0, begin, end);
    batch.positions_T = rows.batch.positions_T.slice(0, begin, end);
    Sequence sequence;
    sequence.rows = end - begin;
    sequence.pages = {1, 0};
    sequence.cached_tokens = begin;
    if (begin > 0) sequence.keys.push_back({KeySegment::Where::kCache, 0, begin});
    sequence.keys.push_back({KeySegment::Where::kBatch, 0, end - begin});
    batch.sequences = {sequence};
    parts.push_back(model->mtp_forward(0, batch, hidden_TD.slice(0, begin, end), options).hidden_TD);
  }
  EXPECT_LT(relative_l2(at::cat(parts, 0), whole), 1e-5);
  if (kernel_label() != "ref") {
    EXPECT_TRUE(at::equal(at::cat(parts, 0), whole));
  }
  // The latent of a row lies at the slot of the token that it consumed, one behind the row's own.
  EXPECT_TRUE(cache.pages_XLPY[1][3][0].isnan().all().item<bool>());
  EXPECT_FALSE(cache.pages_XLPY[1][3][1].isnan().any().item<bool>());
}

bool is_stored(const ParameterSpec& spec) {
  return spec.shape.size() >= 2 && spec.name != "model.embed_tokens.weight" && !spec.name.ends_with("mlp.gate.weight");
}

// Stored weights are the f32 model of the numbers stored; bf16 numbers do not depend on how a matrix is cut into blocks.
TEST(Transformer, StoredWeightsHaveTheBitsOfTheNumbersStored) {
  const auto stored = lively_model(small_config(), false), rounded = lively_model(small_config(), false);
  stored->store_weights(Precision::kBf16);
  for (const ParameterSpec& spec : rounded->parameters().specs()) {
    const at::Tensor value = rounded->parameters().value(spec.name);
    if (is_stored(spec)) value.copy_(value.to(at::kBFloat16));
  }
  rounded->parameters().touch();
  const PackedDocuments rows = documents({19, 1, 4}, 61);
  for (const MlaAlgebra algebra : kBoth) {
    const at::Tensor logits_TW = logits_of(*stored, rows.batch, algebra);
    EXPECT_TRUE(at::equal(logits_TW, logits_of(*rounded, rows.batch, algebra)));
    EXPECT_GT(relative_l2(logits_TW, logits_of(*lively_model(small_config(), false), rows.batch, algebra)), 1e-4);
  }
}

// Without a router: another choice of an expert is a jump.
TEST(Transformer, StoredWeightsStayNearTheF32Model) {
  const ModelConfig dense = small_config(R"({"first_k_dense_replace": 3, "num_nextn_predict_layers": 0})");
  const PackedDocuments rows = documents({19, 4}, 61);
  const auto f32 = lively_model(dense, false);
  const at::Tensor exact_TW = logits_of(*f32, rows.batch, MlaAlgebra::kAbsorbed);
  for (const auto& [storage, limit] : {std::pair{Precision::kInt8, 0.02}, std::pair{Precision::kFp8, 0.15}}) {
    const auto model = lively_model(dense, false);
    model->store_weights(storage);
    const double distance = relative_l2(logits_of(*model, rows.batch, MlaAlgebra::kAbsorbed), exact_TW);
    EXPECT_LT(distance, limit);
    EXPECT_GT(distance, 1e-4);
  }
}

}  // namespace
}  // namespace finback
