#include "model/mtp.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "base/error.h"
#include "kernels/embedding.h"
#include "kernels/permute.h"

// Note [Handed on]
// Eq. 21 joins "the representation of depth k - 1" and eq. 23 gives the head that of depth k, without a word on norms. What depth 0 hands on in
// DeepSeek's checkpoints is the main model's state behind model.norm, the head's own input; hnorm was fit on that. Each further depth does the same:
// its state behind its own shared_head.norm is read by the head and joined by the next depth. transformers (MtpLayer returns its state behind
// the norm) and, since 2026, vLLM and ATOM chain depths so (vLLM 47448, ATOM 1764: acceptance rose at depth 2 and beyond); the norm's weights
// make the two choices different models, and norm weights of one hide it.

namespace finback {
namespace {

// Rows of the depth below -> rows of this depth, -1 for the last row of each sequence, which has no next token.
std::vector<int64_t> kept_rows(const Batch& below, std::vector<int64_t>& new_row) {
  std::vector<int64_t> rows;
  new_row.assign(size_t(below.tokens()), -1);
  for (const Sequence& s : below.sequences) {
    for (int64_t row = s.first_row; row < s.first_row + s.rows - 1; ++row) {
      new_row[size_t(row)] = int64_t(rows.size());
      rows.push_back(row);
    }
  }
  return rows;
}

// A segment's rows that are left, as one segment: only the last row of a sequence drops out.
KeySegment shortened(const KeySegment& segment, const std::vector<int64_t>& new_row) {
  KeySegment left{segment.where, 0, 0};
  for (int64_t row = segment.begin; row < segment.begin + segment.count; ++row) {
    if (new_row[size_t(row)] < 0) continue;
    if (left.count++ == 0) left.begin = new_row[size_t(row)];
  }
  return left;
}

}  // namespace

MtpRows mtp_rows(const Batch& below) {
  std::vector<int64_t> new_row;
  const std::vector<int64_t> rows = kept_rows(below, new_row);
  MtpRows depth;
  depth.rows = at::tensor(rows, at::kLong).to(below.tokens_T.device());
  depth.batch.tokens_T = next_in_sequence(below.tokens_T, depth.rows);
  depth.batch.positions_T = below.positions_T.index_select(0, depth.rows);
  int64_t first_row = 0;
  for (const Sequence& s : below.sequences) {
    Sequence left = s;
    left.first_row = first_row;
    left.rows = std::max<int64_t>(0, s.rows - 1);
    for (KeySegment& segment : left.keys) {
      if (segment.where == KeySegment::Where::kBatch) segment = shortened(segment, new_row);
      if (segment.count == 0) segment.begin = first_row;
    }
    first_row += left.rows;
    depth.batch.sequences.push_back(std::move(left));
  }
  // A balance row keeps those of its rows that are left.
  for (const int64_t start : below.balance_starts) {
    depth.batch.balance_starts.push_back(std::lower_bound(rows.begin(), rows.end(), start) - rows.begin());
  }
  return depth;
}

at::Tensor next_in_sequence(const at::Tensor& values_T, const at::Tensor& rows) { return values_T.index_select(0, rows + 1); }

MtpModule::MtpModule(const ModelConfig& config, const Parameters& parameters, int64_t layer, const at::Tensor& embedding_WD)
    : embedding_WD_(embedding_WD),
      embedding_norm_(parameters, layer_prefix(layer) + "enorm", config.rms_norm_eps),
      hidden_norm_(parameters, layer_prefix(layer) + "hnorm", config.rms_norm_eps),
      head_norm_(parameters, layer_prefix(layer) + "shared_head.norm", config.rms_norm_eps),
      eh_proj_(parameters, layer_prefix(layer) + "eh_proj"),
      block_(config, parameters, layer) {}

at::Tensor MtpModule::forward(const MtpRows& rows, const at::Tensor& hidden_TD, const std::shared_ptr<ForwardPass>& pass,
                              const at::Tensor& d_embedding_WD) const {
  return norm_only(head_norm_, block_.forward(join(rows, hidden_TD, d_embedding_WD), pass));  // V3 eq. 22
}

// V3 eq. 21. Differs from it as DeepSeek's checkpoints do: the embedding comes first, and the hidden state has passed the norm above it.
at::Tensor MtpModule::join(const MtpRows& rows, const at::Tensor& hidden_TD, const at::Tensor& d_embedding_WD) const {
  return sub_layer(hidden_TD, [&](bool keep) {
    const at::Tensor e_TD = finback::embedding(rows.batch.tokens_T, embedding_WD_), h_TD = permute(hidden_TD, rows.rows);
    const RmsNorm e_norm = embedding_norm_.forward(e_TD), h_norm = hidden_norm_.forward(h_TD);
    const at::Tensor joined_T2D = at::cat({e_norm.y_TD, h_norm.y_TD}, 1);
    LayerResult result{eh_proj_.forward(joined_T2D), {}};
    if (!keep) return result;
    result.backward = [this, e_TD, h_TD, e_rstd_T = e_norm.rstd_T, h_rstd_T = h_norm.rstd_T, joined_T2D, tokens_T = rows.batch.tokens_T,
                       kept = rows.rows, total = hidden_TD.size(0), d_embedding_WD](const at::Tensor& dy_TD) {
      const at::Tensor d_T2D = eh_proj_.backward(dy_TD, joined_T2D);
      const int64_t d = d_T2D.size(1) / 2;
      embedding_backward_(d_embedding_WD, tokens_T, embedding_norm_.backward(d_T2D.slice(1, 0, d).contiguous(), e_TD, e_rstd_T));
      const at::Tensor dh_TD = hidden_norm_.backward(d_T2D.slice(1, d).contiguous(), h_TD, h_rstd_T);
      return at::zeros({total, d}, dh_TD.options()).index_copy_(0, kept, dh_TD);
    };
    return result;
  });
}

}  // namespace finback
