#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/head_loss_cpu.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "gemm/lanes.h"
#include "gemm/vector_exp.h"
#include "kernels/head_loss_cpu.h"

HWY_BEFORE_NAMESPACE();
namespace finback {
namespace HWY_NAMESPACE {

// Each lane of four vectors keeps its own best and where it met it first; among equals the lowest id wins.
HWY_ATTR int64_t first_highest(int64_t w, const float* HWY_RESTRICT logits) {
  const hn::RebindToSigned<F> signed_tag;
  constexpr int64_t kVectors = 4;
  const int64_t step = lanes();
  int64_t best_id = 0, j = 0;
  if (w >= kVectors * step) {
    VecF best[kVectors];
    hn::Vec<hn::RebindToSigned<F>> where[kVectors];
#pragma GCC unroll 4
    for (int64_t i = 0; i < kVectors; ++i) best[i] = hn::LoadU(kF, logits + i * step), where[i] = hn::Zero(signed_tag);
    for (j = kVectors * step; j + kVectors * step <= w; j += kVectors * step) {
      const auto here = hn::Set(signed_tag, int32_t(j));
#pragma GCC unroll 4
      for (int64_t i = 0; i < kVectors; ++i) {
        const auto v = hn::LoadU(kF, logits + j + i * step);
        const auto higher = hn::Gt(v, best[i]);
        best[i] = hn::IfThenElse(higher, v, best[i]);
        where[i] = hn::IfThenElse(hn::RebindMask(signed_tag, higher), here, where[i]);
      }
    }
    HWY_ALIGN int32_t starts[kVectors * hn::MaxLanes(F())];
#pragma GCC unroll 4
    for (int64_t i = 0; i < kVectors; ++i) hn::Store(where[i], signed_tag, starts + i * step);
    best_id = starts[0];
    for (int64_t lane = 1; lane < kVectors * step; ++lane) {
      const int64_t id = starts[lane] + lane;
      if (logits[id] > logits[best_id] || (logits[id] == logits[best_id] && id < best_id)) best_id = id;
    }
  }
  for (; j < w; ++j) {
    if (logits[j] > logits[best_id]) best_id = j;
  }
  return best_id;
}

// exps, where not null, receives exp(logits - highest); it may be `logits` itself.
HWY_ATTR float sum_of_exps(int64_t w, const float* logits, float highest, float* exps) {
  const auto shift = hn::Set(kF, highest);
  return row_sum(w, [&](int64_t j, int64_t left) HWY_ATTR {
    auto e = vector_exp(kF, hn::Sub(load_some(logits + j, left), shift));
    if (left < lanes()) e = hn::IfThenElseZero(hn::FirstN(kF, size_t(left)), e);
    if (exps != nullptr) store_some(e, exps + j, left);
    return e;
  });
}

HWY_ATTR float log_of(float x) { return hn::GetLane(vector_log(kF, hn::Set(kF, x))); }

HWY_ATTR HeadLossRows::Softmax row_softmax(int64_t w, const float* HWY_RESTRICT logits, float* HWY_RESTRICT exps) {
  const int64_t argmax = first_highest(w, logits);
  return {argmax, logits[argmax], log_of(sum_of_exps(w, logits, logits[argmax], exps))};
}

HWY_ATTR HeadLossRows::Row row(int64_t w, float* HWY_RESTRICT logits, int64_t target) {
  HeadLossRows::Row result;
  result.argmax = first_highest(w, logits);
  const float highest = logits[result.argmax], chosen = logits[target];
  result.sum = sum_of_exps(w, logits, highest, logits);
  const float log_sum = log_of(result.sum);
  result.lse = highest + log_sum;
  result.logprob = (chosen - highest) - log_sum;
  return result;
}

// d (-log p) = softmax - onehot; d lse^2 = 2 lse softmax.
HWY_ATTR void gradient(int64_t w, float* HWY_RESTRICT exps, int64_t target, const HeadLossRows::Row& row, float scale, float z_scale) {
  const auto factor = hn::Set(kF, (scale + 2.0f * z_scale * row.lse) / row.sum);
  for (int64_t j = 0; j < w; j += lanes()) store_some(hn::Mul(load_some(exps + j, w - j), factor), exps + j, w - j);
  exps[target] -= scale;
}

HWY_ATTR const HeadLossRows* get_head_loss_rows() {
  static const HeadLossRows table = {row, gradient, row_softmax};
  return &table;
}

}  // namespace HWY_NAMESPACE
}  // namespace finback
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace finback {
HWY_EXPORT(get_head_loss_rows);
const HeadLossRows& head_loss_rows() { return *HWY_DYNAMIC_DISPATCH(get_head_loss_rows)(); }
}  // namespace finback
#endif
