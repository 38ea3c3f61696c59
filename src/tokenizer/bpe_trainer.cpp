#include "tokenizer/bpe_trainer.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "base/error.h"
#include "base/pool.h"
#include "tokenizer/byte_symbols.h"
#include "tokenizer/known_patterns.h"
#include "tokenizer/special_tokens.h"
#include "tokenizer/utf8.h"

namespace finback {
namespace {

constexpr size_t kChunkBytes = 256 << 10;    // what one thread counts at a time
constexpr size_t kCountBytes = 32 << 20;     // what all threads count before their tables are joined
constexpr size_t kLongestStretch = 1 << 20;  // where a text without a place to cut is cut all the same
constexpr size_t kLongestWord = 16 << 10;    // a longer one counts as several: it is no word
constexpr int64_t kMaxVocabSize = 1 << 21;   // what Tokenizer::load accepts

// The longest beginning of at most `most` bytes that does not end within a character. REQUIRES: most >= 4.
size_t cut_between_characters(std::string_view text, size_t most) {
  if (text.size() <= most) return text.size();
  size_t end = most;
  while (end > most - 3 && (uint8_t(text[end]) & 0xC0) == 0x80) --end;
  return end;
}

// Documents as stretches of about kChunkBytes, cut where no word can reach across.
std::vector<std::string_view> cut_documents(std::span<const std::string_view> documents) {
  std::vector<std::string_view> stretches;
  for (std::string_view rest : documents) {
    while (!rest.empty()) {
      size_t end = rest.size();
      if (end > kChunkBytes) end = safe_cut(rest.substr(0, kLongestStretch), kChunkBytes);
      if (end == kLongestStretch && end < rest.size()) end = cut_between_characters(rest, kChunkBytes);
      stretches.push_back(rest.substr(0, end));
      rest.remove_prefix(end);
    }
  }
  return stretches;
}

void count_words(std::string_view text, std::vector<ByteRange>& pieces, WordCounts& counts) {
  std::string repaired;
  if (utf8_valid_prefix(text) != text.size()) text = repaired = utf8_lossy(text);
  pieces.clear();
  split_known(KnownPattern::kDeepSeek, text, {0, uint32_t(text.size())}, pieces);
  for (const ByteRange& piece : pieces) {
    for (std::string_view rest = text.substr(piece.begin, piece.end - piece.begin); !rest.empty();) {
      const size_t length = cut_between_characters(rest, kLongestWord);
      counts.add(rest.substr(0, length), 1);
      rest.remove_prefix(length);
    }
  }
}

}  // namespace

int64_t minimum_vocab_size() { return kFirstMergeId + int64_t(chat_tokens().size()); }

int64_t usual_vocab_size(int64_t text_bytes) {
  const double power = std::round(std::log2(std::max(1.0, double(text_bytes))) / 2);
  return int64_t(1) << std::clamp<int64_t>(int64_t(power), 10, 17);
}

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

void BpeTrainer::add(std::span<const std::string_view> documents, const std::function<void(int64_t)>& on_progress) {
  const std::vector<std::string_view> stretches = cut_documents(documents);
  for (size_t begin = 0; begin < stretches.size();) {
    size_t end = begin, bytes = 0;
    for (; end < stretches.size() && bytes < kCountBytes; ++end) bytes += stretches[end].size();
    count(std::span(stretches).subspan(begin, end - begin));
    bytes_ += int64_t(bytes);
    begin = end;
    if (on_progress) on_progress(bytes_);
  }
}

// The threads' tables are joined after every few tens of megabytes, so that what is forgotten does not depend on which thread counted what.
void BpeTrainer::count(std::span<const std::string_view> stretches) {
  std::vector<size_t> chunk_begins;  // neighbouring small documents make one chunk
  size_t chunk_bytes = kChunkBytes;
  for (size_t i = 0; i < stretches.size(); ++i) {
    if (chunk_bytes >= kChunkBytes) {
      chunk_begins.push_back(i);
      chunk_bytes = 0;
    }
    chunk_bytes += stretches[i].size();
  }
  parallel_for(int64_t(chunk_begins.size()), [&](int64_t chunk) {
    const size_t begin = chunk_begins[size_t(chunk)];
    const size_t end = size_t(chunk) + 1 < chunk_begins.size() ? chunk_begins[size_t(chunk) + 1] : stretches.size();
    auto counts = borrow();
    std::vector<ByteRange> pieces;
    for (size_t i = begin; i < end; ++i) count_words(stretches[i], pieces, *counts);
    give_back(std::move(counts));
  });
  for (const auto& table : idle_) {
    for (size_t i = 0; i < table->words.size(); ++i) all_.add(table->words[i], table->counts[i]);
  }
  idle_.clear();
  forgotten_bytes_ += all_.trim(most_word_bytes_);
}

std::vector<MergePair> BpeTrainer::train(int64_t vocab_size, const std::function<void(int64_t)>& on_progress) {
  const int64_t least = minimum_vocab_size();
  FB_CHECK(vocab_size >= least && vocab_size <= kMaxVocabSize, "--vocab-size: expected {} (bytes, special and chat tokens) to {}, got {}",
           least, kMaxVocabSize, vocab_size);
  std::array<int32_t, 256> byte_ids;
  for (size_t i = 0; i < 256; ++i) byte_ids[bytes_in_symbol_order()[i]] = kFirstByteId + int32_t(i);
  return find_merges(std::exchange(all_, {}), byte_ids, kFirstMergeId, vocab_size - least, on_progress);
}

}  // namespace finback
