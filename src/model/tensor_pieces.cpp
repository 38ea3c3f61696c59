#include "model/tensor_pieces.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>

#include "base/file.h"
#include "base/pool.h"

namespace finback {

std::vector<FlatRange> tensor_pieces(const std::vector<ParameterSpec>& specs) {
  std::vector<FlatRange> pieces;
  for (const ParameterSpec& spec : specs) {
    const int64_t end = spec.offset + spec.numel;
    for (int64_t begin = spec.offset; begin < end; begin += kPieceNumbers) pieces.push_back({begin, std::min(end, begin + kPieceNumbers)});
  }
  return pieces;
}

std::vector<uint64_t> piece_hashes(const at::Tensor& flat_P, std::span<const FlatRange> pieces) {
  const at::Tensor cpu_P = flat_P.to(at::kCPU).contiguous();
  const float* numbers = cpu_P.const_data_ptr<float>();
  std::vector<uint64_t> hashes(pieces.size());
  parallel_for(int64_t(pieces.size()), [&](int64_t i) {
    const auto [begin, end] = pieces[size_t(i)];
    hashes[size_t(i)] = xxhash64(std::as_bytes(std::span(numbers + begin, size_t(end - begin))));
  });
  return hashes;
}

std::string hash_of_hashes(std::span<const uint64_t> hashes) { return fmt::format("{:016x}", xxhash64(std::as_bytes(hashes))); }

}  // namespace finback
