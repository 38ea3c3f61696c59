#include "kernels/adamw.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <atomic>
#include <cmath>

#include "base/error.h"
#include "base/exact_sum.h"
#include "base/pool.h"
#include "kernels/adamw_cpu.h"
#include "kernels/backend.h"

namespace finback {
namespace {

constexpr int64_t kFloatsAChunk = int64_t{1} << 16;

// A part of the flat buffer that decays or does not, at most a chunk long.
struct AdamwChunk {
  int64_t begin, end;
  bool decays;
};

std::vector<AdamwChunk> cut_chunks(int64_t numel, std::vector<FlatRange> decayed) {
  std::sort(decayed.begin(), decayed.end(), [](const FlatRange& a, const FlatRange& b) { return a.begin < b.begin; });
  decayed.push_back({numel, numel});
  std::vector<AdamwChunk> chunks;
  const auto cut = [&](int64_t begin, int64_t end, bool decays) {
    for (; begin < end; begin += kFloatsAChunk) chunks.push_back({begin, std::min(end, begin + kFloatsAChunk), decays});
  };
  int64_t at = 0;
  for (const FlatRange& range : decayed) {
    FB_ASSERT(range.begin >= at && range.end >= range.begin && range.end <= numel, "ranges lie in the buffer and do not overlap");
    cut(at, range.begin, false);
    cut(range.begin, range.end, true);
    at = range.end;
  }
  return chunks;
}

AdamwRanges::Numbers numbers_of(const AdamwOptions& o) {
  const double correction1 = 1.0 - std::pow(o.beta1, double(o.step)), correction2 = 1.0 - std::pow(o.beta2, double(o.step));
  return {float(o.grad_scale),       float(o.beta1),           float(o.beta2), float(1.0 - o.beta1), float(1.0 - o.beta2),
          float(o.lr / correction1), float(1.0 / correction2), float(o.eps)};
}

const float* flat(const at::Tensor& x_P) {
  FB_ASSERT(x_P.scalar_type() == at::kFloat && x_P.is_contiguous(), "a flat buffer of f32");
  return x_P.const_data_ptr<float>();
}

}  // namespace

void adamw_(const at::Tensor& values_P, const at::Tensor& grads_P, const at::Tensor& m_P, const at::Tensor& v_P,
            const std::vector<FlatRange>& decayed, const AdamwOptions& options) {
  if (backend_of(values_P) == Backend::kRef) return adamw_ref_(values_P, grads_P, m_P, v_P, decayed, options);
  const int64_t numel = values_P.numel();
  FB_ASSERT(grads_P.numel() == numel && m_P.numel() == numel && v_P.numel() == numel, "four buffers of one layout");
  const float* grads = flat(grads_P);
  flat(values_P), flat(m_P), flat(v_P);
  float *values = values_P.mutable_data_ptr<float>(), *m = m_P.mutable_data_ptr<float>(), *v = v_P.mutable_data_ptr<float>();
  const AdamwRanges::Numbers numbers = numbers_of(options);
  const float keep = float(1.0 - options.lr * options.weight_decay);
  const std::vector<AdamwChunk> chunks = cut_chunks(numel, decayed);
  parallel_for(int64_t(chunks.size()), [&](int64_t i) {
    const auto [begin, end, decays] = chunks[size_t(i)];
    adamw_ranges().update(end - begin, numbers, decays ? keep : 1.0f, grads + begin, values + begin, m + begin, v + begin);
  });
}

double sum_of_squares(const at::Tensor& flat_P, std::span<const FlatRange> pieces) {
  ExactSum total;
  if (backend_of(flat_P) == Backend::kRef) {
    std::vector<at::Tensor> sums;
    for (const auto& [begin, end] : pieces) sums.push_back(flat_P.slice(0, begin, end).to(at::kDouble).square().sum());
    if (sums.empty()) return 0;
    const at::Tensor host = at::stack(sums).to(at::kCPU);
    for (int64_t i = 0; i < host.numel(); ++i) total.add(host.const_data_ptr<double>()[i]);
    return total.value();
  }
  const float* x = flat(flat_P);
  std::vector<double> sums(pieces.size());
  parallel_for(int64_t(pieces.size()), [&](int64_t i) {
    const auto [begin, end] = pieces[size_t(i)];
    sums[size_t(i)] = adamw_ranges().sum_of_squares(end - begin, x + begin);
  });
  for (const double sum : sums) total.add(sum);
  return total.value();
}

int64_t first_nonfinite(const at::Tensor& flat_P) {
  if (backend_of(flat_P) == Backend::kRef) {
    const at::Tensor bad = at::isfinite(flat_P).logical_not().nonzero();
    return bad.size(0) > 0 ? bad[0][0].item<int64_t>() : -1;
  }
  const float* x = flat(flat_P);
  std::atomic<int64_t> first{flat_P.numel()};
  parallel_ranges(flat_P.numel(), kFloatsAChunk, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end && i < first.load(std::memory_order_relaxed); ++i) {
      if (std::isfinite(x[i])) continue;
      for (int64_t seen = first.load(); i < seen && !first.compare_exchange_weak(seen, i);) {
      }
      return;
    }
  });
  return first.load() < flat_P.numel() ? first.load() : -1;
}

}  // namespace finback
