// A folder of token shards as finback tokenize writes it: tokens.json (the list of shards; written last, so a folder without it is not
// finished), <split>-NNNNN.shard, the tokenizer's files, tokenizer_info.json. One split is one stream of tokens with document ends.
// Immutable after opening; every function may be called from any thread.
#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "data/token_shard.h"

namespace finback {

// tokenizer_info.json: what a model must know of the tokenizer, and which tokenizer.json it was.
struct TokenizerInfo {
  int64_t vocab_size = 0;
  std::optional<int64_t> bos_token_id, eos_token_id;
  uint64_t hash = 0;  // of tokenizer.json
};

class TokenStream {
 public:
  // The shards of one split, in order.
  explicit TokenStream(std::vector<TokenShard> shards);

  int64_t tokens() const { return starts_.back(); }
  int64_t documents() const { return documents_; }
  int64_t text_bytes() const { return text_bytes_; }
  const std::vector<TokenShard>& shards() const { return shards_; }

  // Appends tokens [begin, begin + count). REQUIRES: inside the stream.
  void append_tokens(int64_t begin, int64_t count, std::vector<int32_t>& out) const;
  // The end (exclusive) of the document that holds token `index`, and its surplus bytes. REQUIRES: 0 <= index < tokens().
  ShardDocument document_at(int64_t index) const;
  int64_t bytes_of(int32_t id) const { return int64_t(shards_.front().bytes_of_id()[size_t(id)]); }

 private:
  size_t shard_of(int64_t index) const;
  std::vector<TokenShard> shards_;
  std::vector<int64_t> starts_;  // first token of each shard, then the total
  int64_t documents_ = 0, text_bytes_ = 0;
};

class TokenCorpus {
 public:
  // Opens and verifies both splits. Throws Error for a missing, unfinished, damaged or mixed-up folder.
  explicit TokenCorpus(const std::filesystem::path& folder);

  const std::filesystem::path& folder() const { return folder_; }
  const TokenizerInfo& tokenizer() const { return tokenizer_; }
  const TokenStream& train() const { return train_; }
  const TokenStream& validation() const { return validation_; }
  // 16 hex digits over tokenizer and shard contents: equal when and only when the tokens are.
  const std::string& fingerprint() const { return fingerprint_; }
  // See why_older_than_corpus in data/corpus_stamp.h.
  std::string why_older() const;

 private:
  std::filesystem::path folder_;
  Json index_;
  TokenizerInfo tokenizer_;
  TokenStream train_, validation_;
  std::string fingerprint_;
};

// Both splits' payload hashes in order and the tokenizer's hash -> the fingerprint.
std::string token_fingerprint(uint64_t tokenizer_hash, const std::vector<uint64_t>& train, const std::vector<uint64_t>& validation);

constexpr int64_t kTokensVersion = 1;  // of tokens.json

}  // namespace finback
