#include "tokenizer/bpe_trainer.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/pool.h"
#include "tokenizer/byte_symbols.h"
#include "tokenizer/known_patterns.h"
#include "tokenizer/special_tokens.h"
#include "tokenizer/utf8.h"

namespace finback {
namespace {

constexpr size_t kChunkBytes = 256 << 10;   // what one thread counts at a time
constexpr int64_t kMaxVocabSize = 1 << 21;  // what Tokenizer::load accepts

// Documents as stretches of about kChunkBytes, cut only where no word can reach across.
std::vector<std::string_view> cut_documents(std::span<const std::string_view> documents) {
  std::vector<std::string_view> stretches;
  for (std::string_view rest : documents) {
    while (!rest.empty()) {
      const size_t end = rest.size() <= kChunkBytes ? rest.size() : safe_cut(rest, kChunkBytes);
      stretches.push_back(rest.substr(0, end));
      rest.remove_prefix(end);
    }
  }
  return stretches;
}

void count_words(std::string_view text, std::vector<ByteRange>& pieces, WordCounts& counts) {
  std::string repaired;
  if (utf8_valid_prefix(text) != text.size()) text = repaired = utf8_lossy(text);
  FB_CHECK(text.size() < UINT32_MAX, "expected less than 4 GiB of text without a blank, got {} bytes", text.size());
  pieces.clear();
  split_known(KnownPattern::kDeepSeek, text, {0, uint32_t(text.size())}, pieces);
  for (const ByteRange& piece : pieces) counts.add(text.substr(piece.begin, piece.end - piece.begin), 1);
}

}  // namespace

int64_t minimum_vocab_size() { return kFirstMergeId + int64_t(chat_tokens().size()); }

std::unique_ptr<WordCounts> BpeTrainer::borrow() {
  std::lock_guard lock(mutex_);
  if (idle_.empty()) return std::make_unique<WordCounts>();
  auto counts = std::move(idle_.back());
  idle_.pop_back();
  return counts;
}

void BpeTrainer::give_back(std::unique_ptr<WordCounts> counts) {
  std::lock_guard lock(mutex_);
  idle_.push_back(std::move(counts));
}

void BpeTrainer::add(std::span<const std::string_view> documents) {
  const std::vector<std::string_view> stretches = cut_documents(documents);
  std::vector<size_t> chunk_begins;  // neighbouring small documents make one chunk
  size_t chunk_bytes = kChunkBytes;
  for (size_t i = 0; i < stretches.size(); ++i) {
    if (chunk_bytes >= kChunkBytes) {
      chunk_begins.push_back(i);
      chunk_bytes = 0;
    }
    chunk_bytes += stretches[i].size();
    bytes_ += int64_t(stretches[i].size());
  }
  parallel_for(int64_t(chunk_begins.size()), [&](int64_t chunk) {
    const size_t begin = chunk_begins[size_t(chunk)];
    const size_t end = size_t(chunk) + 1 < chunk_begins.size() ? chunk_begins[size_t(chunk) + 1] : stretches.size();
    auto counts = borrow();
    std::vector<ByteRange> pieces;
    for (size_t i = begin; i < end; ++i) count_words(stretches[i], pieces, *counts);
    give_back(std::move(counts));
  });
}

std::vector<MergePair> BpeTrainer::train(int64_t vocab_size) {
  const int64_t least = minimum_vocab_size();
  FB_CHECK(vocab_size >= least && vocab_size <= kMaxVocabSize, "--vocab-size: expected {} (bytes, special and chat tokens) to {}, got {}",
           least, kMaxVocabSize, vocab_size);
  auto all = borrow();
  for (const auto& other : idle_) {
    for (size_t i = 0; i < other->words.size(); ++i) all->add(other->words[i], other->counts[i]);
  }
  idle_.clear();
  std::array<int32_t, 256> byte_ids;
  for (size_t i = 0; i < 256; ++i) byte_ids[bytes_in_symbol_order()[i]] = kFirstByteId + int32_t(i);
  std::vector<MergePair> merges = find_merges(*all, byte_ids, kFirstMergeId, vocab_size - least);
  give_back(std::move(all));
  return merges;
}

}  // namespace finback
