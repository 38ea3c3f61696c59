#include "kernels/variant.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "kernels/op_check.h"

namespace finback {
namespace {

TEST(Variant, AutoIsTheBestOfThisProcessorAndNeverTheReference) {
  select_kernels("auto");
  EXPECT_NE(kernel_variant(), Variant::kRef);
  const std::string best = kernel_label();
  std::string last;
  for_each_variant([&] { last = kernel_label(); });
  EXPECT_EQ(best, last);
}

TEST(Variant, LabelIsTheNameThatSelectedIt) {
  for (const char* name : {"ref", "portable"}) {
    select_kernels(name);
    EXPECT_EQ(kernel_label(), name);
  }
  select_kernels("auto");
}

TEST(Variant, RefRunsReferences) {
  select_kernels("ref");
  EXPECT_TRUE(use_ref(at::zeros({1})));
  select_kernels("auto");
  EXPECT_FALSE(use_ref(at::zeros({1})));
}

TEST(Variant, UnknownNameSaysWhatIsKnown) {
  try {
    select_kernels("sse9");
    FAIL() << "accepted";
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("portable, avx2 or avx512, got \"sse9\""), std::string::npos);
  }
}

}  // namespace
}  // namespace finback
