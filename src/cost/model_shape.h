// A transformer's shape as cost sees it: enough to count work and bytes of dense and MoE models with MHA, GQA, MQA or MLA, windows and hybrids. Wider
// than model/model_config.h, because plans are checked against other people's models too. Pure counting: no time, no hardware.
// One multiply-add is 2 FLOPs; norms, activations, softmax and the embedding lookup are left out; training = 3 x forward.
#pragma once
#include <cstdint>
#include <string>

#include "model/model_config.h"

namespace finback {

struct ModelShape {
  std::string name;
  int64_t layers = 0, d_model = 0;
  int64_t heads = 0, kv_heads = 0, head_dim = 0, value_dim = 0;  // head_dim: of query and key; of MLA nope + rope
  int64_t q_rank = 0, kv_rank = 0, rope_dim = 0;                 // MLA when kv_rank > 0
  int64_t d_ffn = 0;
  bool gated = true;
  int64_t dense_layers = 0;  // of an MoE model: layers with a dense FFN
  int64_t experts = 0, top_k = 0, shared_experts = 0, d_expert = 0;
  int64_t vocab = 0;
  bool tied = false;
  int64_t mtp = 0;                               // multi-token-prediction depths
  int64_t window = 0;                            // causal window of a share of the layers; 0: none
  double window_share = 0;                       //
  int64_t attention_layers = 0, ffn_layers = 0;  // usually both `layers`; fewer in hybrids
  int64_t mixer_layers = 0, mixer_matmul = 0;    // state-space mixers: layers, matrix parameters of each

  bool is_mla() const { return kv_rank > 0; }
  bool is_moe() const { return experts > 0; }
  int64_t moe_layers() const { return is_moe() ? ffn_layers - dense_layers : 0; }
  int64_t plain_ffn_layers() const { return ffn_layers - moe_layers(); }
};

ModelShape shape_of(const ModelConfig& config);

// Matrix parameters of one layer's part.
int64_t attention_parameters(const ModelShape& shape);
int64_t dense_ffn_parameters(const ModelShape& shape);
int64_t expert_parameters(const ModelShape& shape);  // one expert

struct ParameterCount {
  double total = 0;   // every weight that is stored, MTP depths apart
  double active = 0;  // matrix parameters a token multiplies (head in, embedding table out), MTP apart
  double mtp_total = 0, mtp_active = 0;
};
ParameterCount count_parameters(const ModelShape& shape);

// Mean keys that a token sees at `seq_len`, mean over the layers' windows. causal: s / 2, else s (windows are causal in both).
double visible_keys(const ModelShape& shape, double seq_len, bool causal);
// 6 P_mm + 6 L h (d_qk + d_v) K, in FLOPs a trained token.
double train_flops(const ModelShape& shape, double seq_len, bool causal, bool with_mtp);

}  // namespace finback
