// The counted bytes of weights, gradients and packed copies (cost/train_memory.h, cost/memory_parts.h) against what the allocator hands out, for every kernel
// variant of this machine.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "cost/memory_parts.h"
#include "cost/train_memory.h"
#include "kernels/op_check.h"
#include "model/checkpoint.h"
#include "model/rope_table.h"
#include "model/stored_model.h"
#include "model/test_models.h"
#include "train/live_bytes.h"

namespace finback {
namespace {

using test::documents;
using test::small_config;

// Sizes that no panel, tile or block divides; then those that some do; no compression of queries, no MTP, a tied head, dense layers only.
std::vector<ModelConfig> configs() {
  return {small_config(),
          small_config(R"({"hidden_size": 160, "moe_intermediate_size": 144, "intermediate_size": 300, "vocab_size": 257})"),
          small_config(R"({"q_lora_rank": null, "num_nextn_predict_layers": 0, "tie_word_embeddings": true})"),
          small_config(R"({"n_shared_experts": 0, "first_k_dense_replace": 0, "num_nextn_predict_layers": 2})"),
          small_config(R"({"n_routed_experts": null})")};
}

int64_t rope_bytes(const ModelConfig& config) { return int64_t(rope_table(config, at::kCPU).nbytes()); }

// What is left of a model after a step: nothing of the pass itself.
int64_t bytes_after_a_step(const ModelConfig& config, Precision precision) {
  const int64_t before = live_tensor_bytes();
  Transformer model(config, at::kCPU, /*trainable=*/true);
  test::make_lively(model.parameters(), 5);
  model.set_precision({precision, precision, {}});
  {
    const test::PackedDocuments rows = documents({20, 13}, config.vocab_size);
    lm_loss(model, rows.batch, test::loss_inputs(rows, config));
  }
  return live_tensor_bytes() - before;
}

int64_t bytes_after_serving(const std::filesystem::path& folder, const ModelConfig& config, Precision storage, bool drafts) {
  const at::NoGradGuard no_grad;
  const int64_t before = live_tensor_bytes();
  const auto model = storage == Precision::kF32 ? load_model(folder, at::kCPU, /*trainable=*/false)
                                                : load_stored_model(folder, storage, drafts ? config.num_nextn_predict_layers : 0);
  {
    const test::PackedDocuments rows = documents({20, 13}, model->config().vocab_size);
    ForwardOptions options;
    options.algebra = MlaAlgebra::kAbsorbed;
    Transformer::Mtp below{rows.batch, {}, model->forward(rows.batch, options)};
    model->logits(below.hidden_TD);
    for (int64_t k = 0; drafts && k < config.num_nextn_predict_layers; ++k) {
      below = model->mtp_forward(k, below.batch, below.hidden_TD, options);
    }
  }
  return live_tensor_bytes() - before;
}

TEST(WeightMemory, TrainingPacksWhatIsCounted) {
  count_tensor_bytes();
  for (const ModelConfig& config : configs()) {
    SCOPED_TRACE(dump_json_line(dump_model_config(config)));
    for (const Precision precision : {Precision::kF32, Precision::kBf16, Precision::kFp8}) {
      SCOPED_TRACE(precision_name(precision));
      for_each_variant([&] {
        const TrainMemory counted = train_memory(config, 33, precision);
        EXPECT_EQ(double(bytes_after_a_step(config, precision) - rope_bytes(config)),
                  counted.weights + counted.gradients + counted.packed_weights);
      });
    }
  }
}

TEST(WeightMemory, ServingStoresWhatIsCounted) {
  count_tensor_bytes();
  for (const ModelConfig& config : configs()) {
    SCOPED_TRACE(dump_json_line(dump_model_config(config)));
    const std::filesystem::path folder = std::filesystem::temp_directory_path() / fmt::format("finback_weight_memory_test_{}", getpid());
    save_model(folder, *test::lively_model(config, false), {});
    for (const Precision storage : {Precision::kF32, Precision::kBf16, Precision::kInt8, Precision::kFp8}) {
      SCOPED_TRACE(precision_name(storage));
      for_each_variant([&] {
        for (const bool drafts : {false, true}) {
          const std::vector<MemoryPart> parts =
              memory_parts(config, {.trains = false, .precision = storage, .tokens = 0, .drafts = drafts});
          ASSERT_TRUE(parts[0].name == "weights" && parts[1].name == "packed_weights");
          EXPECT_EQ(double(bytes_after_serving(folder, config, storage, drafts) - rope_bytes(config)), parts[0].bytes + parts[1].bytes);
        }
      });
    }
    std::filesystem::remove_all(folder);
  }
}

}  // namespace
}  // namespace finback
