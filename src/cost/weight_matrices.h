// The weight matrices of a transformer's layers: the one list from which parameters, FLOPs and the bytes of packed weights are counted. The embedding is
// looked up and not in it; norm weights and biases are no matrices. Knows no dtypes.
#pragma once
#include <vector>

#include "cost/model_shape.h"

namespace finback {

// W [n, k] of y = x W^T.
struct WeightMatrix {
  int64_t n = 0, k = 0;
  int64_t stored = 1, used = 1;  // matrices of this shape in a layer, and how many of them a token multiplies (K of E experts)
};

// Of one layer. MLA: q_proj, or q_a_proj and q_b_proj; kv_a_proj, kv_b_proj, o_proj. Others: queries, keys and values as one, o_proj.
std::vector<WeightMatrix> attention_matrices(const ModelShape& shape);
// The same in MLA's absorbed form, which decodes over the latent cache: kv_b_proj is a W_UK^T and a W_UV for each head. Others: as above.
std::vector<WeightMatrix> absorbed_attention_matrices(const ModelShape& shape);
// Gate and up as one, then down.
std::vector<WeightMatrix> dense_ffn_matrices(const ModelShape& shape);
std::vector<WeightMatrix> routed_expert_matrices(const ModelShape& shape);
// The shared experts are stored as one FFN of their joint width; none: an empty list.
std::vector<WeightMatrix> shared_expert_matrices(const ModelShape& shape);
WeightMatrix kv_b_proj_matrix(const ModelShape& shape);  // of MLA
WeightMatrix router_matrix(const ModelShape& shape);
WeightMatrix eh_proj_matrix(const ModelShape& shape);  // of an MTP module: joins hidden state and embedding
WeightMatrix head_matrix(const ModelShape& shape);     // tied or not

int64_t stored_parameters_of(const std::vector<WeightMatrix>& matrices);

}  // namespace finback
