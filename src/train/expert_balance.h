// Aux-loss-free load balancing (V3 section 2.1.2): int64 token counts of every MoE layer over a whole optimizer step, and the update of the
// selection biases from them. MTP layers count like the others. Knows no forward pass and no gradients.
#pragma once
#include <cstdint>
#include <vector>

#include "model/forward_pass.h"
#include "model/parameters.h"

namespace finback {

// Tokens routed to each expert of one MoE layer.
struct LayerLoad {
  int64_t layer = 0;            // as in the checkpoint's names; MTP layers are L, L + 1, ...
  std::vector<int64_t> counts;  // [E]
};

// Adds a micro-batch. The first call fixes the layers; later ones must bring the same, in the same order.
void add_counts(std::vector<LayerLoad>& loads, const RouterLog& log);

// b_e += gamma * sign(mean - c_e), sign(0) = 0, decided in integers; then the update's own mean is taken out, so that the biases do not
// drift together (differs from V3, whose published rule is not centred; selection only sees differences of b). gamma is V3's 0.001.
std::vector<float> centred_bias_update(const std::vector<int64_t>& counts, double gamma);
// Applies it to e_score_correction_bias of every layer in `loads`.
void update_expert_bias(Parameters& parameters, const std::vector<LayerLoad>& loads, double gamma);

// "model.layers.3.mlp.gate.e_score_correction_bias".
std::string expert_bias_name(int64_t layer);

}  // namespace finback
