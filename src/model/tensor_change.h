// What a conversion makes of each stored tensor: its new dtype, the scales that it gains or loses, and its new bytes. Knows no folder layout.
#pragma once
#include <string>
#include <vector>

#include "model/fp8_scales.h"
#include "model/safetensors.h"

namespace finback {

// What most floating tensors become, and whether projections become FP8, or int8 panels (model/panel_folder.h).
struct ConversionTarget {
  at::ScalarType dtype;
  bool fp8 = false, panels = false;
};
// "f32", "bf16", "fp8" or "int8"; throws Error for any other word.
ConversionTarget conversion_target(const std::string& word);

// V3 section 3.3.1: the linears of the blocks. Embedding, head, norms, router and eh_proj stay.
bool is_fp8_linear(const std::string& name);

struct TensorChange {
  TensorEntry from;
  at::ScalarType to;
  bool adds_scales() const { return to == at::kFloat8_e4m3fn && from.dtype != to; }
};

// A shard's tensors in the order of their bytes; the scales of a weight that leaves FP8 drop out. Throws Error for a tensor that cannot be converted.
std::vector<TensorChange> changes_of(const SafetensorsFolder& folder, std::vector<TensorEntry> stored, const ConversionTarget& target,
                                     const Fp8Layout& layout);
// Linears of the blocks in a conversion to FP8 that do not become FP8.
int64_t linears_kept_wide(const std::vector<TensorChange>& changes);
// Entries of the new shard: each tensor in its old order, followed by the scales that it gains.
std::vector<TensorEntry> entries_after(const std::vector<TensorChange>& changes);
// Writes a tensor of these numbers (and its new scales) as entries_after() lists it. power_of_two: of the new scales.
void write_numbers(SafetensorsWriter& writer, const TensorChange& change, const at::Tensor& numbers, bool power_of_two = false);
// Writes the tensor (and its new scales) as entries_after() lists them.
void write_change(SafetensorsWriter& writer, const SafetensorsFolder& folder, const TensorChange& change, const Fp8Layout& layout);

}  // namespace finback
