// Trains a byte-level BPE tokenizer in DeepSeek-V3's form: documents in, tokenizer.json and tokenizer_config.json out. Counting runs on the
// pool; the same documents give the same files at any thread count (of equal counts the pair with the smaller ids is merged first).
// Memory does not grow with the text: of very many distinct words the rarest are forgotten on the way (kMostWordBytes), and a word without
// end counts as several.
// One thread calls it. Ids: 0-2 bos, eos, pad; 3-258 the bytes; from 259 the merges in order of rank; the last ones are the chat tokens.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string_view>
#include <vector>

#include "tokenizer/merge_search.h"

namespace finback {

// The smallest vocabulary: special tokens, bytes, chat tokens.
int64_t minimum_vocab_size();
// What is usual for so many bytes of text: the power of two nearest to their square root, from 1024 to 131,072 (DeepSeek-V3's has 129,280 rows). A larger
// one would have tokens that the text hardly has; it also makes embedding and head a large part of a small model.
int64_t usual_vocab_size(int64_t text_bytes);

class BpeTrainer {
 public:
  // Bytes of distinct words that are remembered: some two million words, ten times those of a large dictionary. The search for merges needs
  // about 25 times as much.
  static constexpr size_t kMostWordBytes = size_t(24) << 20;
  explicit BpeTrainer(size_t most_word_bytes = kMostWordBytes) : most_word_bytes_(most_word_bytes) {}

  // Counts the words of some documents; invalid UTF-8 counts as U+FFFD. Many at a time are shared among the threads. A document may come in
  // several pieces, cut between words. on_progress(bytes so far) comes every few tens of megabytes.
  void add(std::span<const std::string_view> documents, const std::function<void(int64_t)>& on_progress = {});
  int64_t bytes() const { return bytes_; }                      // of all documents so far
  int64_t forgotten_bytes() const { return forgotten_bytes_; }  // of them: words too rare to be remembered
  // The merges for a vocabulary of this total size; on_progress as in find_merges. Forgets the words. Throws Error below minimum_vocab_size()
  // and above 2 million.
  std::vector<MergePair> train(int64_t vocab_size, const std::function<void(int64_t)>& on_progress = {});

 private:
  void count(std::span<const std::string_view> stretches);
  std::unique_ptr<WordCounts> borrow();
  void give_back(std::unique_ptr<WordCounts> counts);
  std::mutex mutex_;
  std::vector<std::unique_ptr<WordCounts>> idle_;  // one for each thread that ever counted at the same time
  WordCounts all_;
  size_t most_word_bytes_;
  int64_t bytes_ = 0, forgotten_bytes_ = 0;
};

// Writes both files. A text too small for so many merges leaves ids over: placeholder tokens take them, so that the embedding has exactly
// vocab_size rows.
void write_tokenizer(const std::filesystem::path& folder, const std::vector<MergePair>& merges, int64_t vocab_size);

}  // namespace finback
