#include <ATen/ATen.h>

#include "kernels/mla_attention.h"
#include "machine/bench.h"

namespace finback {
namespace {

struct MlaAttentionShape {
  const char* what;
  int64_t heads, n, r, v, documents, tokens;  // tokens of one document
};
constexpr MlaAttentionShape kMlaAttentionShapes[] = {{"tiny", 8, 32, 16, 32, 8, 256},
                                                     {"tiny, one document", 8, 32, 16, 32, 1, 2048},
                                                     {"tiny, short", 8, 32, 16, 32, 64, 32},
                                                     {"small", 8, 64, 32, 64, 8, 256},
                                                     {"V3 heads", 8, 128, 64, 128, 2, 512}};

void bench_one(Bench& bench, const MlaAttentionShape& s) {
  const int64_t tokens = s.documents * s.tokens;
  const at::Tensor q_THX = at::randn({tokens, s.heads, s.n + s.r}), kv_THY = at::randn({tokens, s.heads, s.n + s.v});
  const at::Tensor k_rope_TR = at::randn({tokens, s.r}), do_THV = at::randn({tokens, s.heads, s.v});
  std::vector<int64_t> starts_B1;
  for (int64_t t = 0; t <= tokens; t += s.tokens) starts_B1.push_back(t);
  const MlaInputs x = {q_THX, kv_THY, k_rope_TR, at::tensor(starts_B1), 1 / std::sqrt(double(s.n + s.r))};
  const MlaAttention saved = mla_attention(x);
  // Useful work only: T (T + 1) / 2 pairs of a document; forward 2 products, backward 5.
  const double pairs = double(s.documents * s.heads) * double(s.tokens) * double(s.tokens + 1) / 2;
  const double qk = double(s.n + s.r), v = double(s.v);
  bench.row(
      fmt::format("mla_attention {} H{} {}+{}/{} {}x{}", s.what, s.heads, s.n, s.r, s.v, s.documents, s.tokens), pairs * 2 * (qk + v), 0,
      [&] { mla_attention(x); }, [&] { mla_attention_ref(x); });
  bench.row(fmt::format("mla_attention backward {}", s.what), pairs * 2 * (3 * qk + 2 * v), 0,
            [&] { mla_attention_backward(do_THV, x, saved); }, {});
}

}  // namespace

void bench_mla_attention(Bench& bench) {
  for (const MlaAttentionShape& shape : kMlaAttentionShapes) bench_one(bench, shape);
}

}  // namespace finback
