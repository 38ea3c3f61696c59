// One file of tokens: whole documents one after the other, memory-mapped on reading. Layout, little-endian:
//   128-byte header (ShardHeader) | tokens, u16 or u32 each, padded to 8 bytes | documents, ShardDocument each | bytes of each id, u32 each
// The header carries a hash of all that follows and one of itself. Knows nothing of rows, splits or folders: see token_corpus.h.
#pragma once
#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include "base/file.h"

namespace finback {

constexpr uint32_t kShardVersion = 1;

// A document ends (exclusive) at token `end` of its shard. `surplus`: raw UTF-8 bytes of the document's text minus the bytes of its tokens,
// 0 unless the tokenizer changes text (normal forms, special tokens spelt out in it); the document's last token carries it, so that
// bits per byte over whole documents are exact over raw text with every tokenizer.
struct ShardDocument {
  uint64_t end = 0;
  int64_t surplus = 0;
};

// What a shard is written from. Ids lie in [0, bytes_of_id.size()); bytes_of_id: raw bytes that an id stands for, 0 for begin- and
// end-of-text.
struct ShardContents {
  std::vector<uint32_t> tokens;
  std::vector<ShardDocument> documents;
  std::vector<uint32_t> bytes_of_id;
  uint64_t text_bytes = 0;      // raw UTF-8 bytes of the documents
  uint64_t tokenizer_hash = 0;  // of the tokenizer.json that made the ids
};

// Atomic. Returns the hash of the payload. The same contents give the same bytes.
uint64_t write_shard(const std::filesystem::path& path, const ShardContents& contents);

class TokenShard {
 public:
  // Maps the file, checks header, length, hashes and the document list. Throws Error naming what is wrong: other format, other version,
  // cut short, damaged.
  explicit TokenShard(const std::filesystem::path& path);

  int64_t tokens() const { return tokens_; }
  int64_t text_bytes() const { return text_bytes_; }
  uint64_t tokenizer_hash() const { return tokenizer_hash_; }
  uint64_t payload_hash() const { return payload_hash_; }
  std::span<const ShardDocument> documents() const { return documents_; }
  std::span<const uint32_t> bytes_of_id() const { return bytes_of_id_; }
  // Appends tokens [begin, begin + count). Throws Error for an id outside the vocabulary. REQUIRES: the range lies in the shard.
  void append_tokens(int64_t begin, int64_t count, std::vector<int32_t>& out) const;

 private:
  std::filesystem::path path_;
  MappedFile file_;
  int64_t tokens_ = 0, text_bytes_ = 0;
  uint64_t tokenizer_hash_ = 0, payload_hash_ = 0;
  const uint16_t* narrow_ = nullptr;  // one of the two is set
  const uint32_t* wide_ = nullptr;
  std::span<const ShardDocument> documents_;
  std::span<const uint32_t> bytes_of_id_;
};

}  // namespace finback
