#include "kernels/head_loss.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <vector>

#include "base/error.h"
#include "base/pool.h"
#include "kernels/gemm.h"
#include "kernels/head_loss_cpu.h"
#include "kernels/rows.h"
#include "kernels/variant.h"

namespace finback {
namespace {

// Rows whose logits exist at one time. Each chunk reads and writes the head's gradient once, so fewer are slower; at 8,192 words 256 rows
// are 8 MiB, which the last cache holds.
constexpr int64_t kRowsAChunk = 256;

// Logits of the rows of h become the rows' losses, and d_logits where gradients are wanted (zero rows where masked).
void reduce_rows(const at::Tensor& logits_CW, const int64_t* targets, bool gradients, double nll_scale, double z_scale, HeadLoss& loss,
                 int64_t first) {
  const int64_t words = logits_CW.size(1);
  float* logits = logits_CW.mutable_data_ptr<float>();
  float *nll = loss.nll_T.mutable_data_ptr<float>() + first, *lse = loss.lse_T.mutable_data_ptr<float>() + first;
  int64_t* argmax = loss.argmax_T.mutable_data_ptr<int64_t>() + first;
  parallel_ranges(logits_CW.size(0), 4, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      if (targets[t] < 0) {
        nll[t] = lse[t] = 0, argmax[t] = -1;
        if (gradients) std::fill_n(logits + t * words, words, 0.0f);
        continue;
      }
      FB_ASSERT(targets[t] < words, "a target is a word");
      const HeadLossRows::Row row =
          head_loss_rows().row(words, logits + t * words, targets[t], gradients, float(nll_scale), float(z_scale));
      nll[t] = row.nll, lse[t] = row.lse, argmax[t] = row.argmax;
    }
  });
}

}  // namespace

HeadLoss head_loss(const at::Tensor& h_TD, const PackedWeight& head_WD, const at::Tensor& targets_T, const at::Tensor& d_head_WD,
                   double nll_scale, double z_scale) {
  if (use_ref(h_TD)) return head_loss_ref(head_WD.input_values(h_TD), head_WD.forward_values(), targets_T, d_head_WD, nll_scale, z_scale);
  const Rows h = rows_of(h_TD);
  const int64_t words = head_WD.n();
  const bool gradients = d_head_WD.defined();
  const at::Tensor ids_T = targets_T.contiguous();
  HeadLoss loss{at::empty({h.count}, h_TD.options()), at::empty({h.count}, h_TD.options()), at::empty({h.count}, ids_T.options()), {}};
  if (gradients) loss.dh_TD = at::empty({h.count, h.columns}, h_TD.options());
  const at::Tensor logits = at::empty({std::min(kRowsAChunk, h.count), words}, h_TD.options());
  for (int64_t first = 0; first < h.count; first += kRowsAChunk) {
    const int64_t rows = std::min(kRowsAChunk, h.count - first);
    const at::Tensor logits_CW = logits.slice(0, 0, rows);
    float* data = logits_CW.mutable_data_ptr<float>();
    gemm_packed(rows, words, h.columns, {h.at(first), h.stride, 1}, head_WD.forward_operand(), data, words, false);
    reduce_rows(logits_CW, ids_T.const_data_ptr<int64_t>() + first, gradients, nll_scale, z_scale, loss, first);
    if (!gradients) continue;
    gemm_packed(rows, h.columns, words, {data, words, 1}, head_WD.backward_operand(),
                loss.dh_TD.mutable_data_ptr<float>() + first * h.columns, h.columns, false);
    linear_wgrad_(d_head_WD, logits_CW, h_TD.slice(0, first, first + rows));
  }
  return loss;
}

RowSoftmax row_softmax(std::span<const float> logits_W, float* exps_W) {
  const HeadLossRows::Softmax softmax = head_loss_rows().softmax(int64_t(logits_W.size()), logits_W.data(), exps_W);
  return {int32_t(softmax.argmax), softmax.highest, softmax.log_sum};
}

float token_logprob(std::span<const float> logits_W, int64_t id) {
  const int64_t words = int64_t(logits_W.size());
  FB_ASSERT(id >= 0 && id < words, "a token is a word");
  if (kernel_variant() != Variant::kRef) return row_softmax(logits_W).logprob(logits_W[size_t(id)]);
  const at::Tensor row_W = at::tensor(at::ArrayRef<float>(logits_W.data(), logits_W.size()));
  return logits_W[size_t(id)] - at::logsumexp(row_W, {0}).item<float>();
}

}  // namespace finback
