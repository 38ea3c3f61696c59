// The options of one forward pass, what it logs, and what every layer of it reads: positions, the RoPE table, who attends to whom, in
// tensors on the model's device. Built once a batch, shared by the layers and kept alive by their backward closures. Data only.
#pragma once
#include <ATen/core/Tensor.h>

#include <memory>
#include <vector>

#include "kernels/latent_attention.h"
#include "kernels/quantized_linear.h"
#include "model/batch.h"
#include "model/kv_cache.h"

namespace finback {

class PrecisionAudit;

enum class MlaAlgebra { kExpanded, kAbsorbed };

// What the MoE layers of one forward pass saw; one entry a MoE layer, in layer order (MTP layers last).
struct RouterLog {
  struct Layer {
    int64_t layer = 0;
    at::Tensor counts_E;        // i64, tokens routed to each expert
    at::Tensor topk_ids_TK;     // i64
    at::Tensor balance_loss_A;  // of each balance row, V3 eq. 17's sum_i f_i P_i, without alpha; undefined without such rows
  };
  std::vector<Layer> layers;
};

struct ForwardOptions {
  MlaAlgebra algebra = MlaAlgebra::kExpanded;  // with a cache only kAbsorbed
  KvCache* cache = nullptr;                    // may be null
  RouterLog* log = nullptr;                    // may be null; entries are appended
  double balance_scale = 0;                    // alpha / (balance rows of the whole step): its gradient is added in the MoE backward
  PrecisionAudit* audit = nullptr;             // may be null; sees every fp8 linear, forward and backward
};

struct ForwardPass {
  at::Tensor positions_T;
  at::Tensor cos_sin_SR;
  bool rotate_half = false;
  MlaAlgebra algebra = MlaAlgebra::kExpanded;
  double balance_scale = 0;
  at::Tensor starts_B1;             // expanded algebra: documents that attend to themselves
  LatentKeys keys;                  // absorbed algebra; each layer puts its own latents and its pages of the cache in
  at::Tensor balance_starts_A1;     // those of the batch
  RowGroups row_groups;             // all rows in one group, tiles along tokens cut at the packed rows
  PrecisionAudit* audit = nullptr;  // may be null; outlives the backward pass
  at::Tensor slot_mapping_T;        // with a cache: where the rows' latents go
  // Used by the forward pass only: they may be gone when the backward pass runs.
  KvCache* cache = nullptr;
  RouterLog* log = nullptr;
};

// Throws Error for a position outside the table. slot_shift: of an MTP layer's latents in the cache, its depth.
std::shared_ptr<ForwardPass> make_forward_pass(const Batch& batch, const ForwardOptions& options, const at::Tensor& cos_sin_SR,
                                               bool rotate_half, int64_t slot_shift = 0);

}  // namespace finback
