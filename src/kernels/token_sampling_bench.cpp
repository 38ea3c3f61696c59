#include "kernels/token_sampling.h"

#include <ATen/ATen.h>

#include "machine/bench.h"

namespace finback {
namespace {

constexpr int64_t kVocab = 129'280;  // DeepSeek-V3's

// Another u each time, as another token would have; one thread whatever --threads says.
void bench_cuts(Bench& bench, const std::string& name, const at::Tensor& logits_W, const SamplingFilters& filters) {
  const std::span<const float> logits(logits_W.const_data_ptr<float>(), size_t(kVocab));
  double u = 0;
  const auto next = [&] { return u = u + 0.618 - double(u + 0.618 >= 1); };
  bench.row(
      "sample_token " + name, 0, double(kVocab) * sizeof(float), [&] { sample_token(logits, filters, next()); },
      [&] { sample_token_ref(logits, filters, next()); });
}

}  // namespace

// Normal logits: with deviation 1 top-p 0.95 keeps 74 % of the vocabulary (a model before training), with 3 it keeps 9 %, with 6 some hundred.
void bench_token_sampling(Bench& bench) {
  at::manual_seed(1);
  const at::Tensor logits_W = at::randn({kVocab});
  SamplingFilters nucleus, top_k, min_p;
  nucleus.top_p = 0.95, top_k.top_k = 50, min_p.min_p = 0.05;
  for (const int deviation : {1, 3, 6})
    bench_cuts(bench, fmt::format("top_p 0.95, deviation {}", deviation), logits_W * deviation, nucleus);
  bench_cuts(bench, "no cut, deviation 3", logits_W * 3, {});
  bench_cuts(bench, "top_k 50, deviation 3", logits_W * 3, top_k);
  bench_cuts(bench, "min_p 0.05, deviation 3", logits_W * 3, min_p);
}

}  // namespace finback
