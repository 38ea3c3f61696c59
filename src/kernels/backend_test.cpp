#include "kernels/backend.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "gemm/each_variant.h"

namespace finback {
namespace {

TEST(Backend, IsTheReferenceUnderTheVariantRef) {
  select_kernels("ref");
  EXPECT_EQ(backend_of(at::zeros({1})), Backend::kRef);
  select_kernels("auto");
  EXPECT_EQ(backend_of(at::zeros({1})), Backend::kCpu);
}

TEST(Backend, IsTheReferenceOnAGpuUnderEveryVariant) {
  for_each_variant([] { EXPECT_EQ(backend_on(at::kCUDA), Backend::kRef) << kernel_label(); });
}

// A run on a GPU is the same run beside any processor.
TEST(Backend, TheLabelOfAGpuNamesNoVariantOfTheCpu) {
  for_each_variant([] {
    EXPECT_EQ(kernel_label_on(at::kCPU), kernel_label());
    EXPECT_EQ(kernel_label_on(at::kCUDA), "ref");
  });
}

}  // namespace
}  // namespace finback
