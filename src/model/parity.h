// Logits, loss and gradients of a model on given ids, written as one safetensors file for comparison with other software. Used by
// `finback parity` only.
#pragma once
#include <cstdint>
#include <filesystem>
#include <vector>

#include "model/transformer.h"

namespace finback {

struct ParityOptions {
  MlaAlgebra algebra = MlaAlgebra::kExpanded;
  bool gradients = false;   // the model must be trainable
  double mtp_lambda = 0.3;  // the loss differentiated is main + lambda * mean over depths of the MTP losses
};

// [1, 2, ...] or [[...], [...]]: rows of one length, at least two ids each. Throws Error naming what is wrong.
std::vector<std::vector<int64_t>> read_parity_ids(const std::filesystem::path& path, int64_t vocab_size);

// Writes logits [B, S, W], loss [1] (mean over the B (S - 1) next-token targets, nats), for each MTP depth k mtp_logits.<k> [B, S - 1 - k, W]
// (row i predicts token i + k + 2) and mtp_loss.<k> [1], and with gradients grad.<checkpoint name>. Returns the loss.
double write_parity(Transformer& model, const std::vector<std::vector<int64_t>>& ids, const ParityOptions& options,
                    const std::filesystem::path& out);

// For every f32 matrix NAME of `in`: NAME.tile (1x128), NAME.tile_pow2, NAME.block (128x128), NAME.block_pow2, each the E4M3 values with a
// NAME.<kind>_scale beside them.
void write_quantized(const std::filesystem::path& in, const std::filesystem::path& out);

}  // namespace finback
