#include "gemm/variant.h"

#include <hwy/targets.h>

#include "base/error.h"
#include "gemm/bf16_tile_cpu.h"
#include "gemm/f16_tile_cpu.h"

namespace finback {
namespace {

Variant& chosen() {
  static Variant variant = Variant::kRef;
  return variant;
}

// Highway's dispatch obeys this mask: exactly the targets of one variant stay enabled (the baseline always is).
constexpr int64_t kAvx512Targets = HWY_AVX3 | HWY_AVX3_DL;

bool runs_here(Variant variant) {
  hwy::DisableTargets(0);
  const int64_t here = hwy::SupportedTargets();
  if (variant == Variant::kAvx512Fp16) return (here & HWY_AVX3) != 0 && f16_tile_runs_here();
  if (variant == Variant::kAvx512Bf16) return (here & HWY_AVX3) != 0 && bf16_tile_runs_here();
  if (variant == Variant::kAvx512) return (here & HWY_AVX3) != 0;
  if (variant == Variant::kAvx2) return (here & HWY_AVX2) != 0;
  return true;
}

void apply(Variant variant) {
  int64_t disabled = 0;
  if (variant == Variant::kAvx2) disabled = kAvx512Targets;
  if (variant == Variant::kPortable) disabled = kAvx512Targets | HWY_AVX2;
  hwy::DisableTargets(disabled);
  // Here rather than at the first dispatch: while Highway looks up the targets, other threads see all of this processor's for a moment.
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  chosen() = variant;
}

const char* label(Variant variant) {
  switch (variant) {
    case Variant::kRef:
      return "ref";
    case Variant::kPortable:
      return "portable";
    case Variant::kAvx2:
      return "avx2";
    case Variant::kAvx512:
      return "avx512";
    case Variant::kAvx512Bf16:
      return "avx512_bf16";
    case Variant::kAvx512Fp16:
      return "avx512_fp16";
  }
  return "ref";
}

}  // namespace

void select_kernels(std::string_view name) {
  if (name == "auto") {
    for (const Variant variant : {Variant::kAvx512Fp16, Variant::kAvx512Bf16, Variant::kAvx512, Variant::kAvx2, Variant::kPortable}) {
      if (runs_here(variant)) return apply(variant);
    }
  }
  for (const Variant variant :
       {Variant::kRef, Variant::kPortable, Variant::kAvx2, Variant::kAvx512, Variant::kAvx512Bf16, Variant::kAvx512Fp16}) {
    if (name != label(variant)) continue;
    FB_CHECK(runs_here(variant), "--kernels: this processor cannot run {}. Hint: --kernels=auto", name);
    return apply(variant);
  }
  FB_FAIL("--kernels: expected auto, ref, portable, avx2, avx512, avx512_bf16 or avx512_fp16, got \"{}\"", name);
}

Variant kernel_variant() { return chosen(); }

std::string kernel_label() { return label(chosen()); }

}  // namespace finback
