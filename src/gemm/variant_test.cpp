#include "gemm/variant.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/pool.h"
#include "gemm/each_variant.h"
#include "gemm/f32_tile_cpu.h"

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

// The first loop after a choice dispatches on all its threads at once: none may see another instruction set for a moment.
TEST(Variant, HoldsOnEveryThreadFromTheFirstDispatch) {
  set_threads(4);
  int strays = 0;
  for (int i = 0; i < 2000; ++i) {
    select_kernels("portable");
    const F32Tile* seen[16] = {};
    parallel_for(16, [&](int64_t chunk) { seen[chunk] = &f32_tile(); });
    for (const F32Tile* tile : seen) strays += tile != &f32_tile();
  }
  EXPECT_EQ(strays, 0);
  set_threads(2);
  select_kernels("auto");
}

TEST(Variant, UnknownNameSaysWhatIsKnown) {
  try {
    select_kernels("sse9");
    FAIL() << "accepted";
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("avx512_bf16 or avx512_fp16, got \"sse9\""), std::string::npos);
  }
}

}  // namespace
}  // namespace finback
