#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "machine/machine_probe_cpu.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "machine/machine_probe_cpu.h"

#if HWY_ARCH_X86
#include <cpuid.h>
#include <immintrin.h>
#endif

HWY_BEFORE_NAMESPACE();
namespace finback {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Floats = hn::ScalableTag<float>;
constexpr Floats kF;
// Two units of latency 4 or 5 need 10 chains in flight; 12 and their factor fit the 16 registers of AVX2.
constexpr int kChains = 12;

HWY_ATTR float fma(int64_t rounds) {
  hn::Vec<Floats> chain[kChains];
#pragma GCC unroll 12
  for (int i = 0; i < kChains; ++i) chain[i] = hn::Set(kF, 1.0f + float(i));
  const auto factor = hn::Set(kF, 0.999f), addend = hn::Set(kF, 1e-3f);
  for (int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 12
    for (int i = 0; i < kChains; ++i) chain[i] = hn::MulAdd(chain[i], factor, addend);
  }
  auto sum = chain[0];
#pragma GCC unroll 12
  for (int i = 1; i < kChains; ++i) sum = hn::Add(sum, chain[i]);
  return hn::GetLane(hn::SumOfLanes(kF, sum));
}

HWY_ATTR float read(const float* HWY_RESTRICT floats, int64_t count) {
  const int64_t lanes = int64_t(hn::Lanes(kF));
  hn::Vec<Floats> sums[4];
  for (auto& sum : sums) sum = hn::Zero(kF);
  for (int64_t i = 0; i < count; i += 4 * lanes) {
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) sums[j] = hn::Add(sums[j], hn::LoadU(kF, floats + i + j * lanes));
  }
  return hn::GetLane(hn::SumOfLanes(kF, hn::Add(hn::Add(sums[0], sums[1]), hn::Add(sums[2], sums[3]))));
}

HWY_ATTR const ProbeLoops* get_probe_loops() {
  static const ProbeLoops table = {int64_t(2 * kChains * hn::Lanes(kF)), fma, read};
  return &table;
}

}  // namespace HWY_NAMESPACE
}  // namespace finback
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace finback {
HWY_EXPORT(get_probe_loops);
const ProbeLoops& probe_loops() { return *HWY_DYNAMIC_DISPATCH(get_probe_loops)(); }

#if HWY_ARCH_X86
bool can_flush_caches() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (b >> 23 & 1) != 0;
}
__attribute__((target("clflushopt"))) void flush_caches(const void* memory, size_t bytes) {
  char* const line = static_cast<char*>(const_cast<void*>(memory));  // the instruction's type has no const
  for (size_t i = 0; i < bytes; i += 64) _mm_clflushopt(line + i);
  _mm_sfence();
}
#else
bool can_flush_caches() { return false; }
void flush_caches(const void*, size_t) {}
#endif
}  // namespace finback
#endif
