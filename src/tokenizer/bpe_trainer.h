// Trains a byte-level BPE tokenizer in DeepSeek-V3's form: documents in, tokenizer.json and tokenizer_config.json out. Counting runs on the
// pool; the same bytes give the same files at any thread count (of equal counts the pair with the smaller ids is merged first).
// One thread calls it. Ids: 0-2 bos, eos, pad; 3-258 the bytes; from 259 the merges in order of rank; the last ones are the chat tokens.
#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <span>
#include <string_view>
#include <vector>

#include "tokenizer/merge_search.h"

namespace finback {

// The smallest vocabulary: special tokens, bytes, chat tokens.
int64_t minimum_vocab_size();

class BpeTrainer {
 public:
  // Counts the words of some documents; invalid UTF-8 counts as U+FFFD. Many at a time are shared among the threads.
  void add(std::span<const std::string_view> documents);
  int64_t bytes() const { return bytes_; }  // of all documents so far
  // The merges for a vocabulary of this total size. Throws Error below minimum_vocab_size() and above 2 million.
  std::vector<MergePair> train(int64_t vocab_size);

 private:
  std::unique_ptr<WordCounts> borrow();
  void give_back(std::unique_ptr<WordCounts> counts);
  std::mutex mutex_;
  std::vector<std::unique_ptr<WordCounts>> idle_;  // one for each thread that ever counted at the same time
  int64_t bytes_ = 0;
};

// Writes both files. A text too small for so many merges leaves ids over: placeholder tokens take them, so that the embedding has exactly
// vocab_size rows.
void write_tokenizer(const std::filesystem::path& folder, const std::vector<MergePair>& merges, int64_t vocab_size);

}  // namespace finback
