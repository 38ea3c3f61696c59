// Bytes of the packed copies of weights that the CPU kernels multiply by: panels of f32 numbers, of words of bf16 or FP8 numbers, or of stored codes with
// their scales, padding included. The layout is that of the selected kernel variant (gemm/variant.h) and asked of the kernels; the counts are what they
// allocate (train/weight_memory_test.cpp). `ref` multiplies by the weights where they lie and packs nothing.
#pragma once
#include <cstdint>

#include "cost/model_shape.h"
#include "gemm/precision.h"

namespace finback {

// Training: W^T for y = x W^T and W for dx = dy W of every matrix. Linears of layers in `precision`; router, eh_proj and head in f32.
int64_t packed_weight_bytes(const ModelShape& shape, Precision precision);

// Serving in MLA's absorbed form: every matrix that a token may multiply, those of MTP modules where they draft. The router f32, in fp8 the head bf16. In f32
// these are packed copies; in another storage nothing else is kept of a matrix (model/stored_model.h).
int64_t stored_weight_bytes(const ModelShape& shape, Precision storage, bool drafts);
// Of these, what one decoded token reads: K of the E experts. With `ref` its f32 weights.
int64_t decoded_weight_bytes(const ModelShape& shape, Precision storage);

}  // namespace finback
