// One multi-token-prediction module, V3 section 2.2 eq. 21-23: joins the hidden state of a row and the embedding of the next token of its
// sequence, runs one block, and norms. Depth k of the paper is module k - 1 here. Embedding and head are the main model's.
#pragma once
#include <ATen/core/Tensor.h>

#include <memory>

#include "model/block.h"

namespace finback {

// What moves from one depth to the next: the rows that have a next token, in the order of their batch. Token, target or greedy token of a row of
// depth k is that of the row behind it in the depth below.
struct MtpRows {
  Batch batch;      // tokens_T holds the tokens that the rows consume
  at::Tensor rows;  // i64: the rows in the batch of the depth below
};
MtpRows mtp_rows(const Batch& below);
// values_T (tokens, targets, greedy tokens) of the depth below, brought to the rows of this depth.
at::Tensor next_in_sequence(const at::Tensor& values_T, const at::Tensor& rows);

class MtpModule {
 public:
  // `layer` = L + k: its index in names and in the cache.
  MtpModule(const ModelConfig& config, const Parameters& parameters, int64_t layer, const at::Tensor& embedding_WD);
  // Returns the block's output behind shared_head.norm: what the shared head reads and what the next depth joins, see Note [Handed on].
  // d_embedding_WD: where this depth's part of the embedding's gradient goes (may be undefined).
  at::Tensor forward(const MtpRows& rows, const at::Tensor& hidden_TD, const std::shared_ptr<ForwardPass>& pass,
                     const at::Tensor& d_embedding_WD) const;
  Block& block() { return block_; }
  void for_each_projection(const ProjectionVisitor& visit) { visit(eh_proj_.weight), block_.for_each_projection(visit); }
  void prepare(MlaAlgebra algebra, bool backward) { eh_proj_.prepare(backward), block_.prepare(algebra, backward); }

 private:
  at::Tensor join(const MtpRows& rows, const at::Tensor& hidden_TD, const at::Tensor& d_embedding_WD) const;
  at::Tensor embedding_WD_;
  Norm embedding_norm_, hidden_norm_, head_norm_;
  Linear eh_proj_;
  Block block_;
};

}  // namespace finback
