#include "kernels/head_loss.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <span>
#include <vector>

#include "base/error.h"
#include "base/pool.h"
#include "gemm/gemm.h"
#include "gemm/variant.h"
#include "kernels/backend.h"
#include "kernels/head_loss_cpu.h"
#include "kernels/rows.h"

namespace finback {
namespace {

// Rows whose logits exist at one time. Each chunk reads and writes the head's gradient once, so fewer are slower; at a vocab of 8,192, 256 rows
// are 8 MiB, which the last-level cache holds.
constexpr int64_t kHeadLossRows = 256;

constexpr int64_t kRowsATask = 4;

// What reduce_rows writes, of a chunk.
struct ChunkOutput {
  const int64_t* targets;
  float *logprob, *lse;
  int64_t* argmax;
};

// The weights of rows [begin, end) of a chunk that begins at row `first`; their log-probs are there.
void weigh(const HeadGradient& wanted, int64_t first, int64_t begin, int64_t end, const float* logprob,
           std::span<float, kRowsATask> weights) {
  const size_t rows = size_t(end - begin);
  if (wanted.weigh) return wanted.weigh(first + begin, {logprob + begin, rows}, weights.subspan(0, rows));
  for (size_t r = 0; r < rows; ++r) {
    weights[r] = wanted.weights_T.defined() ? wanted.weights_T.const_data_ptr<float>()[first + begin + int64_t(r)] : 1.0f;
  }
}

// Logits of a chunk's rows become their log-probs, and d_logits where gradients are wanted (zero rows where masked).
void reduce_rows(const at::Tensor& logits_TW, const HeadGradient& wanted, int64_t first, const ChunkOutput& out) {
  const int64_t vocab = logits_TW.size(1);
  float* logits = logits_TW.mutable_data_ptr<float>();
  parallel_ranges(logits_TW.size(0), kRowsATask, [&](int64_t begin, int64_t end) {
    std::array<HeadLossRows::Row, kRowsATask> rows;
    for (int64_t t = begin; t < end; ++t) {
      HeadLossRows::Row& row = rows[size_t(t - begin)];
      row = {0, 0, 1, -1};
      FB_ASSERT(out.targets[t] < vocab, "a target is a token id");
      if (out.targets[t] >= 0) row = head_loss_rows().row(vocab, logits + t * vocab, out.targets[t]);
      out.logprob[t] = row.logprob, out.lse[t] = row.lse, out.argmax[t] = row.argmax;
    }
    if (!wanted.d_head_WD.defined()) return;
    std::array<float, kRowsATask> weights;
    weigh(wanted, first, begin, end, out.logprob, weights);
    for (int64_t t = begin; t < end; ++t) {
      if (out.targets[t] < 0) {
        std::fill_n(logits + t * vocab, vocab, 0.0f);
        continue;
      }
      head_loss_rows().gradient(vocab, logits + t * vocab, out.targets[t], rows[size_t(t - begin)],
                                float(wanted.scale) * weights[size_t(t - begin)], float(wanted.z_scale));
    }
  });
}

}  // namespace

HeadLoss head_loss(const at::Tensor& h_TD, const WeightOperand& head_WD, const at::Tensor& targets_T, const HeadGradient& wanted) {
  FB_ASSERT(!wanted.weights_T.defined() || (wanted.weights_T.is_contiguous() && wanted.weights_T.numel() == targets_T.numel()),
            "a weight for every row");
  if (backend_of(h_TD) == Backend::kRef) return head_loss_ref(head_WD.input_numbers(h_TD), head_WD.forward_numbers(), targets_T, wanted);
  const Rows h = rows_of(h_TD);
  const int64_t vocab = head_WD.n();
  const bool gradients = wanted.d_head_WD.defined();
  const at::Tensor ids_T = targets_T.contiguous();
  HeadLoss loss{at::empty({h.count}, h_TD.options()), at::empty({h.count}, h_TD.options()), at::empty({h.count}, ids_T.options()), {}};
  if (gradients) loss.dh_TD = at::empty({h.count, h.columns}, h_TD.options());
  const at::Tensor logits = at::empty({std::min(kHeadLossRows, h.count), vocab}, h_TD.options());
  for (int64_t first = 0; first < h.count; first += kHeadLossRows) {
    const int64_t rows = std::min(kHeadLossRows, h.count - first);
    const at::Tensor logits_TW = logits.slice(0, 0, rows);
    float* data = logits_TW.mutable_data_ptr<float>();
    gemm_packed(rows, vocab, h.columns, {h.at(first), h.stride, 1}, head_WD.forward(), data, vocab, false);
    reduce_rows(logits_TW, wanted, first,
                {ids_T.const_data_ptr<int64_t>() + first, loss.logprob_T.mutable_data_ptr<float>() + first,
                 loss.lse_T.mutable_data_ptr<float>() + first, loss.argmax_T.mutable_data_ptr<int64_t>() + first});
    if (!gradients) continue;
    gemm_packed(rows, h.columns, vocab, {data, vocab, 1}, head_WD.backward(), loss.dh_TD.mutable_data_ptr<float>() + first * h.columns,
                h.columns, false);
    linear_wgrad_(wanted.d_head_WD, logits_TW, h_TD.slice(0, first, first + rows));
  }
  return loss;
}

RowSoftmax row_softmax(std::span<const float> logits_W, float* exps_W) {
  const HeadLossRows::Softmax softmax = head_loss_rows().softmax(int64_t(logits_W.size()), logits_W.data(), exps_W);
  return {int32_t(softmax.argmax), softmax.highest, softmax.log_sum};
}

float token_logprob(std::span<const float> logits_W, int64_t id) {
  FB_ASSERT(id >= 0 && id < int64_t(logits_W.size()), "a token id");
  if (kernel_variant() != Variant::kRef) return row_softmax(logits_W).logprob(logits_W[size_t(id)]);
  const at::Tensor row_W = at::tensor(at::ArrayRef<float>(logits_W.data(), logits_W.size()));
  return logits_W[size_t(id)] - at::logsumexp(row_W, {0}).item<float>();
}

}  // namespace finback
