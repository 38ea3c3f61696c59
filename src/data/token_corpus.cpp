#include "data/token_corpus.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/program_name.h"
#include "data/corpus_stamp.h"

namespace finback {
namespace fs = std::filesystem;
namespace {

Json read_index(const fs::path& folder) {
  const fs::path path = folder / "tokens.json";
  FB_CHECK(fs::is_directory(folder),
           "{}: expected a folder of token shards, got none. Hint: --data.corpora=FOLDER where it was moved to, or finback tokenize CORPUS "
           "--tokenizer DIR --out {}",
           folder.string(), shell_word(folder.string()));
  FB_CHECK(fs::exists(path), "{}: expected tokens.json, got none: tokenizing did not finish, or this is no folder of finback tokenize",
           folder.string());
  Json index = read_json(path);
  const int64_t version = json_integer(index, "format_version", path.string(), 0, 1 << 20);
  FB_CHECK(version == kTokensVersion, "{}: expected format version {}, got {}. Hint: run finback tokenize again", path.string(),
           kTokensVersion, version);
  return index;
}

std::optional<int64_t> optional_id(const Json& info, const std::string& key, const std::string& what, int64_t vocab_size) {
  if (!info.contains(key) || info.at(key).is_null()) return std::nullopt;
  return json_integer(info, key, what, 0, vocab_size - 1);
}

TokenizerInfo read_tokenizer_info(const fs::path& folder) {
  const fs::path path = folder / "tokenizer_info.json";
  const Json info = read_json(path);
  TokenizerInfo tokenizer;
  tokenizer.vocab_size = json_integer(info, "vocab_size", path.string(), 1, (int64_t(1) << 31) - 1);
  tokenizer.bos_token_id = optional_id(info, "bos_token_id", path.string(), tokenizer.vocab_size);
  tokenizer.eos_token_id = optional_id(info, "eos_token_id", path.string(), tokenizer.vocab_size);
  tokenizer.hash = hash_file(folder / "tokenizer.json");
  const std::string expected = json_string(info, "tokenizer_hash", path.string()), got = fmt::format("{:016x}", tokenizer.hash);
  FB_CHECK(expected == got,
           "{}: expected the tokenizer.json that made these tokens ({}), got another ({}). Hint: run finback tokenize again",
           (folder / "tokenizer.json").string(), expected, got);
  return tokenizer;
}

TokenStream open_split(const fs::path& folder, const Json& index, const std::string& split, const TokenizerInfo& tokenizer) {
  const std::string what = (folder / "tokens.json").string();
  const Json& listed = json_at(json_at(index, split, what), "shards", what);
  FB_CHECK(listed.is_array(), "{}: expected a list of shards for {}, got {}", what, split, listed.type_name());
  std::vector<TokenShard> shards;
  for (const Json& entry : listed) {
    const std::string name = json_string(entry, "file", what), hash = json_string(entry, "hash", what);
    FB_CHECK(fs::path(name).filename() == name, "{}: expected a file name, got \"{}\"", what, name);
    TokenShard shard(folder / name);
    FB_CHECK(fmt::format("{:016x}", shard.payload_hash()) == hash,
             "{}: expected the shard with checksum {} that tokens.json lists, got {:016x}", (folder / name).string(), hash,
             shard.payload_hash());
    const bool same = shard.tokenizer_hash() == tokenizer.hash && int64_t(shard.bytes_of_id().size()) == tokenizer.vocab_size;
    FB_CHECK(same, "{}: expected tokens of tokenizer {:016x} with {} ids, got {:016x} with {}. Hint: run finback tokenize again",
             (folder / name).string(), tokenizer.hash, tokenizer.vocab_size, shard.tokenizer_hash(), shard.bytes_of_id().size());
    shards.push_back(std::move(shard));
  }
  return TokenStream(std::move(shards));
}

std::vector<uint64_t> hashes_of(const TokenStream& stream) {
  std::vector<uint64_t> hashes;
  for (const TokenShard& shard : stream.shards()) hashes.push_back(shard.payload_hash());
  return hashes;
}

}  // namespace

TokenStream::TokenStream(std::vector<TokenShard> shards) : shards_(std::move(shards)), starts_{0} {
  for (const TokenShard& shard : shards_) {
    starts_.push_back(starts_.back() + shard.tokens());
    documents_ += int64_t(shard.documents().size());
    text_bytes_ += shard.text_bytes();
  }
}

size_t TokenStream::shard_of(int64_t index) const {
  FB_ASSERT(index >= 0 && index < tokens(), "a token outside the stream");
  return size_t(std::upper_bound(starts_.begin(), starts_.end(), index) - starts_.begin()) - 1;
}

void TokenStream::append_tokens(int64_t begin, int64_t count, std::vector<int32_t>& out) const {
  while (count > 0) {
    const size_t s = shard_of(begin);
    const int64_t here = std::min(count, starts_[s + 1] - begin);
    shards_[s].append_tokens(begin - starts_[s], here, out);
    begin += here;
    count -= here;
  }
}

ShardDocument TokenStream::document_at(int64_t index) const {
  const size_t s = shard_of(index);
  const std::span<const ShardDocument> documents = shards_[s].documents();
  const uint64_t local = uint64_t(index - starts_[s]);
  ShardDocument document =
      *std::upper_bound(documents.begin(), documents.end(), local, [](uint64_t i, const ShardDocument& d) { return i < d.end; });
  document.end += uint64_t(starts_[s]);
  return document;
}

TokenCorpus::TokenCorpus(const fs::path& folder)
    : folder_(folder),
      index_(read_index(folder)),
      tokenizer_(read_tokenizer_info(folder)),
      train_(open_split(folder, index_, "train", tokenizer_)),
      validation_(open_split(folder, index_, "validation", tokenizer_)),
      fingerprint_(token_fingerprint(tokenizer_.hash, hashes_of(train_), hashes_of(validation_))) {}

std::string TokenCorpus::why_older() const { return why_older_than_corpus(folder_, index_); }

std::string token_fingerprint(uint64_t tokenizer_hash, const std::vector<uint64_t>& train, const std::vector<uint64_t>& validation) {
  std::string text = fmt::format("{:016x}", tokenizer_hash);
  for (const uint64_t hash : train) text += fmt::format(" train {:016x}", hash);
  for (const uint64_t hash : validation) text += fmt::format(" validation {:016x}", hash);
  return fmt::format("{:016x}", xxhash64(text));
}

}  // namespace finback
