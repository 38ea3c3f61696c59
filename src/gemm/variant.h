// Which implementation of an op runs: chosen once at start by cpuid or by --kernels, read by every dispatch `if`.
// Bits are promised per variant (ref: only from run to run); its label goes into run files and checkpoints. Set before any work starts; not thread-safe to change
// later.
#pragma once
#include <string>
#include <string_view>

namespace finback {

// kAvx512Bf16: f32 arithmetic and bits of kAvx512; bf16 and FP8 linears multiply pairs of bf16 numbers.
// kAvx512Fp16: f32 arithmetic and bits of kAvx512, in bf16 linears too (its processors multiply pairs of bf16 at half the rate of f32); FP8 linears
// multiply and add in f16, promoted to f32 every 128.
enum class Variant { kRef, kPortable, kAvx2, kAvx512, kAvx512Bf16, kAvx512Fp16 };

// "auto" (best of this processor), "ref", "portable", "avx2", "avx512", "avx512_bf16", "avx512_fp16". Throws Error for an unknown name or one that this
// processor cannot run.
void select_kernels(std::string_view name);
Variant kernel_variant();
// "ref", "portable", "avx2", "avx512", "avx512_bf16", "avx512_fp16": the label in run files.
std::string kernel_label();

}  // namespace finback
