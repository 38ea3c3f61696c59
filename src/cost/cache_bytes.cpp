#include "cost/cache_bytes.h"

namespace finback {
namespace {

constexpr int64_t kTokensOfAPage = 64;  // model/kv_cache.h : kPageTokens

}  // namespace

int64_t cache_bytes_per_token(const ModelShape& s, int64_t bytes_per_value, bool with_mtp) {
  const int64_t values = s.is_mla() ? s.kv_rank + s.rope_dim : s.kv_heads * (s.head_dim + s.value_dim);
  const int64_t latents = values * s.attention_layers, of_mtp = s.mtp * (values + (s.d_model + kTokensOfAPage - 1) / kTokensOfAPage);
  return bytes_per_value * (latents + (with_mtp ? of_mtp : 0));
}

}  // namespace finback
