// Randomness without state: Philox4x32-10 (Salmon et al., SC 2011) keyed by what the number is for. The same (stream, seed, a, b, c) gives
// the same bits in every process, thread and batch; there is no generator to save or restore.
#pragma once
#include <array>
#include <cstdint>

namespace finback {

// What a number is for. Values are part of run reproducibility: append, never renumber.
enum class Stream : uint32_t { kInit = 1, kDataOrder = 2, kSample = 3, kTest = 4, kMix = 5 };

// 128 random bits. `seed` and `stream` form the key; a, b, c the counter (a has 64 bits, b and c 32).
std::array<uint32_t, 4> philox(Stream stream, uint64_t seed, uint64_t a, uint32_t b = 0, uint32_t c = 0);

// Uniform in [0, 1) with 53 bits, from two words.
inline double uniform01_double(uint32_t high, uint32_t low) { return double(((uint64_t(high) << 32) | low) >> 11) * 0x1p-53; }
// Two independent standard normals by Box-Muller, computed in double.
std::array<float, 2> normal_pair(uint32_t first, uint32_t second);
// Fills `out` with scale * N(0, 1); element i depends on (seed, tensor_key, i) alone.
void fill_normal(float* out, int64_t count, float scale, Stream stream, uint64_t seed, uint64_t tensor_key);
// Uniform integer in [0, n) without modulo bias worth noting (64-bit multiply-high). REQUIRES: n > 0.
inline uint64_t uniform_below(uint32_t high, uint32_t low, uint64_t n) {
  return uint64_t((static_cast<unsigned __int128>((uint64_t(high) << 32) | low) * n) >> 64);
}

}  // namespace finback
