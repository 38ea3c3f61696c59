#include "kernels/use_ref.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace finback {
namespace {

TEST(UseRef, IsTrueUnderTheVariantRefAlone) {
  select_kernels("ref");
  EXPECT_TRUE(use_ref(at::zeros({1})));
  select_kernels("auto");
  EXPECT_FALSE(use_ref(at::zeros({1})));
}

}  // namespace
}  // namespace finback
