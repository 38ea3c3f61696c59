#include "cost/flops.h"

#include <algorithm>

#include "cost/parameter_count.h"

namespace finback {

double visible_keys(const ModelShape& s, double seq_len, AttentionCount attention) {
  const double all = attention == AttentionCount::kCausal ? seq_len / 2 : seq_len;
  if (s.window <= 0 || double(s.window) >= seq_len) return all;
  const double w = double(s.window), windowed = w * (1 - w / (2 * seq_len));
  return s.window_share * windowed + (1 - s.window_share) * all;
}

double train_flops_per_token(const ModelShape& s, double seq_len, AttentionCount attention, bool with_mtp) {
  const double layers = double(s.attention_layers + (with_mtp ? s.mtp : 0));
  return 6.0 * double(count_parameters(s).matmul(with_mtp)) +
         6.0 * layers * double(s.heads * (s.head_dim + s.value_dim)) * visible_keys(s, seq_len, attention);
}

int64_t decode_flops_per_key(const ModelShape& s) {
  const int64_t channels = s.is_mla() ? 2 * s.kv_rank + s.rope_dim : s.head_dim + s.value_dim;
  return 2 * s.attention_layers * s.heads * channels;
}

double decoded_keys(const ModelShape& s, double context) {
  if (s.window <= 0) return context;
  return s.window_share * std::min(double(s.window), context) + (1 - s.window_share) * context;
}

double decode_flops_per_token(const ModelShape& s, int64_t context) {
  return 2.0 * double(count_parameters(s).matmul(false)) + double(decode_flops_per_key(s)) * decoded_keys(s, double(context));
}

}  // namespace finback
