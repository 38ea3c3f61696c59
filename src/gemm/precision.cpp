#include "gemm/precision.h"

#include "base/error.h"

namespace finback {

std::string precision_name(Precision precision) {
  switch (precision) {
    case Precision::kF32:
      return "f32";
    case Precision::kBf16:
      return "bf16";
    case Precision::kFp8:
      return "fp8";
    case Precision::kInt8:
      return "int8";
  }
  return "f32";
}

Precision parse_precision(std::string_view name, std::string_view what) {
  for (const Precision precision : {Precision::kF32, Precision::kBf16, Precision::kFp8, Precision::kInt8}) {
    if (name == precision_name(precision)) return precision;
  }
  FB_FAIL("{}: expected f32, bf16, fp8 or int8, got \"{}\"", what, name);
}

}  // namespace finback
