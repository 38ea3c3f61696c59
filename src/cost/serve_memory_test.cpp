#include "cost/serve_memory.h"

#include <gtest/gtest.h>

#include "cost/cache_bytes.h"
#include "cost/parameter_count.h"
#include "cost/program_memory.h"
#include "gemm/panels.h"
#include "gemm/variant.h"

namespace finback {
namespace {

ModelConfig served_config(const char* name) { return load_model_config(std::string("configs/models/") + name + "/config.json"); }

// Each extra cached token costs exactly its latent of every layer, MTP layers included. V3's matrices fill whole panels.
TEST(ServeMemory, GrowsByTheLatentOfAToken) {
  select_kernels("portable");
  const ModelConfig v3 = served_config("v3");
  EXPECT_EQ(serve_memory(v3, Precision::kF32, 1000) - serve_memory(v3, Precision::kF32, 0),
            1000.0 * double(cache_bytes_per_token(shape_of(v3), 4, true)));
  const ParameterCount count = count_parameters(shape_of(v3));
  EXPECT_EQ(serve_memory(v3, Precision::kF32, 0),
            kProgramBytes + 4.0 * double(count.total_with_mtp() + count.layers.matrices() + count.head));
}

// Narrower storage saves on the packed projections and head; the f32 weights stay, the router is packed in f32, fp8 keeps the head in bf16, and a stored
// kv_b_proj stands beside its absorbed form. MTP's modules: train/weight_memory_test.cpp.
TEST(ServeMemory, StoredWeightsStandBesideTheF32Ones) {
  select_kernels("portable");
  ModelConfig v3 = served_config("v3");
  v3.num_nextn_predict_layers = 0;
  const ParameterCount count = count_parameters(shape_of(v3));
  const double head = double(count.head), projections = double(count.layers.matrices() - count.layers.router);
  const double kv_b = 61.0 * 128 * (128 + 128) * 512, int8 = 1 + 1.0 / 16, fp8 = 1 + 4.0 / double(128 * panel_width());
  const double f32 = serve_memory(v3, Precision::kF32, 0);
  EXPECT_DOUBLE_EQ(f32 - serve_memory(v3, Precision::kBf16, 0), 2 * (head + projections) - 2 * kv_b);
  EXPECT_DOUBLE_EQ(f32 - serve_memory(v3, Precision::kInt8, 0), (4 - int8) * (head + projections) - int8 * kv_b);
  EXPECT_DOUBLE_EQ(f32 - serve_memory(v3, Precision::kFp8, 0), 2 * head + (4 - fp8) * projections - fp8 * kv_b);
}

// Plain ATen multiplies by the weights where they lie.
TEST(ServeMemory, ReferenceKernelsPackNothing) {
  select_kernels("ref");
  const ModelConfig v3 = served_config("v3");
  EXPECT_EQ(serve_memory(v3, Precision::kFp8, 0), kProgramBytes + 4.0 * double(count_parameters(shape_of(v3)).total_with_mtp()));
}

}  // namespace
}  // namespace finback
