#include "cost/serve_memory.h"

#include <gtest/gtest.h>

#include "cost/cache_bytes.h"
#include "cost/memory_parts.h"
#include "cost/parameter_count.h"
#include "cost/program_memory.h"
#include "gemm/panels.h"
#include "gemm/variant.h"

namespace finback {
namespace {

ModelConfig served_config(const char* name) { return load_model_config(std::string("configs/models/") + name + "/config.json"); }

// Each extra cached token costs exactly its latent of every layer, with those of MTP where they draft. V3's matrices fill whole panels.
TEST(ServeMemory, GrowsByTheLatentOfAToken) {
  select_kernels("portable");
  const ModelConfig v3 = served_config("v3");
  for (const bool drafts : {false, true}) {
    EXPECT_EQ(serve_memory(v3, Precision::kF32, 1000, drafts) - serve_memory(v3, Precision::kF32, 0, drafts),
              1000.0 * double(cache_bytes_per_token(shape_of(v3), 4, drafts)));
  }
  const ParameterCount count = count_parameters(shape_of(v3));
  EXPECT_EQ(serve_memory(v3, Precision::kF32, 0),
            kProgramBytes + 4.0 * double(count.total_with_mtp() + count.layers.matrices() + count.head));
}

// Of what is stored nothing stands in f32 beside it. The embedding does, norms and the router, which is packed too; fp8 keeps the head in bf16.
TEST(ServeMemory, StoredWeightsStandAlone) {
  select_kernels("portable");
  const ModelConfig v3 = served_config("v3");
  const ParameterCount count = count_parameters(shape_of(v3));
  const LayerParameters& l = count.layers;
  const double head = double(count.head), projections = double(l.matrices() - l.router);
  const double f32 = 4.0 * double(count.embedding + l.norms + l.latent_norms + l.expert_bias + 2 * l.router);
  const double fp8 = 1 + 4.0 / double(128 * panel_width()), int8 = 1 + 1.0 / 16, loading = 8.0 * double(int64_t{1} << 22);
  EXPECT_DOUBLE_EQ(serve_memory(v3, Precision::kBf16, 0), kProgramBytes + loading + f32 + 2 * (projections + head));
  EXPECT_DOUBLE_EQ(serve_memory(v3, Precision::kInt8, 0), kProgramBytes + loading + f32 + int8 * (projections + head));
  EXPECT_DOUBLE_EQ(serve_memory(v3, Precision::kFp8, 0), kProgramBytes + loading + f32 + fp8 * projections + 2 * head);
  // A small model's largest matrix is less than is brought at once.
  const ModelConfig nano = served_config("nano");
  const auto parts = memory_parts(nano, {.trains = false, .precision = Precision::kInt8, .tokens = 0});
  EXPECT_EQ(parts[3].name, "loading");
  EXPECT_EQ(parts[3].bytes, 8.0 * double(nano.vocab_size * nano.hidden_size));
  // Nothing drafts, so MTP layers have no place in the cache.
  EXPECT_EQ(serve_memory(v3, Precision::kInt8, 1000) - serve_memory(v3, Precision::kInt8, 0),
            1000.0 * double(cache_bytes_per_token(shape_of(v3), 4, false)));
}

// Plain ATen multiplies by f32 weights where they lie, and reads the same panels as any variant where they are stored.
TEST(ServeMemory, ReferenceKernelsPackNothing) {
  const ModelConfig v3 = served_config("v3");
  select_kernels("ref");
  const double f32 = serve_memory(v3, Precision::kF32, 0), bf16 = serve_memory(v3, Precision::kBf16, 0);
  EXPECT_EQ(f32, kProgramBytes + 4.0 * double(count_parameters(shape_of(v3)).total_with_mtp()));
  select_kernels("portable");
  EXPECT_EQ(serve_memory(v3, Precision::kBf16, 0) - bf16, 4.0 * double(count_parameters(shape_of(v3)).layers.router));
}

}  // namespace
}  // namespace finback
