// Where a model lives, and what torch promises of bits there. Parses device names; knows no model.
#pragma once
#include <c10/core/Device.h>

#include <string>
#include <string_view>

namespace finback {

// "cpu" or "cuda". Throws Error, which says `what` was asked with, for another word and for "cuda" where torch finds no GPU.
c10::Device parse_device(const std::string& name, std::string_view what);

// --deterministic: from now on torch refuses every op without fixed bits, and cuBLAS keeps its order of sums (CUBLAS_WORKSPACE_CONFIG, unless the
// user has set it). --poison: the same, and memory not yet written reads as NaN. Both may be asked for, in any order; neither is ever taken back.
// Call it before the first product on a GPU: cuBLAS reads the variable there.
void make_deterministic();
void poison_memory();

}  // namespace finback
