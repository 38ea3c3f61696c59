#include "kernels/embedding.h"

#include <ATen/ATen.h>

#include "machine/bench.h"

namespace finback {

void bench_embedding(Bench& bench) {
  const int64_t tokens = 2048, vocab = 8192, d = 256;
  const at::Tensor ids_T = at::randint(vocab, {tokens}, at::kLong), weight_WD = at::randn({vocab, d}), dy_TD = at::randn({tokens, d});
  const double bytes = double(tokens * d) * sizeof(float);
  bench.row(
      "embedding 2048x256", 0, 2 * bytes, [&] { finback::embedding(ids_T, weight_WD); }, [&] { embedding_ref(ids_T, weight_WD); });
  const at::Tensor dweight_WD = at::zeros({vocab, d});
  bench.row(
      "embedding_backward_ 2048x256", 0, 3 * bytes, [&] { embedding_backward_(dweight_WD, ids_T, dy_TD); },
      [&] { dweight_WD.index_add_(0, ids_T, dy_TD); });
}

}  // namespace finback
