// Pieces of a flat buffer: every tensor cut, from its own start, into at most kPieceNumbers numbers. The gradient norm, the fingerprint and the
// moments' hash are made of pieces, so whoever holds whole pieces can compute a part of them, and the whole does not depend on who held which.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "kernels/adamw.h"
#include "model/parameter_specs.h"

namespace finback {

constexpr int64_t kPieceNumbers = int64_t{1} << 16;  // 256 KiB in f32: work for one core, and few enough in V3 (10 million)

// In order of the tensors.
std::vector<FlatRange> tensor_pieces(const std::vector<ParameterSpec>& specs);
// xxh3 of each piece's bytes.
std::vector<uint64_t> piece_hashes(const at::Tensor& flat_P, std::span<const FlatRange> pieces);
// xxh3 of the list, in 16 hex digits.
std::string hash_of_hashes(std::span<const uint64_t> hashes);

}  // namespace finback
