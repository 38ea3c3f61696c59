#include <ATen/ATen.h>

#include "kernels/latent_attention.h"
#include "machine/bench.h"

namespace finback {
namespace {

// `rows` query rows at the end of each of `sequences` sequences of `count` keys.
struct LatentAttentionShape {
  const char* what;
  int64_t heads, c, r, sequences, rows, count;
};
constexpr LatentAttentionShape kLatentAttentionShapes[] = {
    {"tiny, training", 8, 64, 16, 8, 256, 256},     {"tiny, prefill", 8, 64, 16, 1, 512, 2048},
    {"tiny, decode", 8, 64, 16, 1, 1, 2048},        {"tiny, decode 16", 8, 64, 16, 16, 1, 512},
    {"small, training", 8, 128, 32, 4, 256, 256},   {"wide, decode", 16, 256, 32, 1, 1, 2048},
    {"V3 heads, decode", 128, 512, 64, 1, 1, 2048}, {"V3 heads, prefill", 16, 512, 64, 1, 128, 512}};

void bench_one(Bench& bench, const LatentAttentionShape& s) {
  const int64_t y = s.c + s.r, tokens = s.sequences * s.rows, total = s.sequences * s.count;
  const at::Tensor q_THY = at::randn({tokens, s.heads, y}), do_THC = at::randn({tokens, s.heads, s.c});
  const at::Tensor latents = at::randn({total, y}), sequence_B1 = at::arange(s.sequences + 1, at::kLong);
  LatentKeys keys;
  keys.row_starts_B1 = sequence_B1 * s.rows;
  if (s.rows == s.count) {
    keys.self_TY = latents;
    keys.cached_B = at::zeros({s.sequences}, at::kLong);
    keys.segment_starts_B1 = sequence_B1;
    keys.segments_G2 = at::stack({sequence_B1.slice(0, 0, s.sequences) * s.count, at::full({s.sequences}, s.count, at::kLong)}, 1);
  } else {  // the rows' own keys too lie in pages of 64
    keys.pages_XPY = latents.view({total / 64, 64, y});
    keys.cached_B = at::full({s.sequences}, s.count, at::kLong);
    keys.block_table_BM = at::arange(total / 64, at::kLong).view({s.sequences, s.count / 64});
    keys.segment_starts_B1 = at::zeros({s.sequences + 1}, at::kLong);
    keys.segments_G2 = at::empty({0, 2}, at::kLong);
  }
  const double scale = 1 / std::sqrt(double(y));
  const double pairs = double(s.sequences * s.heads * s.rows) * (double(s.count) - double(s.rows - 1) / 2);
  bench.row(
      fmt::format("latent_attention {} H{} {}+{} {}x{} of {}", s.what, s.heads, s.c, s.r, s.sequences, s.rows, s.count),
      pairs * 2 * double(y + s.c), double(total * y) * 4, [&] { latent_attention(q_THY, keys, s.c, scale); },
      [&] { latent_attention_ref(q_THY, keys, s.c, scale); });
  if (s.rows != s.count) return;
  const LatentAttention saved = latent_attention(q_THY, keys, s.c, scale);
  bench.row(fmt::format("latent_attention backward {}", s.what), pairs * 2 * double(3 * y + 2 * s.c), 0,
            [&] { latent_attention_backward(do_THC, q_THY, keys, s.c, saved, scale); }, {});
}

}  // namespace

void bench_latent_attention(Bench& bench) {
  for (const LatentAttentionShape& shape : kLatentAttentionShapes) bench_one(bench, shape);
}

}  // namespace finback
