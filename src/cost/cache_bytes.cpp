#include "cost/cache_bytes.h"

namespace finback {

int64_t cache_bytes_per_token(const ModelShape& s, int64_t bytes_per_value, bool with_mtp) {
  const int64_t values = s.is_mla() ? s.kv_rank + s.rope_dim : s.kv_heads * (s.head_dim + s.value_dim);
  return bytes_per_value * values * (s.attention_layers + (with_mtp ? s.mtp : 0));
}

}  // namespace finback
