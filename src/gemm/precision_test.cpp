#include "gemm/precision.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace finback {
namespace {

TEST(Precision, NamesAreReadAsTheyAreWritten) {
  for (const Precision precision : {Precision::kF32, Precision::kBf16, Precision::kFp8, Precision::kInt8}) {
    EXPECT_EQ(parse_precision(precision_name(precision), "--weights"), precision);
  }
}

TEST(Precision, AnUnknownNameSaysWhatIsKnown) {
  try {
    parse_precision("int4", "--weights");
    FAIL() << "accepted";
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("--weights: expected f32, bf16, fp8 or int8, got \"int4\""), std::string::npos);
  }
}

}  // namespace
}  // namespace finback
