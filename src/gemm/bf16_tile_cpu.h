// The register tile of processors with AVX512_BF16, which Highway 1.0.3 cannot express: one instruction multiplies 32 pairs of bf16 numbers and
// adds them to 16 f32 sums, twice the rate of an f32 FMA. Knows no threads and no variants.
#pragma once
#include <cstdint>

#include "gemm/tile_block.h"

namespace finback {

constexpr int64_t kBf16TileRows = 12, kBf16TileColumns = 32;

// This processor and its operating system have AVX512F and AVX512_BF16.
bool bf16_tile_runs_here();
// C (+)= A B for at most kBf16TileColumns columns, any number of rows; a, b and depth count words of two bf16 numbers, consecutive in K, the first
// in the low 16 bits. An element is one chain of f32 FMAs, each word's second product before its first; subnormals count as 0.
void bf16_tile(const TileBlock& x);

}  // namespace finback
