#include "cost/serve_memory.h"

#include <gtest/gtest.h>

#include "cost/cache_bytes.h"
#include "cost/parameter_count.h"
#include "cost/program_memory.h"

namespace finback {
namespace {

ModelConfig config(const char* name) { return load_model_config(std::string("configs/models/") + name + "/config.json"); }

// Each extra cached token costs exactly its latent of every layer, MTP layers included.
TEST(ServeMemory, GrowsByTheLatentOfAToken) {
  const ModelConfig v3 = config("v3");
  EXPECT_EQ(serve_memory(v3, Precision::kF32, 1000) - serve_memory(v3, Precision::kF32, 0),
            1000.0 * double(cache_bytes_per_token(shape_of(v3), 4, true)));
  const ParameterCount size = count_parameters(shape_of(v3));
  EXPECT_EQ(serve_memory(v3, Precision::kF32, 0), kProgramBytes + 4.0 * double(size.total_with_mtp() + size.total() - size.embedding));
}

// Narrower storage saves on the panels of projections and head; the f32 weights stay, and fp8 keeps the head in bf16.
TEST(ServeMemory, StoredWeightsStandBesideTheF32Ones) {
  const ModelConfig v3 = config("v3");
  const ParameterCount size = count_parameters(shape_of(v3));
  const double head = double(size.head), wide = double(size.layers.router + size.layers.expert_bias + size.layers.norms),
               f32 = serve_memory(v3, Precision::kF32, 0);
  const double projections = double(size.total() - size.embedding) - head - wide;
  EXPECT_DOUBLE_EQ(f32 - serve_memory(v3, Precision::kBf16, 0), 2 * (head + projections));
  EXPECT_DOUBLE_EQ(f32 - serve_memory(v3, Precision::kInt8, 0), (3 - 1.0 / 16) * (head + projections));
  EXPECT_DOUBLE_EQ(f32 - serve_memory(v3, Precision::kFp8, 0), 2 * head + (3 - 1.0 / 1024) * projections);
}

}  // namespace
}  // namespace finback
