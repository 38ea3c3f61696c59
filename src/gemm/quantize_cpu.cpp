#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "gemm/quantize_cpu.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "gemm/lanes.h"
#include "gemm/quantize_cpu.h"

HWY_BEFORE_NAMESPACE();
namespace finback {
namespace HWY_NAMESPACE {

using U = hn::RebindToUnsigned<F>;
using VecU = hn::Vec<U>;
constexpr U kU;
constexpr hn::Rebind<uint8_t, F> kBytes;
constexpr hn::Rebind<uint16_t, F> kHalves;

HWY_ATTR HWY_INLINE VecU bits_of(VecF v) { return hn::BitCast(kU, v); }
HWY_ATTR HWY_INLINE VecF float_of(VecU v) { return hn::BitCast(kF, v); }

HWY_ATTR HWY_INLINE VecF larger_magnitude(VecF amax, VecF x) {
  const auto magnitude = hn::Abs(x);
  return hn::IfThenElse(hn::Gt(magnitude, amax), magnitude, amax);  // false for NaN
}

// v to the nearest of E4M3's values, ties to even; |v| above 448 becomes 448. NaN stays as it is.
HWY_ATTR HWY_INLINE VecF nearest_e4m3(VecF v) {
  const auto largest = hn::Set(kF, 448.0f), magnitude = hn::Abs(v);
  const auto a = hn::IfThenElse(hn::Gt(magnitude, largest), largest, magnitude);
  const auto bits = bits_of(a);
  const auto odd = hn::And(hn::ShiftRight<20>(bits), hn::Set(kU, 1));
  const auto normal = hn::And(hn::Add(bits, hn::Add(hn::Set(kU, 0x7ffff), odd)), hn::Set(kU, 0xfff00000u));
  const auto magic = hn::Set(kF, 16384.0f);  // its last bit is 2^-9, the step of the subnormals
  const auto small = hn::Sub(hn::Add(a, magic), magic);
  const auto rounded = hn::IfThenElse(hn::Lt(a, hn::Set(kF, 0.015625f)), small, float_of(normal));
  return hn::IfThenElse(hn::IsNaN(v), v, hn::CopySignToAbs(rounded, v));
}

// Codes of values that nearest_e4m3 returned.
HWY_ATTR HWY_INLINE VecU code_of(VecF r) {
  const auto sign = hn::And(hn::ShiftRight<24>(bits_of(r)), hn::Set(kU, 0x80));
  const auto a = hn::Abs(r);
  const auto normal = hn::Sub(hn::ShiftRight<20>(bits_of(a)), hn::Set(kU, 120 << 3));
  const auto small = hn::BitCast(kU, hn::ConvertTo(hn::RebindToSigned<F>(), hn::Mul(a, hn::Set(kF, 512.0f))));
  const auto magnitude = hn::IfThenElse(hn::RebindMask(kU, hn::Lt(a, hn::Set(kF, 0.015625f))), small, normal);
  return hn::Or(sign, hn::IfThenElse(hn::RebindMask(kU, hn::IsNaN(r)), hn::Set(kU, 0x7f), magnitude));
}

HWY_ATTR HWY_INLINE VecF value_of(VecU code) {
  const auto magnitude = hn::And(code, hn::Set(kU, 0x7f));
  const auto normal = float_of(hn::Add(hn::ShiftLeft<20>(magnitude), hn::Set(kU, 120u << 23)));
  const auto small = hn::Mul(hn::ConvertTo(kF, hn::BitCast(hn::RebindToSigned<F>(), magnitude)), hn::Set(kF, 0.001953125f));
  const auto a = hn::IfThenElse(hn::RebindMask(kF, hn::Lt(magnitude, hn::Set(kU, 8))), small, normal);
  const auto finite = hn::IfThenElse(hn::RebindMask(kF, hn::Eq(magnitude, hn::Set(kU, 0x7f))), float_of(hn::Set(kU, 0x7fc00000u)), a);
  return hn::Or(finite, float_of(hn::ShiftLeft<24>(hn::And(code, hn::Set(kU, 0x80)))));
}

HWY_ATTR HWY_INLINE VecF nearest_bf16(VecF v) {
  const auto bits = bits_of(v);
  const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(kU, 1));
  const auto rounded = hn::Add(bits, hn::Add(hn::Set(kU, 0x7fff), odd));
  const auto quiet = hn::Or(bits, hn::Set(kU, 0x400000));
  return float_of(hn::And(hn::IfThenElse(hn::RebindMask(kU, hn::IsNaN(v)), quiet, rounded), hn::Set(kU, 0xffff0000u)));
}

HWY_ATTR float amax(int64_t n, const float* HWY_RESTRICT x) {
  auto largest = hn::Zero(kF);
  for (int64_t j = 0; j < n; j += lanes()) largest = larger_magnitude(largest, load_some(x + j, n - j));
  return hn::GetLane(hn::MaxOfLanes(kF, largest));
}

// The vectors of `n` numbers of 1 or 2 bytes at p, the last one from a padded copy.
template <class D>
HWY_ATTR HWY_INLINE hn::Vec<D> load_part(D d, const hn::TFromD<D>* p, int64_t left) {
  if (left >= lanes()) return hn::LoadU(d, p);
  HWY_ALIGN hn::TFromD<D> edge[hn::MaxLanes(D())] = {};
  std::memcpy(edge, p, size_t(left) * sizeof(edge[0]));
  return hn::Load(d, edge);
}

template <bool kPowerOfTwo>
HWY_ATTR void encode_with(int64_t n, const float* HWY_RESTRICT x, float scale, uint8_t* HWY_RESTRICT codes) {
  const auto s = hn::Set(kF, scale), inverse = hn::Set(kF, 1.0f / scale);
  for (int64_t j = 0; j < n; j += lanes()) {
    const auto v = load_some(x + j, n - j);
    const auto code = code_of(nearest_e4m3(kPowerOfTwo ? hn::Mul(v, inverse) : hn::Div(v, s)));
    const auto bytes = hn::DemoteTo(kBytes, hn::BitCast(hn::RebindToSigned<F>(), code));
    if (n - j >= lanes()) {
      hn::StoreU(bytes, kBytes, codes + j);
    } else {
      HWY_ALIGN uint8_t edge[hn::MaxLanes(kBytes)];
      hn::Store(bytes, kBytes, edge);
      std::memcpy(codes + j, edge, size_t(n - j));
    }
  }
}

HWY_ATTR void encode(int64_t n, const float* HWY_RESTRICT x, float scale, bool power_of_two, uint8_t* HWY_RESTRICT codes) {
  if (power_of_two) return encode_with<true>(n, x, scale, codes);
  encode_with<false>(n, x, scale, codes);
}

HWY_ATTR void decode(int64_t n, const uint8_t* HWY_RESTRICT codes, float scale, float* HWY_RESTRICT x) {
  const auto s = hn::Set(kF, scale);
  for (int64_t j = 0; j < n; j += lanes()) {
    store_some(hn::Mul(value_of(hn::PromoteTo(kU, load_part(kBytes, codes + j, n - j))), s), x + j, n - j);
  }
}

HWY_ATTR void round_e4m3(int64_t n, const float* x, float scale, float* y) {
  const auto s = hn::Set(kF, scale), inverse = hn::Set(kF, 1.0f / scale);
  for (int64_t j = 0; j < n; j += lanes()) {
    store_some(hn::Mul(nearest_e4m3(hn::Mul(load_some(x + j, n - j), inverse)), s), y + j, n - j);
  }
}

HWY_ATTR void round_bf16(int64_t n, const float* x, float* y) {
  for (int64_t j = 0; j < n; j += lanes()) store_some(nearest_bf16(load_some(x + j, n - j)), y + j, n - j);
}

HWY_ATTR void widen_bf16(int64_t n, const uint16_t* HWY_RESTRICT x, float* HWY_RESTRICT y) {
  for (int64_t j = 0; j < n; j += lanes()) {
    store_some(float_of(hn::ShiftLeft<16>(hn::PromoteTo(kU, load_part(kHalves, x + j, n - j)))), y + j, n - j);
  }
}

// Of 128x1 tiles with power-of-two scales: a vector of columns' scale.
HWY_ATTR HWY_INLINE VecF column_scale(int64_t rows, const float* HWY_RESTRICT x, int64_t stride, int64_t left) {
  auto largest = hn::Zero(kF);
  for (int64_t r = 0; r < rows; ++r) largest = larger_magnitude(largest, load_some(x + r * stride, left));
  const auto floor = hn::Set(kF, 0x1.cp-92f);  // kFp8TrainingFloor
  const auto exact = hn::Div(hn::IfThenElse(hn::Gt(largest, floor), largest, floor), hn::Set(kF, 448.0f));
  // Up to the next power of two: any bit of the mantissa carries into the exponent.
  return float_of(hn::And(hn::Add(bits_of(exact), hn::Set(kU, 0x7fffff)), hn::Set(kU, 0x7f800000)));
}

HWY_ATTR void round_columns(int64_t rows, int64_t columns, const float* x, int64_t x_stride, float* y, int64_t y_stride) {
  for (int64_t j = 0; j < columns; j += lanes()) {
    const int64_t left = columns - j;
    const auto scale = column_scale(rows, x + j, x_stride, left), inverse = hn::Div(hn::Set(kF, 1.0f), scale);
    for (int64_t r = 0; r < rows; ++r) {
      const auto v = hn::Mul(load_some(x + r * x_stride + j, left), inverse);
      store_some(hn::Mul(nearest_e4m3(v), scale), y + r * y_stride + j, left);
    }
  }
}

HWY_ATTR HWY_INLINE VecU pair(VecF first, VecF second) {
  return hn::Or(hn::ShiftRight<16>(bits_of(first)), hn::And(bits_of(second), hn::Set(kU, 0xffff0000u)));
}

HWY_ATTR void round_and_pair_columns(int64_t rows, int64_t columns, const float* HWY_RESTRICT x, int64_t stride,
                                     float* HWY_RESTRICT words) {
  for (int64_t j = 0; j < columns; j += lanes()) {
    const int64_t left = columns - j;
    const auto scale = column_scale(rows, x + j, stride, left), inverse = hn::Div(hn::Set(kF, 1.0f), scale);
    const auto rounded = [&](int64_t r)
                             HWY_ATTR { return hn::Mul(nearest_e4m3(hn::Mul(load_some(x + r * stride + j, left), inverse)), scale); };
    for (int64_t r = 0; r < rows; r += 2) {
      const auto high = r + 1 < rows ? rounded(r + 1) : hn::Zero(kF);
      store_some(float_of(pair(rounded(r), high)), words + r / 2 * columns + j, left);
    }
  }
}

HWY_ATTR void pair_columns(int64_t n, const float* HWY_RESTRICT x, uint32_t* HWY_RESTRICT words) {
  int64_t j = 0;
#if HWY_TARGET != HWY_SCALAR
  for (; j + 2 * lanes() <= n; j += 2 * lanes()) {
    const auto low = hn::LoadU(kF, x + j), high = hn::LoadU(kF, x + j + lanes());
    hn::StoreU(pair(hn::ConcatEven(kF, high, low), hn::ConcatOdd(kF, high, low)), kU, words + j / 2);
  }
#endif
  for (; j < n; j += 2) {
    uint32_t first, second = 0;
    std::memcpy(&first, x + j, 4);
    if (j + 1 < n) std::memcpy(&second, x + j + 1, 4);
    words[j / 2] = first >> 16 | (second & 0xffff0000u);
  }
}

HWY_ATTR void pair_rows(int64_t n, const float* HWY_RESTRICT first, const float* HWY_RESTRICT second, float* HWY_RESTRICT words) {
  for (int64_t j = 0; j < n; j += lanes()) {
    store_some(float_of(pair(load_some(first + j, n - j), load_some(second + j, n - j))), words + j, n - j);
  }
}

HWY_ATTR void move_transposed(int64_t rows, int64_t depth, const float* HWY_RESTRICT words, int64_t stride, float* HWY_RESTRICT out,
                              int64_t pitch) {
  int64_t r = 0;
#if HWY_TARGET != HWY_SCALAR
  const hn::Full128<float> d4;
  for (; r + 4 <= rows; r += 4) {
    const float* HWY_RESTRICT from = words + r * stride;
    int64_t d = 0;
    for (; d + 4 <= depth; d += 4) {
      const auto r0 = hn::LoadU(d4, from + d), r1 = hn::LoadU(d4, from + stride + d), r2 = hn::LoadU(d4, from + 2 * stride + d),
                 r3 = hn::LoadU(d4, from + 3 * stride + d);
      const auto low02 = hn::InterleaveLower(d4, r0, r2), low13 = hn::InterleaveLower(d4, r1, r3);
      const auto high02 = hn::InterleaveUpper(d4, r0, r2), high13 = hn::InterleaveUpper(d4, r1, r3);
      float* HWY_RESTRICT to = out + d * pitch + r;
      hn::StoreU(hn::InterleaveLower(d4, low02, low13), d4, to);
      hn::StoreU(hn::InterleaveUpper(d4, low02, low13), d4, to + pitch);
      hn::StoreU(hn::InterleaveLower(d4, high02, high13), d4, to + 2 * pitch);
      hn::StoreU(hn::InterleaveUpper(d4, high02, high13), d4, to + 3 * pitch);
    }
    for (; d < depth; ++d) {
      for (int64_t i = 0; i < 4; ++i) std::memcpy(out + d * pitch + r + i, from + i * stride + d, 4);
    }
  }
#endif
  for (; r < rows; ++r) {
    for (int64_t d = 0; d < depth; ++d) std::memcpy(out + d * pitch + r, words + r * stride + d, 4);
  }
}

HWY_ATTR const QuantizeLoops* get_quantize_loops() {
  static const QuantizeLoops table = {amax,         encode,     decode,         round_e4m3,
                                      round_bf16,   widen_bf16, round_columns,  round_and_pair_columns,
                                      pair_columns, pair_rows,  move_transposed};
  return &table;
}

}  // namespace HWY_NAMESPACE
}  // namespace finback
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace finback {
HWY_EXPORT(get_quantize_loops);
const QuantizeLoops& quantize_loops() { return *HWY_DYNAMIC_DISPATCH(get_quantize_loops)(); }
}  // namespace finback
#endif
