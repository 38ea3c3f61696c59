#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/token_sampling_cpu.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <limits>

#include "gemm/lanes.h"
#include "kernels/token_sampling_cpu.h"

HWY_BEFORE_NAMESPACE();
namespace finback {
namespace HWY_NAMESPACE {

using F64 = hn::ScalableTag<double>;
using VecF64 = hn::Vec<F64>;
constexpr F64 kF64;
constexpr float kInfinity = std::numeric_limits<float>::infinity();

// exp(x) for x in [-700, 0]: x = n ln 2 + r, exp(r) = 1 + r q(r) with q minimax of degree 7 (8e-13), n into the exponent; exp(0) is 1.
HWY_ATTR HWY_INLINE VecF64 exp_below_zero(VecF64 x) {
  const hn::RebindToSigned<F64> bits;
  const auto magic = hn::Set(kF64, 6755399441055744.0);  // 1.5 * 2^52: adding it leaves the nearest integer in the low bits
  const auto shifted = hn::MulAdd(x, hn::Set(kF64, 1.4426950408889634), magic);
  const auto r = hn::NegMulAdd(hn::Sub(shifted, magic), hn::Set(kF64, 0.6931471805599453), x);
  auto q = hn::Set(kF64, 2.4732990904624026e-05);
  q = hn::MulAdd(q, r, hn::Set(kF64, 0.00019914740372805828));
  q = hn::MulAdd(q, r, hn::Set(kF64, 0.001388915533383608));
  q = hn::MulAdd(q, r, hn::Set(kF64, 0.00833326865011515));
  q = hn::MulAdd(q, r, hn::Set(kF64, 0.04166666453184572));
  q = hn::MulAdd(q, r, hn::Set(kF64, 0.16666666873835367));
  q = hn::MulAdd(q, r, hn::Set(kF64, 0.5000000000459711));
  q = hn::MulAdd(q, r, hn::Set(kF64, 0.9999999999830055));
  const auto y = hn::MulAdd(q, r, hn::Set(kF64, 1.0));
  return hn::BitCast(kF64, hn::Add(hn::BitCast(bits, y), hn::ShiftLeft<52>(hn::BitCast(bits, shifted))));
}

template <int64_t kCount>
HWY_ATTR double weigh(int64_t w, const float* HWY_RESTRICT logits, const TokenWeights& weights, const float* HWY_RESTRICT pivots,
                      double* HWY_RESTRICT above) {
  const hn::Rebind<float, F64> half;
  const int64_t step = int64_t(hn::Lanes(kF64));
  // One multiplication and addition gives the exponent: its rounding of `best` is one factor of all weights.
  const auto scale = hn::Set(kF64, weights.inverse_temperature), best = hn::Set(kF64, -weights.best * weights.inverse_temperature);
  const auto lowest = hn::Set(half, weights.lowest);
  VecF64 pivot[kCount], sums[kCount], total = hn::Zero(kF64);
#pragma GCC unroll 5
  for (int64_t i = 0; i < kCount; ++i) pivot[i] = hn::Set(kF64, double(pivots[i])), sums[i] = hn::Zero(kF64);
  float edge[hn::MaxLanes(F64())] = {};
  for (int64_t j = 0; j < w; j += step) {
    const float* from = logits + j;
    if (w - j < step) {
      for (int64_t lane = 0; lane < w - j; ++lane) edge[lane] = from[lane];
      from = edge;
    }
    const auto logit = hn::PromoteTo(kF64, hn::Max(hn::LoadU(half, from), lowest));
    auto weight = exp_below_zero(hn::MulAdd(logit, scale, best));
    if (w - j < step) weight = hn::IfThenElseZero(hn::FirstN(kF64, size_t(w - j)), weight);
    total = hn::Add(total, weight);
#pragma GCC unroll 5
    for (int64_t i = 0; i < kCount; ++i) sums[i] = hn::IfThenElse(hn::Gt(logit, pivot[i]), hn::Add(sums[i], weight), sums[i]);
  }
#pragma GCC unroll 5
  for (int64_t i = 0; i < kCount; ++i) above[i] = hn::GetLane(hn::SumOfLanes(kF64, sums[i]));
  return hn::GetLane(hn::SumOfLanes(kF64, total));
}

HWY_ATTR double sum_below(int64_t w, const float* HWY_RESTRICT logits, const float* HWY_RESTRICT exps, float highest) {
  const hn::Rebind<float, F64> half;
  const int64_t step = int64_t(hn::Lanes(kF64));
  const auto bound = hn::Set(half, highest);
  auto even = hn::Zero(kF64), odd = even;
  const auto term = [&](int64_t j) HWY_ATTR {
    return hn::PromoteTo(kF64, hn::IfThenElseZero(hn::Le(hn::LoadU(half, logits + j), bound), hn::LoadU(half, exps + j)));
  };
  int64_t j = 0;
  for (; j + 2 * step <= w; j += 2 * step) even = hn::Add(even, term(j)), odd = hn::Add(odd, term(j + step));
  double sum = hn::GetLane(hn::SumOfLanes(kF64, hn::Add(even, odd)));
  for (; j < w; ++j) sum += logits[j] <= highest ? double(exps[j]) : 0;
  return sum;
}

HWY_ATTR int64_t gather(int64_t w, const float* logits, float low, float high, float* out) {
  const auto lowest = hn::Set(kF, low), highest = hn::Set(kF, high);
  int64_t count = 0, j = 0;
  for (; j + lanes() <= w; j += lanes()) {
    const auto v = hn::LoadU(kF, logits + j);
    const auto inside = hn::And(hn::Gt(v, lowest), hn::Le(v, highest));
    // AVX-512 stores nothing faster than it mispredicts.
    if (HWY_TARGET <= HWY_AVX3 || !hn::AllFalse(kF, inside)) count += int64_t(hn::CompressStore(v, inside, kF, out + count));
  }
  for (; j < w; ++j) {
    if (logits[j] > low && logits[j] <= high) out[count++] = logits[j];
  }
  return count;
}

HWY_ATTR int64_t find(int64_t w, const float* HWY_RESTRICT logits, float value, int64_t rank) {
  const auto wanted = hn::Set(kF, value);
  int64_t j = 0;
  for (; j + lanes() <= w; j += lanes()) {
    const int64_t equal = int64_t(hn::CountTrue(kF, hn::Eq(hn::LoadU(kF, logits + j), wanted)));
    if (equal >= rank) break;
    rank -= equal;
  }
  for (; j < w; ++j) {
    if (logits[j] == value && --rank == 0) return j;
  }
  return -1;
}

HWY_ATTR const TokenSamplingLoops* get_token_sampling_loops() {
  static const TokenSamplingLoops table = {weigh<kPivots>, weigh<kFewPivots>, sum_below, gather, find};
  return &table;
}

}  // namespace HWY_NAMESPACE
}  // namespace finback
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace finback {
HWY_EXPORT(get_token_sampling_loops);
const TokenSamplingLoops& token_sampling_loops() { return *HWY_DYNAMIC_DISPATCH(get_token_sampling_loops)(); }
}  // namespace finback
#endif
