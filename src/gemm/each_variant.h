// What the tests of gemm and of the folders above it share: a check runs under every kernel variant of this machine. Tests only; knows no tensors.
#pragma once
#include <gtest/gtest.h>

#include <functional>

#include "base/error.h"
#include "gemm/variant.h"

namespace finback {

// Calls check under every variant but ref that this processor runs.
inline void for_each_variant(const std::function<void()>& check) {
  for (const char* name : {"portable", "avx2", "avx512", "avx512_bf16", "avx512_fp16"}) {
    try {
      select_kernels(name);
    } catch (const Error&) {
      continue;  // not on this processor
    }
    SCOPED_TRACE(name);
    check();
  }
  select_kernels("auto");
}

}  // namespace finback
