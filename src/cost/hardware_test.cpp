#include "cost/hardware.h"

#include <gtest/gtest.h>

namespace finback {
namespace {

TEST(Hardware, EveryRowHasSourceAndDateAndSaneFigures) {
  ASSERT_GT(accelerators().size(), 20u);
  for (const Accelerator& a : accelerators()) {
    EXPECT_FALSE(a.source.empty() || a.date.empty()) << a.name;
    EXPECT_GT(a.bf16_tflops, a.matmul_bf16_tflops) << a.name;
    EXPECT_GT(a.memory_gb * a.hbm_tb_s * a.link_gb_s * a.nic_gb_s * a.tdp_w, 0) << a.name;
  }
  EXPECT_EQ(accelerator("NVIDIA H100-SXM5").name.substr(0, 4), "h100");
}

}  // namespace
}  // namespace finback
