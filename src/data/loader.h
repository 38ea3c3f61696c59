// Packed training rows from token corpora, in one endless global order. The state is one integer, the cursor: rows given out so far.
//
// Note [Rows]: a split is one stream of tokens, document after document. Row r of it holds the tokens [r T, r T + T) as inputs; the target
// of an input is the next token of the stream, or -1 (masked) where that belongs to another document. Nothing is cropped or dropped: a
// document longer than a row goes on in the next row, a row holds as many documents as fit, and each token that has a token of its own
// document before it is a target exactly once an epoch. Only the last row is short and filled up (kPadId, masked, a sequence of its own).
// An epoch gives every row once, in an order that is a pure function of (seed, corpus, epoch); epochs follow each other without end, and
// corpora are interleaved by weight (row_order.h). So rows are a pure function of the global row number: any cut into micro-batches, any
// restart and any number of workers that share the numbers among them see the same rows.
//
// Knows no tensors and no training. Const functions may be called from any thread.
#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "data/row_order.h"
#include "data/token_corpus.h"

namespace finback {

constexpr int32_t kMaskedTarget = -1;
constexpr int32_t kPadId = 0;

// Rows of seq_len tokens, one after the other.
struct PackedRows {
  int64_t rows = 0;
  std::vector<int32_t> tokens, targets;  // [rows, seq_len]
  std::vector<int32_t> positions;        // [rows, seq_len], from 0 at each start
  std::vector<int64_t> starts;           // flat index of the first token of each sequence, rising; every row begins with one
  int64_t valid_targets = 0;             // those that are not masked
  int64_t target_bytes = 0;              // raw UTF-8 bytes of the valid targets
};

struct LoaderOptions {
  struct Corpus {
    std::filesystem::path path;
    double weight = 1;
  };
  std::vector<Corpus> corpora;
  int64_t seq_len = 256;
  bool document_mask = true;  // a sequence is a document's part of a row; false: a sequence is a row (targets stay inside documents)
  uint64_t seed = 1;
};

class Loader {
 public:
  // Opens the corpora. Throws Error for missing or damaged shards, an empty training split, or tokenizers that differ.
  explicit Loader(const LoaderOptions& options);

  const TokenizerInfo& tokenizer() const { return corpora_.front()->tokenizer(); }
  const TokenCorpus& corpus(size_t index) const { return *corpora_.at(index); }
  int64_t seq_len() const { return options_.seq_len; }
  // Rows of an epoch of one corpus.
  int64_t epoch_rows(size_t index) const;

  // The rows at the cursor, which moves behind them.
  PackedRows next(int64_t rows);
  int64_t cursor() const { return cursor_; }
  // REQUIRES: cursor >= 0.
  void seek(int64_t cursor);
  // Rows [first, first + count) of the global order; the cursor stays.
  PackedRows rows_at(int64_t first, int64_t count) const;

  // The first corpus's validation split: rows in stream order, every validation target once.
  int64_t validation_rows() const;
  PackedRows validation_row(int64_t row) const;

  // Over the corpora's fingerprints, in order: a cursor means the same rows only for equal fingerprints (and equal options).
  std::string fingerprint() const;

 private:
  void append_row(const TokenStream& stream, int64_t row, PackedRows& out) const;
  LoaderOptions options_;
  std::vector<std::unique_ptr<TokenCorpus>> corpora_;
  Mixture mixture_;
  int64_t cursor_ = 0;
};

}  // namespace finback
