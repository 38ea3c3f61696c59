#include "cost/memory.h"

#include <gtest/gtest.h>

#include "cost/flops.h"
#include "cost/model_size.h"

namespace finback {
namespace {

ModelConfig config(const char* name) { return load_model_config(std::string("configs/models/") + name + "/config.json"); }

// f32 weights and gradients, two f32 moments: 16 bytes a parameter, whatever the batch. The MTP module uses the embedding and the head once
// more, each with a gradient buffer of its own.
TEST(TrainMemory, SixteenBytesAParameterAndActivationsByTheToken) {
  const ModelConfig v3 = config("v3");
  const TrainMemory one = train_memory(v3, 1), many = train_memory(v3, 4096);
  const double table = double(v3.vocab_size * v3.hidden_size);
  EXPECT_EQ(one.weights + one.gradients + one.optimizer, 16.0 * double(model_size(v3).total()) + 4 * 2 * table);
  EXPECT_EQ(many.weights, one.weights);
  EXPECT_DOUBLE_EQ(many.activations, 4096 * one.activations);
  EXPECT_EQ(one.total(), one.weights + one.gradients + one.optimizer + one.packed_weights + one.activations);
}

// By hand, for one dense layer with D 2, H 1, Q 4, C 8, R 2, N 16, V 32, I 64.
TEST(TrainMemory, CountsWhatALayerKeeps) {
  const ModelConfig tiny = parse_model_config(
      parse_json(R"({"model_type": "deepseek_v3", "vocab_size": 10, "hidden_size": 2, "num_hidden_layers": 1, "num_attention_heads": 1,
    "q_lora_rank": 4, "kv_lora_rank": 8, "qk_nope_head_dim": 16, "qk_rope_head_dim": 2, "v_head_dim": 32, "intermediate_size": 64,
    "n_routed_experts": null, "num_nextn_predict_layers": 0, "tie_word_embeddings": true})",
                 "tiny"),
      "tiny");
  const double attention = 2 + 2 + 4 + 4 + 18 + 10 + 8 + 48 + 32 + 1;  // x, n, q_a, cq, q, kv_a, c, kv, o, log-sum-exp
  const double ffn = 2 + 2 + 64 + 64 + 64, final_norm = 2;             // x, n, gate, up, product
  EXPECT_EQ(train_memory(tiny, 3).activations, 4 * 3 * (attention + ffn + final_norm));
  EXPECT_EQ(train_memory(tiny, 3).gradients, 4 * double(model_size(tiny).total()) + 4 * 10 * 2);  // a tied head's own buffer
}

// Each extra cached token costs exactly its latent of every layer, MTP layers included.
TEST(ServeMemory, GrowsByTheLatentOfAToken) {
  const ModelConfig v3 = config("v3");
  EXPECT_EQ(serve_memory(v3, 1, 1000) - serve_memory(v3, 1, 0), 1000.0 * double(cache_bytes_per_token(v3, 4, true)));
  const ModelSize size = model_size(v3);
  EXPECT_EQ(serve_memory(v3, 1, 0), double(size.total()) + 4.0 * double(size.total_without_mtp() - size.embedding));
}

}  // namespace
}  // namespace finback
