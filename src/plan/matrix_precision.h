// What matrix products are computed in. The recipe matters as much as the width: scales for a tensor, a block of 32 or 128, or 16 values.
#pragma once
#include <string>

namespace finback {

enum class MatrixPrecision { k16, kFp8Tensor, kFp8Block, kMxfp8, kFp4 };

// "bf16", "fp16", "fp8", "FP8-CS", "MXFP8", "nvfp4", "FP8 mixed", ...; throws Error for anything else. fp8-block: a scale for each 128 x 128 block, as V3.
MatrixPrecision parse_matrix_precision(const std::string& text);
const char* matrix_precision_name(MatrixPrecision precision);

}  // namespace finback
