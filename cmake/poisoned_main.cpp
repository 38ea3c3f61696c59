// main of the tensor tests: ATen on one thread, fresh tensors filled with NaN (--poison), two pool threads.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include "base/pool.h"
#include "gemm/variant.h"

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  at::set_num_threads(1);
  at::globalContext().setDeterministicAlgorithms(true, /*warn_only=*/false);
  at::globalContext().setDeterministicFillUninitializedMemory(true);
  finback::set_threads(2);
  finback::select_kernels("auto");
  return RUN_ALL_TESTS();
}
