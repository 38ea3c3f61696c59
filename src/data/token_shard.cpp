#include "data/token_shard.h"

#include <bit>
#include <cstring>

#include "base/error.h"

namespace finback {
namespace fs = std::filesystem;
namespace {

static_assert(std::endian::native == std::endian::little, "shards are little-endian and mapped as they are");

constexpr char kMagic[8] = {'F', 'B', 'T', 'O', 'K', 'E', 'N', 'S'};
constexpr uint64_t kMostOfAnything = uint64_t(1) << 40;  // keeps sums of hostile counts far from overflow

struct ShardHeader {
  char magic[8];
  uint32_t version, token_bytes;
  uint64_t tokens, documents, vocab_size, text_bytes, tokenizer_hash, payload_hash;
  uint64_t reserved[7];
  uint64_t header_hash;  // of the bytes before it
};
static_assert(sizeof(ShardHeader) == 128 && sizeof(ShardDocument) == 16);

uint64_t padded(uint64_t bytes) { return (bytes + 7) / 8 * 8; }
uint64_t payload_bytes(const ShardHeader& h) {
  return padded(h.tokens * h.token_bytes) + h.documents * sizeof(ShardDocument) + h.vocab_size * sizeof(uint32_t);
}
uint64_t hash_of(const ShardHeader& header) {
  return xxhash64(std::string_view(reinterpret_cast<const char*>(&header), offsetof(ShardHeader, header_hash)));
}

// The header alone: everything that can be said before the payload is looked at.
ShardHeader checked_header(std::span<const std::byte> bytes, const fs::path& path) {
  ShardHeader header{};
  FB_CHECK(bytes.size() >= sizeof header && std::memcmp(bytes.data(), kMagic, sizeof kMagic) == 0,
           "{}: expected a token shard, got {} bytes of something else. Hint: shards are written by finback tokenize", path.string(),
           bytes.size());
  std::memcpy(&header, bytes.data(), sizeof header);
  FB_CHECK(header.version == kShardVersion, "{}: expected shard version {}, got {}. Hint: run finback tokenize again", path.string(),
           kShardVersion, header.version);
  FB_CHECK(header.header_hash == hash_of(header),
           "{}: expected a header that matches its checksum, got a damaged one. Hint: run finback tokenize again", path.string());
  const bool sane = (header.token_bytes == 2 || header.token_bytes == 4) && header.tokens < kMostOfAnything &&
                    header.documents <= header.tokens && header.vocab_size < (uint64_t(1) << 31);
  FB_CHECK(sane,
           "{}: expected a token width of 2 or 4 and at most one document a token, got {} bytes, {} tokens, {} documents, vocabulary {}",
           path.string(), header.token_bytes, header.tokens, header.documents, header.vocab_size);
  const uint64_t expected = sizeof header + payload_bytes(header);
  FB_CHECK(bytes.size() == expected, "{}: expected {} bytes, got {}: the file was cut short or added to. Hint: run finback tokenize again",
           path.string(), expected, bytes.size());
  return header;
}

void check_documents(std::span<const ShardDocument> documents, uint64_t tokens, const fs::path& path) {
  uint64_t end = 0;
  for (const ShardDocument& document : documents) {
    FB_CHECK(document.end > end && document.end <= tokens,
             "{}: expected documents in order inside {} tokens, got one that ends at {} after {}", path.string(), tokens, document.end,
             end);
    end = document.end;
  }
  FB_CHECK(end == tokens, "{}: expected documents that cover {} tokens, got {}", path.string(), tokens, end);
}

}  // namespace

uint64_t write_shard(const fs::path& path, const ShardContents& contents) {
  const uint64_t vocab_size = contents.bytes_of_id.size();
  const bool narrow = vocab_size <= (uint64_t(1) << 16);
  std::string tokens(padded(contents.tokens.size() * (narrow ? 2 : 4)), '\0');
  for (size_t i = 0; i < contents.tokens.size(); ++i) {
    const uint32_t id = contents.tokens[i];
    FB_ASSERT(id < vocab_size, "a token outside the vocabulary reached the shard writer");
    std::memcpy(tokens.data() + i * (narrow ? 2 : 4), &id, narrow ? 2 : 4);  // little-endian: the low half comes first
  }
  const std::string_view documents(reinterpret_cast<const char*>(contents.documents.data()),
                                   contents.documents.size() * sizeof(ShardDocument));
  const std::string_view lengths(reinterpret_cast<const char*>(contents.bytes_of_id.data()), vocab_size * sizeof(uint32_t));

  ShardHeader header{};
  std::memcpy(header.magic, kMagic, sizeof kMagic);
  header.version = kShardVersion;
  header.token_bytes = narrow ? 2 : 4;
  header.tokens = contents.tokens.size();
  header.documents = contents.documents.size();
  header.vocab_size = vocab_size;
  header.text_bytes = contents.text_bytes;
  header.tokenizer_hash = contents.tokenizer_hash;
  // The hash of the parts, each seeded with the one before: writing needs no joined copy, reading walks the same cuts.
  header.payload_hash = xxhash64(lengths, xxhash64(documents, xxhash64(tokens)));
  header.header_hash = hash_of(header);
  AtomicFile file(path);
  file.write(&header, sizeof header);
  file.write(tokens);
  file.write(documents);
  file.write(lengths);
  file.commit();
  return header.payload_hash;
}

TokenShard::TokenShard(const fs::path& path) : path_(path), file_(path) {
  const ShardHeader header = checked_header(file_.bytes(), path);
  const std::span<const std::byte> tokens = file_.bytes().subspan(sizeof header, padded(header.tokens * header.token_bytes));
  const std::span<const std::byte> documents =
      file_.bytes().subspan(sizeof header + tokens.size(), header.documents * sizeof(ShardDocument));
  const std::span<const std::byte> lengths = file_.bytes().subspan(sizeof header + tokens.size() + documents.size());
  const uint64_t hash = xxhash64(lengths, xxhash64(documents, xxhash64(tokens)));
  FB_CHECK(hash == header.payload_hash,
           "{}: expected contents with checksum {:016x}, got {:016x}: the file is damaged. Hint: run finback tokenize again", path.string(),
           header.payload_hash, hash);
  tokens_ = int64_t(header.tokens);
  text_bytes_ = int64_t(header.text_bytes);
  tokenizer_hash_ = header.tokenizer_hash;
  payload_hash_ = header.payload_hash;
  if (header.token_bytes == 2) {
    narrow_ = reinterpret_cast<const uint16_t*>(tokens.data());
  } else {
    wide_ = reinterpret_cast<const uint32_t*>(tokens.data());
  }
  documents_ = {reinterpret_cast<const ShardDocument*>(documents.data()), header.documents};
  bytes_of_id_ = {reinterpret_cast<const uint32_t*>(lengths.data()), header.vocab_size};
  check_documents(documents_, header.tokens, path);
}

void TokenShard::append_tokens(int64_t begin, int64_t count, std::vector<int32_t>& out) const {
  FB_ASSERT(begin >= 0 && count >= 0 && begin + count <= tokens_, "a range outside the shard");
  for (int64_t i = begin; i < begin + count; ++i) {
    const uint32_t id = narrow_ ? narrow_[i] : wide_[i];
    FB_CHECK(id < bytes_of_id_.size(), "{}: expected ids below {}, got {} at token {}", path_.string(), bytes_of_id_.size(), id, i);
    out.push_back(int32_t(id));
  }
}

}  // namespace finback
