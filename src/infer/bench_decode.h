// Times the engine: reading a prompt and decoding behind it, greedy. Figures for `finback bench decode`.
#pragma once
#include <cstdint>

#include "base/json.h"
#include "gemm/precision.h"
#include "model/transformer.h"

namespace finback {

struct DecodeBench {
  int64_t prompt_tokens = 128, new_tokens = 128;
  int64_t repeats = 3;                  // medians over these
  Precision weights = Precision::kF32;  // in which the model's are kept
};
// {"prefill_tokens_per_s", "decode_tokens_per_s", "bytes_per_token", "weights_read_gb_per_s", "share_of_read", ...}. bytes_per_token:
// weights that one decoded token reads (active parameters at their stored size) plus its cache; its share is of reading all weights where they lie.
Json bench_decode(Transformer& model, const DecodeBench& options);

}  // namespace finback
