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

// Each lane keeps its own best and the vector where it met it first; among equal lanes the lowest id wins.
HWY_ATTR int64_t first_highest(int64_t w, const float* HWY_RESTRICT logits) {
  const hn::RebindToSigned<F> signed_tag;
  const int64_t step = lanes();
  int64_t best_id = 0, j = 0;
  if (w >= step) {
    auto best = hn::LoadU(kF, logits);
    auto where = hn::Zero(signed_tag);
    for (j = step; j + step <= w; j += step) {
      const auto v = hn::LoadU(kF, logits + j);
      const auto higher = hn::Gt(v, best);
      best = hn::IfThenElse(higher, v, best);
      where = hn::IfThenElse(hn::RebindMask(signed_tag, higher), hn::Set(signed_tag, int32_t(j)), where);
    }
    HWY_ALIGN int32_t starts[hn::MaxLanes(F())];
    hn::Store(where, signed_tag, starts);
    best_id = starts[0];
    for (int64_t lane = 1; lane < step; ++lane) {
      const int64_t id = starts[lane] + lane;
      if (logits[id] > logits[best_id] || (logits[id] == logits[best_id] && id < best_id)) best_id = id;
    }
  }
  for (; j < w; ++j) {
    if (logits[j] > logits[best_id]) best_id = j;
  }
  return best_id;
}

HWY_ATTR HeadLossRows::Row row(int64_t w, float* HWY_RESTRICT logits, int64_t target) {
  HeadLossRows::Row result;
  result.argmax = first_highest(w, logits);
  const float highest = logits[result.argmax], chosen = logits[target];
  const auto shift = hn::Set(kF, highest);
  result.sum = row_sum(w, [&](int64_t j, int64_t left) HWY_ATTR {
    auto e = vector_exp(kF, hn::Sub(load_some(logits + j, left), shift));
    if (left < lanes()) e = hn::IfThenElseZero(hn::FirstN(kF, size_t(left)), e);
    store_some(e, logits + j, left);
    return e;
  });
  const float log_sum = hn::GetLane(vector_log(kF, hn::Set(kF, result.sum)));
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
  static const HeadLossRows table = {row, gradient};
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
