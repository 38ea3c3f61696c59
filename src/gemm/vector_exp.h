// exp, log and sigmoid of f32 vectors, for the Highway code of kernels (<op>_cpu.cpp). Included inside foreach_target files, once a target.
// A lane's bits depend on that lane's input alone, so a row tail computed in a padded vector equals the same row in a full one; they differ
// between variants (the baseline has no FMA). Within 2 ulp of the exact value over the whole range, subnormal results included.
//   exp:     -inf -> 0, above 88.73 -> inf, NaN kept.
//   log:     0 -> -inf, negative -> NaN, inf and NaN kept.
//   sigmoid: -inf -> 0, inf -> 1, NaN kept.
#if defined(FINBACK_GEMM_VECTOR_EXP_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FINBACK_GEMM_VECTOR_EXP_H_
#undef FINBACK_GEMM_VECTOR_EXP_H_
#else
#define FINBACK_GEMM_VECTOR_EXP_H_
#endif

#include <hwy/highway.h>

#include <limits>

HWY_BEFORE_NAMESPACE();
namespace finback {
namespace HWY_NAMESPACE {
namespace vector_math {
namespace hn = hwy::HWY_NAMESPACE;

// ln 2 in two parts; the high one has 9 significant bits, so that n * kLn2High is exact for every exponent n.
constexpr float kLn2High = 0.693359375f, kLn2Low = -2.12194440e-4f;

// 2^n for n in [-126, 127].
template <class DI>
HWY_INLINE hn::Vec<hn::RebindToFloat<DI>> power_of_two(DI di, hn::Vec<DI> n) {
  return hn::BitCast(hn::RebindToFloat<DI>(), hn::ShiftLeft<23>(hn::Add(n, hn::Set(di, 127))));
}

// y 2^n, rounded once, for y in [0.5, 2) and n in [-150, 128]: n as a float and as an integer. AVX-512 has an instruction for it; elsewhere two factors,
// so that the last multiplication alone rounds into the subnormals or to infinity.
template <class D, class V, class VI>
HWY_INLINE V scale_by_power_of_two(D d, V y, V n_float, VI n) {
#if HWY_TARGET <= HWY_AVX3
  if constexpr (sizeof(V) == 64) return V{_mm512_scalef_ps(y.raw, n_float.raw)};
#endif
  const hn::RebindToSigned<D> di;
  const auto half = hn::ShiftRight<1>(n);
  return hn::Mul(hn::Mul(y, power_of_two(di, half)), power_of_two(di, hn::Sub(n, half)));
}

}  // namespace vector_math

// x = n ln 2 + r with |r| <= ln 2 / 2; exp(r) = 1 + r + r^2 q(r), q a minimax polynomial (1.5e-9).
template <class D>
HWY_INLINE hwy::HWY_NAMESPACE::Vec<D> vector_exp(D d, hwy::HWY_NAMESPACE::Vec<D> x) {
  namespace hn = hwy::HWY_NAMESPACE;
  const hn::RebindToSigned<D> di;
  const auto bounded = hn::Min(hn::Max(x, hn::Set(d, -104.0f)), hn::Set(d, 89.0f));
  const auto magic = hn::Set(d, 12582912.0f);  // 1.5 * 2^23: adding it leaves the nearest integer in the low bits
  const auto shifted = hn::MulAdd(bounded, hn::Set(d, 1.44269504f), magic);
  const auto n = hn::Sub(hn::BitCast(di, shifted), hn::BitCast(di, magic));
  const auto n_float = hn::Sub(shifted, magic);
  auto r = hn::NegMulAdd(n_float, hn::Set(d, vector_math::kLn2High), bounded);
  r = hn::NegMulAdd(n_float, hn::Set(d, vector_math::kLn2Low), r);
  auto q = hn::Set(d, 1.99089085e-4f);
  q = hn::MulAdd(q, r, hn::Set(d, 1.39345442e-3f));
  q = hn::MulAdd(q, r, hn::Set(d, 8.33328410e-3f));
  q = hn::MulAdd(q, r, hn::Set(d, 4.16664568e-2f));
  q = hn::MulAdd(q, r, hn::Set(d, 1.66666668e-1f));
  q = hn::MulAdd(q, r, hn::Set(d, 0.5f));
  const auto y = hn::Add(hn::MulAdd(hn::Mul(r, r), q, r), hn::Set(d, 1.0f));
  const auto result = vector_math::scale_by_power_of_two(d, y, n_float, n);
  return hn::IfThenElse(hn::IsNaN(x), x, result);  // min and max of x86 lose it
}

// x = 2^e m with m in [sqrt(1/2), sqrt(2)); with z = m - 1, s = z / (2 + z): log(m) = z - z^2/2 + s (z^2/2 + R(s^2)).
template <class D>
HWY_INLINE hwy::HWY_NAMESPACE::Vec<D> vector_log(D d, hwy::HWY_NAMESPACE::Vec<D> x) {
  namespace hn = hwy::HWY_NAMESPACE;
  const hn::RebindToSigned<D> di;
  const auto tiny = hn::Lt(x, hn::Set(d, std::numeric_limits<float>::min()));
  const auto normal = hn::IfThenElse(tiny, hn::Mul(x, hn::Set(d, 8388608.0f)), x);  // 2^23
  const auto bits = hn::BitCast(di, normal);
  const auto exponent = hn::ShiftRight<23>(hn::Sub(bits, hn::Set(di, 0x3f3504f3)));  // the bits of sqrt(1/2)
  const auto z = hn::Sub(hn::BitCast(d, hn::Sub(bits, hn::ShiftLeft<23>(exponent))), hn::Set(d, 1.0f));
  const auto e = hn::Sub(hn::ConvertTo(d, exponent), hn::IfThenElseZero(tiny, hn::Set(d, 23.0f)));
  const auto s = hn::Div(z, hn::Add(z, hn::Set(d, 2.0f)));
  const auto w = hn::Mul(s, s);
  auto series = hn::Set(d, 0.233542859f);
  series = hn::MulAdd(series, w, hn::Set(d, 0.285499224f));
  series = hn::MulAdd(series, w, hn::Set(d, 0.4000013f));
  series = hn::Mul(hn::MulAdd(series, w, hn::Set(d, 0.666666665f)), w);
  const auto half_square = hn::Mul(hn::Mul(z, z), hn::Set(d, 0.5f));
  const auto small = hn::MulAdd(s, hn::Add(half_square, series), hn::Mul(e, hn::Set(d, vector_math::kLn2Low)));
  const auto y = hn::MulAdd(e, hn::Set(d, vector_math::kLn2High), hn::Sub(z, hn::Sub(half_square, small)));
  const auto infinity = hn::Set(d, std::numeric_limits<float>::infinity());
  const auto finite = hn::Lt(x, infinity);  // false for NaN: x itself is the result, as for +inf
  const auto outside = hn::IfThenElse(hn::Eq(x, hn::Zero(d)), hn::Neg(infinity), hn::Set(d, std::numeric_limits<float>::quiet_NaN()));
  return hn::IfThenElse(finite, hn::IfThenElse(hn::Gt(x, hn::Zero(d)), y, outside), x);
}

// exp of a negative number only, so nothing overflows on the way.
template <class D>
HWY_INLINE hwy::HWY_NAMESPACE::Vec<D> vector_sigmoid(D d, hwy::HWY_NAMESPACE::Vec<D> x) {
  namespace hn = hwy::HWY_NAMESPACE;
  const auto one = hn::Set(d, 1.0f);
  const auto e = vector_exp(d, hn::Neg(hn::Abs(x)));
  return hn::Div(hn::IfThenElse(hn::Lt(x, hn::Zero(d)), e, one), hn::Add(one, e));
}

}  // namespace HWY_NAMESPACE
}  // namespace finback
HWY_AFTER_NAMESPACE();

#endif
