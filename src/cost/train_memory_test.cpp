#include "cost/train_memory.h"

#include <gtest/gtest.h>

#include "cost/parameter_count.h"

namespace finback {
namespace {

ModelConfig trained_config(const char* name) { return load_model_config(std::string("configs/models/") + name + "/config.json"); }

// f32 weights and gradients, two f32 moments: 16 bytes a parameter, whatever the batch; an expert bias has neither gradient nor moments. The MTP module uses the embedding and the head once
// more, each with a gradient buffer of its own.
TEST(TrainMemory, SixteenBytesAParameterAndActivationsByTheToken) {
  const ModelConfig v3 = trained_config("v3");
  const TrainMemory one = train_memory(v3, 1), many = train_memory(v3, 4096);
  const double table = double(v3.vocab_size * v3.hidden_size), biases = 59 * 256;
  EXPECT_EQ(one.weights + one.gradients + one.optimizer,
            16.0 * double(count_parameters(shape_of(v3)).total_with_mtp()) - 12 * biases + 4 * 2 * table);
  EXPECT_EQ(many.weights, one.weights);
  EXPECT_DOUBLE_EQ(many.activations, 4096 * one.activations);
  EXPECT_EQ(one.total(), one.weights + one.gradients + one.optimizer + one.packed_weights + one.activations + one.working + kProgramBytes);
}

// By hand, for one dense layer with D 2, H 1, Q 4, C 8, R 2, N 16, V 32, I 64.
TEST(TrainMemory, CountsWhatALayerKeeps) {
  const ModelConfig tiny = parse_model_config(
      parse_json(R"({"model_type": "deepseek_v3", "vocab_size": 10, "hidden_size": 2, "num_hidden_layers": 1, "num_attention_heads": 1,
    "q_lora_rank": 4, "kv_lora_rank": 8, "qk_nope_head_dim": 16, "qk_rope_head_dim": 2, "v_head_dim": 32, "intermediate_size": 64,
    "n_routed_experts": null, "num_nextn_predict_layers": 0, "tie_word_embeddings": true})",
                 "tiny"),
      "tiny");
  // x, n and their norm's statistic; q_a, cq, its statistic, q; kv_a, c, its statistic, kv; o, log-sum-exp.
  const double attention = 2 + 2 + 1 + 4 + 4 + 1 + 18 + 10 + 8 + 1 + 48 + 32 + 1;
  const double ffn = 2 + 2 + 1 + 64 + 64 + 64;    // x, n, statistic, gate, up, product
  const double head = 2 + 1 + 2 + 2 + 1 + 1 + 2;  // x, statistic, n, its gradient, loss, log-sum-exp, greedy token
  const double narrow = 4 * (2 + 1 + 4 + 1 + 10 + 1 + 32 + 1) + 4 * (2 + 1) + 4 * head;  // what stays f32
  EXPECT_EQ(train_memory(tiny, 3).activations, 4 * 3 * (attention + ffn + head));
  EXPECT_EQ(train_memory(tiny, 3, Precision::kBf16).activations, 3 * (narrow + 2 * (2 + 4 + 8 + 2 + 128)));
  EXPECT_EQ(train_memory(tiny, 3, Precision::kFp8).activations,
            3 * (narrow + (2 + 4 + 8 + 2 + 128) + 5 * 4));  // a scale for each row of up to 128
  EXPECT_EQ(train_memory(tiny, 3).gradients,
            4 * double(count_parameters(shape_of(tiny)).total_with_mtp()) + 4 * 10 * 2);  // a tied head's own buffer
}

// What `finback bench step --batch-tokens 2048` counted at the allocator (backward_bytes a token) and its growth of peak memory a token between 2,048 and 8,192
// tokens; Intel Xeon, avx512_fp16.
TEST(TrainMemory, KeepsWhatTheAllocatorCounted) {
  struct Row {
    const char* name;
    Precision precision;
    double kept, growth;
  };
  for (const Row& row : {Row{"nano", Precision::kF32, 48390.5, 53.5e3}, Row{"nano", Precision::kBf16, 24026.8, 31.0e3},
                         Row{"nano", Precision::kFp8, 20969.1, 26.6e3}, Row{"tiny", Precision::kF32, 166448.5, 185.9e3},
                         Row{"tiny", Precision::kBf16, 72296.5, 95.7e3}, Row{"tiny", Precision::kFp8, 62210.2, 82.2e3}}) {
    const TrainMemory token = train_memory(trained_config(row.name), 1, row.precision);
    EXPECT_NEAR(token.activations / row.kept, 1, 0.003) << row.name << " " << precision_name(row.precision);
    EXPECT_NEAR(token.working / (row.growth - row.kept), 1, 0.17) << row.name << " " << precision_name(row.precision);
  }
}

}  // namespace
}  // namespace finback
