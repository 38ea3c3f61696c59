// Parameters of a transformer by what they are: the one count of trainer, planner and `finback inspect`. Spec section 1.2's formulas, to the integer:
// V3 has 671,026,419,200 without its MTP module, of which a token uses 36,625,618,432 (head included, embedding left out). Knows no bytes.
#pragma once
#include <cstdint>

#include "cost/model_shape.h"

namespace finback {

// Of all layers, or of all MTP modules.
struct LayerParameters {
  int64_t attention = 0, mixer = 0, dense_ffn = 0, routed_experts = 0, shared_experts = 0, router = 0, eh_proj = 0;  // matrices
  int64_t active_routed = 0;  // of K of the E experts
  int64_t norms = 0;          // RMSNorm weights but those of the latents; of the layers: the final norm too
  int64_t latent_norms = 0;   // of MLA's compressed queries and key-values
  int64_t expert_bias = 0;    // e_score_correction_bias
  int64_t matrices() const { return attention + mixer + dense_ffn + routed_experts + shared_experts + router + eh_proj; }
  int64_t total() const { return matrices() + norms + latent_norms + expert_bias; }
  // Matrices that a token multiplies.
  int64_t matmul() const { return matrices() - routed_experts + active_routed; }
};

struct ParameterCount {
  int64_t embedding = 0;
  int64_t head = 0;  // the matrix that makes logits; when tied it is the embedding and stored once
  bool tied = false;
  LayerParameters layers;
  int64_t mtp_modules = 0;
  LayerParameters mtp;  // each reads the main model's embedding and head

  int64_t stored_head() const { return tied ? 0 : head; }
  // Stored, without MTP modules: what is published as a model's size.
  int64_t total() const { return embedding + stored_head() + layers.total(); }
  int64_t total_with_mtp() const { return total() + mtp.total(); }
  // Used by a token: the head, but not the embedding (a lookup); MTP apart. Published as active parameters.
  int64_t active() const { return layers.total() - layers.routed_experts + layers.active_routed + head; }
  // Of the active ones those in matrices, which FLOPs are counted from; a head for each MTP module too.
  int64_t matmul(bool with_mtp) const { return layers.matmul() + head + (with_mtp ? mtp.matmul() + mtp_modules * head : 0); }
};
// REQUIRES: a shape that check_countable passes; what load_model_config and the shape table return does.
ParameterCount count_parameters(const ModelShape& shape);

// Throws Error unless the shape's parameters are fewer than can be counted exactly, whole numbers and doubles alike.
inline constexpr double kMostParameters = 1e15;
void check_countable(const ModelShape& shape);

// Matrix parameters of one layer's part.
int64_t attention_parameters(const ModelShape& shape);
int64_t dense_ffn_parameters(const ModelShape& shape);
int64_t expert_parameters(const ModelShape& shape);  // one expert

}  // namespace finback
