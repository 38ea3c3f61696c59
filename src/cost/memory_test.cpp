#include "cost/memory.h"

#include <gtest/gtest.h>

#include "cost/flops.h"
#include "cost/model_size.h"

namespace finback {
namespace {

ModelConfig config(const char* name) { return load_model_config(std::string("configs/models/") + name + "/config.json"); }

// f32 weights and gradients, two f32 moments: 16 bytes a parameter, whatever the batch.
TEST(TrainMemory, SixteenBytesAParameterAndActivationsByTheToken) {
  const ModelConfig v3 = config("v3");
  const TrainMemory one = train_memory(v3, 1), many = train_memory(v3, 4096);
  EXPECT_EQ(one.weights + one.gradients + one.optimizer, 16.0 * double(model_size(v3).total()));
  EXPECT_EQ(many.weights, one.weights);
  EXPECT_DOUBLE_EQ(many.activations, 4096 * one.activations);
  EXPECT_EQ(one.total(), one.weights + one.gradients + one.optimizer + one.packed_weights + one.activations);
}

// Each extra cached token costs exactly its latent of every layer, MTP layers included.
TEST(ServeMemory, GrowsByTheLatentOfAToken) {
  const ModelConfig v3 = config("v3");
  EXPECT_EQ(serve_memory(v3, 1, 1000) - serve_memory(v3, 1, 0), 1000.0 * double(cache_bytes_per_token(v3, 4, true)));
  EXPECT_EQ(serve_memory(v3, 1, 0), double(model_size(v3).total()));
}

}  // namespace
}  // namespace finback
