#include "plan/matrix_precision.h"

#include "base/error.h"
#include "cost/hardware.h"

namespace finback {

MatrixPrecision parse_matrix_precision(const std::string& text) {
  const std::string plain = plain_name(text);
  const auto has = [&](const char* part) { return plain.find(part) != std::string::npos; };
  if (has("nvfp4") || has("mxfp4post")) return has("bf16") ? MatrixPrecision::k16 : MatrixPrecision::kFp4;
  if (has("fp4")) return MatrixPrecision::kFp4;
  if (has("mxfp8") || has("fp8mx")) return MatrixPrecision::kMxfp8;
  if (has("fp8mixed") || has("fp8block") || has("fp8sc") || has("blockwise")) return MatrixPrecision::kFp8Block;
  if (has("fp8")) return MatrixPrecision::kFp8Tensor;
  if (has("bf16") || has("fp16") || has("bfloat16") || has("float16") || has("mixed") || has("half") || has("16bit"))
    return MatrixPrecision::k16;
  FB_FAIL("unknown precision \"{}\". Known: bf16, fp16, fp8 (a scale a tensor), fp8-block (128 x 128), mxfp8, nvfp4", text.substr(0, 40));
}

const char* matrix_precision_name(MatrixPrecision precision) {
  switch (precision) {
    case MatrixPrecision::k16:
      return "16-bit";
    case MatrixPrecision::kFp8Tensor:
      return "fp8";
    case MatrixPrecision::kFp8Block:
      return "fp8-block";
    case MatrixPrecision::kMxfp8:
      return "mxfp8";
    case MatrixPrecision::kFp4:
      return "nvfp4";
  }
  return "";
}

}  // namespace finback
