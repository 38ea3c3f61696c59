// Writes a folder of token shards document by document: the counterpart of TokenCorpus. Documents stay whole; a shard is closed when the
// next document would make it longer than the limit. The same documents give the same bytes. One thread.
#pragma once
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "data/token_corpus.h"

namespace finback {

class TokenWriter {
 public:
  // Removes shards and tokens.json of an earlier run. REQUIRES: tokenizer.json lies in the folder and is info.hash.
  TokenWriter(std::filesystem::path folder, TokenizerInfo info, std::vector<uint32_t> bytes_of_id, int64_t shard_tokens = kShardTokens);

  // "train", then "validation".
  void begin_split(const std::string& split);
  // A document's ids with its special tokens; text_bytes: its raw UTF-8 bytes. REQUIRES: ids is not empty; ids in the vocabulary.
  void add(std::span<const uint32_t> ids, uint64_t text_bytes);
  // Writes tokenizer_info.json and, last, tokens.json, with `corpus` (corpus_stamp_json) in it when it is no null. Returns the fingerprint.
  std::string finish(const Json& corpus = nullptr);

  struct Count {
    int64_t documents = 0, tokens = 0, bytes = 0;
  };
  Count count(const std::string& split) const;

  // 64 MB of u16: large enough for sequential reading, small enough to build in memory.
  static constexpr int64_t kShardTokens = int64_t(1) << 25;

 private:
  struct Split {
    std::string name;
    Count count;
    std::vector<std::string> files;
    std::vector<uint64_t> hashes;
  };
  void close_shard();
  std::filesystem::path folder_;
  TokenizerInfo info_;
  int64_t shard_tokens_;
  std::vector<Split> splits_;
  ShardContents open_;
};

}  // namespace finback
