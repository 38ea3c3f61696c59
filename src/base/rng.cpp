#include "base/rng.h"

#include <cmath>
#include <numbers>

namespace finback {

std::array<uint32_t, 4> philox(Stream stream, uint64_t seed, uint64_t a, uint32_t b, uint32_t c) {
  constexpr uint64_t kMul0 = 0xD2511F53, kMul1 = 0xCD9E8D57;    // Philox4x32 multipliers
  constexpr uint32_t kWeyl0 = 0x9E3779B9, kWeyl1 = 0xBB67AE85;  // key increments
  uint32_t x0 = uint32_t(a), x1 = uint32_t(a >> 32), x2 = b, x3 = c;
  // The stream is mixed into the high key word by an odd multiplier, so that neighbouring seeds and streams never share a key.
  uint32_t k0 = uint32_t(seed), k1 = uint32_t(seed >> 32) ^ (uint32_t(stream) * 0x85EBCA6Bu);
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = kMul0 * x0, p1 = kMul1 * x2;
    x0 = uint32_t(p1 >> 32) ^ x1 ^ k0;
    x1 = uint32_t(p1);
    x2 = uint32_t(p0 >> 32) ^ x3 ^ k1;
    x3 = uint32_t(p0);
    k0 += kWeyl0;
    k1 += kWeyl1;
  }
  return {x0, x1, x2, x3};
}

std::array<float, 2> normal_pair(uint32_t first, uint32_t second) {
  const double u = (double(first) + 1.0) * 0x1p-32;  // (0, 1]: the logarithm stays finite
  const double radius = std::sqrt(-2.0 * std::log(u)), angle = 2.0 * std::numbers::pi * double(second) * 0x1p-32;
  return {float(radius * std::cos(angle)), float(radius * std::sin(angle))};
}

void fill_normal(float* out, int64_t count, float scale, Stream stream, uint64_t seed, uint64_t tensor_key) {
  for (int64_t i = 0; i < count; i += 4) {
    const auto words = philox(stream, seed, tensor_key, uint32_t(i / 4), uint32_t(uint64_t(i / 4) >> 32));
    const auto low = normal_pair(words[0], words[1]), high = normal_pair(words[2], words[3]);
    const float four[4] = {low[0], low[1], high[0], high[1]};
    for (int64_t j = 0; j < 4 && i + j < count; ++j) out[i + j] = scale * four[j];
  }
}

}  // namespace finback
