// What every layer of one forward pass reads: positions, the RoPE table, who attends to whom, the options. Built once a batch, shared by
// the layers and kept alive by their backward closures. Data only.
#pragma once
#include <ATen/core/Tensor.h>

#include <memory>
#include <vector>

#include "kernels/latent_attention.h"
#include "kernels/narrow_linear.h"
#include "model/transformer.h"

namespace finback {

struct ForwardPass {
  at::Tensor positions_T;
  at::Tensor cos_sin_SR;
  bool half_layout = false;
  MlaAlgebra algebra = MlaAlgebra::kExpanded;
  double balance_scale = 0;
  std::vector<int64_t> starts_B1;  // expanded algebra: documents that attend to themselves
  LatentKeys keys;                 // absorbed algebra: key rows for layer 0; each layer puts its own latents and its slice of the cache in
  std::vector<int64_t> balance_starts;
  Slots row_slots;                  // all rows in one group, tiles along tokens cut at the packed rows
  PrecisionAudit* audit = nullptr;  // may be null; outlives the backward pass
  // Used by the forward pass only: they may be gone when the backward pass runs.
  const Batch* batch = nullptr;
  KvCache* cache = nullptr;
  int64_t slot_shift = 0;  // MTP: where its latents lie in the cache, see KvCache::write
  RouterLog* log = nullptr;
};

// Throws Error for a position outside the table.
std::shared_ptr<ForwardPass> make_forward_pass(const Batch& batch, const ForwardOptions& options, const at::Tensor& cos_sin_SR,
                                               bool half_layout, int64_t slot_shift = 0);

}  // namespace finback
