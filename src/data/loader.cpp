#include "data/loader.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace finback {
namespace {

std::vector<double> weights_of(const LoaderOptions& options) {
  std::vector<double> weights;
  for (const LoaderOptions::Corpus& corpus : options.corpora) weights.push_back(corpus.weight);
  return weights;
}

// The stream's last token predicts nothing, so it needs no place as an input of its own row.
int64_t rows_of(const TokenStream& stream, int64_t seq_len) { return (std::max<int64_t>(0, stream.tokens() - 1) + seq_len - 1) / seq_len; }

}  // namespace

Loader::Loader(const LoaderOptions& options) : options_(options), mixture_(weights_of(options), options.seed) {
  FB_CHECK(!options.corpora.empty(), "data.corpora: expected at least one folder of token shards, got none");
  FB_CHECK(options.seq_len >= 1, "data.seq_len: expected at least 1, got {}", options.seq_len);
  for (const LoaderOptions::Corpus& corpus : options.corpora) {
    corpora_.push_back(std::make_unique<TokenCorpus>(corpus.path));
    const TokenCorpus& opened = *corpora_.back();
    FB_CHECK(rows_of(opened.train(), options.seq_len) > 0,
             "{}: expected training text, got none. Hint: the recipe's split left nothing to train on", corpus.path.string());
    FB_CHECK(opened.tokenizer().hash == tokenizer().hash,
             "{}: expected the tokenizer of {} ({:016x}), got {:016x}. Hint: tokenize all corpora with one", corpus.path.string(),
             options.corpora[0].path.string(), tokenizer().hash, opened.tokenizer().hash);
  }
}

int64_t Loader::epoch_rows(size_t index) const { return rows_of(corpus(index).train(), options_.seq_len); }

PackedRows Loader::next(int64_t rows) {
  PackedRows packed = rows_at(cursor_, rows);
  cursor_ += rows;
  return packed;
}

void Loader::seek(int64_t cursor) {
  FB_CHECK(cursor >= 0, "data cursor: expected a row number from 0, got {}", cursor);
  cursor_ = cursor;
}

PackedRows Loader::rows_at(int64_t first, int64_t count) const {
  PackedRows packed;
  for (int64_t row = first; row < first + count; ++row) {
    const Mixture::Place place = mixture_.at(row);
    const int64_t size = epoch_rows(place.corpus), epoch = place.index / size;
    append_row(corpora_[place.corpus]->train(), permuted(place.index % size, size, options_.seed, uint32_t(place.corpus), epoch), packed);
  }
  return packed;
}

int64_t Loader::validation_rows() const { return rows_of(corpora_.front()->validation(), options_.seq_len); }

PackedRows Loader::validation_row(int64_t row) const {
  FB_ASSERT(row >= 0 && row < validation_rows(), "a row outside the validation split");
  PackedRows packed;
  append_row(corpora_.front()->validation(), row, packed);
  return packed;
}

std::string Loader::fingerprint() const {
  std::string all;
  for (const auto& corpus : corpora_) all += corpus->fingerprint();
  return corpora_.size() == 1 ? all : fmt::format("{:016x}", xxhash64(all));
}

void Loader::append_row(const TokenStream& stream, int64_t row, PackedRows& out) const {
  const int64_t T = options_.seq_len, begin = row * T, end = std::min(begin + T, stream.tokens());
  const size_t base = out.tokens.size();
  stream.append_tokens(begin, end - begin, out.tokens);
  out.targets.insert(out.targets.end(), out.tokens.begin() + int64_t(base) + 1, out.tokens.end());
  if (end < stream.tokens()) {
    stream.append_tokens(end, 1, out.targets);
  } else {
    out.targets.push_back(kMaskedTarget);
  }
  out.tokens.resize(base + size_t(T), kPadId);
  out.targets.resize(base + size_t(T), kMaskedTarget);

  for (int64_t i = begin; i < begin + T;) {  // one document's part of the row, then the filling
    const bool text = i < end;
    const ShardDocument document = text ? stream.document_at(i) : ShardDocument{uint64_t(begin + T), 0};
    const int64_t document_end = int64_t(document.end), stop = std::min(document_end, begin + T);
    if (options_.document_mask || i == begin) out.starts.push_back(int64_t(base) + i - begin);
    for (int64_t j = i; j < stop; ++j) {
      const int64_t place = j - begin;
      out.positions.push_back(int32_t(int64_t(base) + place - out.starts.back()));
      int32_t& target = out.targets[base + size_t(place)];
      if (j + 1 >= document_end) target = kMaskedTarget;  // the next token is another document's
      if (target == kMaskedTarget) continue;
      ++out.valid_targets;
      out.target_bytes += stream.bytes_of(target) + (j + 2 == document_end ? document.surplus : 0);
    }
    i = stop;
  }
  ++out.rows;
}

}  // namespace finback
