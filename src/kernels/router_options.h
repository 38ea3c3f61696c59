// What a config says of the MoE gate, in numbers: shared by the op and by its scalar code. Knows no tensors.
#pragma once
#include <cstdint>

namespace finback {

struct RouterOptions {
  int64_t num_experts_per_tok = 1;
  int64_t n_group = 1, topk_group = 1;
  bool sigmoid = true;         // scoring_func: sigmoid (V3) or softmax (V2)
  bool group_sum_top2 = true;  // group score: sum of the two best (noaux_tc) or the best (group_limited_greedy)
  bool norm_topk_prob = true;  // divide by (sum of the chosen + 1e-20)
  double routed_scaling_factor = 1.0;
};

}  // namespace finback
