#include "data/token_writer.h"

#include <utility>

#include "base/error.h"

namespace finback {
namespace fs = std::filesystem;

TokenWriter::TokenWriter(fs::path folder, TokenizerInfo info, std::vector<uint32_t> bytes_of_id, int64_t shard_tokens)
    : folder_(std::move(folder)), info_(info), shard_tokens_(shard_tokens) {
  FB_ASSERT(int64_t(bytes_of_id.size()) == info.vocab_size, "one length for each id");
  fs::remove(folder_ / "tokens.json");  // first: what follows is unfinished until the new one is there
  std::vector<fs::path> old;
  for (const auto& entry : fs::directory_iterator(folder_)) {
    if (entry.path().extension() == ".shard") old.push_back(entry.path());
  }
  for (const fs::path& path : old) fs::remove(path);
  open_.bytes_of_id = std::move(bytes_of_id);
  open_.tokenizer_hash = info.hash;
}

void TokenWriter::begin_split(const std::string& split) {
  close_shard();
  splits_.push_back({split, {}, {}, {}});
}

void TokenWriter::add(std::span<const uint32_t> ids, uint64_t text_bytes) {
  FB_ASSERT(!splits_.empty() && !ids.empty(), "a document of at least one token, in a split");
  if (!open_.tokens.empty() && int64_t(open_.tokens.size() + ids.size()) > shard_tokens_) close_shard();
  int64_t surplus = int64_t(text_bytes);
  for (const uint32_t id : ids) {
    FB_ASSERT(id < open_.bytes_of_id.size(), "a token outside the vocabulary");
    surplus -= open_.bytes_of_id[id];
  }
  open_.tokens.insert(open_.tokens.end(), ids.begin(), ids.end());
  open_.documents.push_back({open_.tokens.size(), surplus});
  open_.text_bytes += text_bytes;
  Count& count = splits_.back().count;
  ++count.documents;
  count.tokens += int64_t(ids.size());
  count.bytes += int64_t(text_bytes);
}

void TokenWriter::close_shard() {
  if (open_.tokens.empty()) return;
  Split& split = splits_.back();
  split.files.push_back(fmt::format("{}-{:05}.shard", split.name, split.files.size()));
  split.hashes.push_back(write_shard(folder_ / split.files.back(), open_));
  open_.tokens.clear();
  open_.documents.clear();
  open_.text_bytes = 0;
}

std::string TokenWriter::finish(const Json& corpus) {
  close_shard();
  FB_ASSERT(splits_.size() == 2, "train and validation");
  const std::string fingerprint = token_fingerprint(info_.hash, splits_[0].hashes, splits_[1].hashes);
  const auto id_or_null = [](const std::optional<int64_t>& id) { return id ? Json(*id) : Json(nullptr); };
  const Json tokenizer = {{"vocab_size", info_.vocab_size},
                          {"bos_token_id", id_or_null(info_.bos_token_id)},
                          {"eos_token_id", id_or_null(info_.eos_token_id)},
                          {"tokenizer_hash", fmt::format("{:016x}", info_.hash)},
                          {"data_fingerprint", fingerprint}};
  write_file_atomic(folder_ / "tokenizer_info.json", dump_json(tokenizer));
  Json index = {{"format_version", kTokensVersion}, {"fingerprint", fingerprint}};
  if (!corpus.is_null()) index["corpus"] = corpus;
  for (const Split& split : splits_) {
    Json shards = Json::array();
    for (size_t i = 0; i < split.files.size(); ++i)
      shards.push_back({{"file", split.files[i]}, {"hash", fmt::format("{:016x}", split.hashes[i])}});
    index[split.name] = {
        {"documents", split.count.documents}, {"tokens", split.count.tokens}, {"text_bytes", split.count.bytes}, {"shards", shards}};
  }
  write_file_atomic(folder_ / "tokens.json", dump_json(index));
  return fingerprint;
}

TokenWriter::Count TokenWriter::count(const std::string& name) const {
  for (const Split& split : splits_) {
    if (split.name == name) return split.count;
  }
  return {};
}

}  // namespace finback
