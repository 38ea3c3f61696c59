// Whole and partial vectors of a row, for <op>_cpu.cpp files: included once for each instruction set, inside Highway's target namespace.
// A partial load reads no byte past the row (some instruction sets emulate masks by reading everything), its other lanes are zero; so a
// row's last elements go through the same arithmetic as all others, and elementwise bits do not depend on where a vector ends.
#include <hwy/highway.h>

#if defined(FINBACK_GEMM_LANES) == defined(HWY_TARGET_TOGGLE)
#ifdef FINBACK_GEMM_LANES
#undef FINBACK_GEMM_LANES
#else
#define FINBACK_GEMM_LANES
#endif

#include <cstdint>
#include <cstring>

HWY_BEFORE_NAMESPACE();
namespace finback {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using F = hn::ScalableTag<float>;
using VecF = hn::Vec<F>;
constexpr F kF;

HWY_ATTR HWY_INLINE int64_t lanes() { return int64_t(hn::Lanes(kF)); }

// The first min(left, lanes) floats at p.
HWY_ATTR HWY_INLINE VecF load_some(const float* p, int64_t left) {
  if (left >= lanes()) return hn::LoadU(kF, p);
#if HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3  // masked lanes are not read
  return hn::MaskedLoad(hn::FirstN(kF, size_t(left)), kF, p);
#else
  HWY_ALIGN float edge[hn::MaxLanes(F())] = {};
  std::memcpy(edge, p, size_t(left) * sizeof(float));
  return hn::Load(kF, edge);
#endif
}

HWY_ATTR HWY_INLINE void store_some(VecF v, float* p, int64_t left) {
  if (left >= lanes()) return hn::StoreU(v, kF, p);
#if HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3
  hn::BlendedStore(v, hn::FirstN(kF, size_t(left)), kF, p);
#else
  HWY_ALIGN float edge[hn::MaxLanes(F())];
  hn::Store(v, kF, edge);
  std::memcpy(p, edge, size_t(left) * sizeof(float));
#endif
}

// Sum over j of term(j, left) in one fixed order: four vectors take turns, then a tree. term's lanes beyond the row must be zero.
template <class Term>
HWY_ATTR HWY_INLINE float row_sum(int64_t n, const Term& term) {
  VecF s0 = hn::Zero(kF), s1 = s0, s2 = s0, s3 = s0;
  const int64_t step = lanes();
  int64_t j = 0;
  for (; j + 4 * step <= n; j += 4 * step) {
    s0 = hn::Add(s0, term(j, step));
    s1 = hn::Add(s1, term(j + step, step));
    s2 = hn::Add(s2, term(j + 2 * step, step));
    s3 = hn::Add(s3, term(j + 3 * step, step));
  }
  if (j < n) s0 = hn::Add(s0, term(j, n - j));
  if (j + step < n) s1 = hn::Add(s1, term(j + step, n - j - step));
  if (j + 2 * step < n) s2 = hn::Add(s2, term(j + 2 * step, n - j - 2 * step));
  if (j + 3 * step < n) s3 = hn::Add(s3, term(j + 3 * step, n - j - 3 * step));
  return hn::GetLane(hn::SumOfLanes(kF, hn::Add(hn::Add(s0, s1), hn::Add(s2, s3))));
}

}  // namespace HWY_NAMESPACE
}  // namespace finback
HWY_AFTER_NAMESPACE();

#endif  // once for each instruction set
