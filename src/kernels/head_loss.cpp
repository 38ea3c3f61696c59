#include "kernels/head_loss.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <vector>

#include "base/error.h"
#include "base/pool.h"
#include "gemm/gemm.h"
#include "gemm/variant.h"
#include "kernels/head_loss_cpu.h"
#include "kernels/rows.h"
#include "kernels/use_ref.h"

namespace finback {
namespace {

// Rows whose logits exist at one time. Each chunk reads and writes the head's gradient once, so fewer are slower; at 8,192 ids 256 rows
// are 8 MiB, which the last cache holds.
constexpr int64_t kRowsAChunk = 256;

// Logits of the rows of h become the rows' losses, and d_logits where gradients are wanted (zero rows where masked).
void reduce_rows(const at::Tensor& logits_CW, const int64_t* targets, bool gradients, double nll_scale, double z_scale, HeadLoss& loss,
                 int64_t first) {
  const int64_t vocab = logits_CW.size(1);
  float* logits = logits_CW.mutable_data_ptr<float>();
  float *nll = loss.nll_T.mutable_data_ptr<float>() + first, *lse = loss.lse_T.mutable_data_ptr<float>() + first;
  int64_t* argmax = loss.argmax_T.mutable_data_ptr<int64_t>() + first;
  parallel_ranges(logits_CW.size(0), 4, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      if (targets[t] < 0) {
        nll[t] = lse[t] = 0, argmax[t] = -1;
        if (gradients) std::fill_n(logits + t * vocab, vocab, 0.0f);
        continue;
      }
      FB_ASSERT(targets[t] < vocab, "a target is an id of the vocabulary");
      const HeadLossRows::Row row =
          head_loss_rows().row(vocab, logits + t * vocab, targets[t], gradients, float(nll_scale), float(z_scale));
      nll[t] = row.nll, lse[t] = row.lse, argmax[t] = row.argmax;
    }
  });
}

}  // namespace

HeadLoss head_loss(const at::Tensor& h_TD, const PackedWeight& head_WD, const at::Tensor& targets_T, const at::Tensor& d_head_WD,
                   double nll_scale, double z_scale) {
  if (use_ref(h_TD)) return head_loss_ref(head_WD.input_values(h_TD), head_WD.forward_values(), targets_T, d_head_WD, nll_scale, z_scale);
  const Rows h = rows_of(h_TD);
  const int64_t vocab = head_WD.n();
  const bool gradients = d_head_WD.defined();
  const at::Tensor ids_T = targets_T.contiguous();
  HeadLoss loss{at::empty({h.count}, h_TD.options()), at::empty({h.count}, h_TD.options()), at::empty({h.count}, ids_T.options()), {}};
  if (gradients) loss.dh_TD = at::empty({h.count, h.columns}, h_TD.options());
  const at::Tensor logits = at::empty({std::min(kRowsAChunk, h.count), vocab}, h_TD.options());
  for (int64_t first = 0; first < h.count; first += kRowsAChunk) {
    const int64_t rows = std::min(kRowsAChunk, h.count - first);
    const at::Tensor logits_CW = logits.slice(0, 0, rows);
    float* data = logits_CW.mutable_data_ptr<float>();
    gemm_packed(rows, vocab, h.columns, {h.at(first), h.stride, 1}, head_WD.forward_operand(), data, vocab, false);
    reduce_rows(logits_CW, ids_T.const_data_ptr<int64_t>() + first, gradients, nll_scale, z_scale, loss, first);
    if (!gradients) continue;
    gemm_packed(rows, h.columns, vocab, {data, vocab, 1}, head_WD.backward_operand(),
                loss.dh_TD.mutable_data_ptr<float>() + first * h.columns, h.columns, false);
    linear_wgrad_(d_head_WD, logits_CW, h_TD.slice(0, first, first + rows));
  }
  return loss;
}

float token_logprob(std::span<const float> logits_W, int64_t id) {
  const int64_t vocab = int64_t(logits_W.size());
  FB_ASSERT(id >= 0 && id < vocab, "a token is an id of the vocabulary");
  std::vector<float> row(logits_W.begin(), logits_W.end());  // the kernel overwrites it
  if (kernel_variant() == Variant::kRef) return row[size_t(id)] - at::logsumexp(at::from_blob(row.data(), {vocab}), {0}).item<float>();
  return -head_loss_rows().row(vocab, row.data(), id, false, 1.0f, 0.0f).nll;
}

}  // namespace finback
