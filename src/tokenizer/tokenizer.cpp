#include "tokenizer/tokenizer.h"

#include <algorithm>
#include <unordered_set>

#include "base/error.h"
#include "base/file.h"
#include "base/notice.h"
#include "base/pool.h"
#include "tokenizer/byte_symbols.h"
#include "tokenizer/side_files.h"
#include "tokenizer/special_tokens.h"
#include "tokenizer/tokenizer_json.h"
#include "tokenizer/utf8.h"

namespace finback {
namespace fs = std::filesystem;
namespace {

// A long text is cut about here, at places where every known pattern starts a new word. Never depends on the thread count.
constexpr size_t kChunkBytes = 64 << 10;
// So many chunks are shared among the threads before their ids are put together and progress is told: seconds of work at most.
constexpr size_t kChunksAtATime = 64, kToldEvery = size_t(4) << 20;

std::vector<std::string_view> cut_text(std::string_view text) {
  std::vector<std::string_view> chunks;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = text.size() - begin <= kChunkBytes ? text.size() : safe_cut(text, begin + kChunkBytes);
    chunks.push_back(text.substr(begin, end - begin));
    begin = end;
  }
  return chunks;
}

}  // namespace

struct Tokenizer::Parts {
  Normalizer normalizer;
  PreTokenizer pre_tokenizer;
  std::optional<KnownPattern> pattern;  // set if the pre-tokenizer is one known pattern and nothing else
  BpeModel model;
  AddedTokens added;
  std::vector<std::vector<int32_t>> templates;
  std::optional<int32_t> bos, eos;
  bool add_bos = false, add_eos = false;
  std::string bytes;          // of all tokens by id
  std::vector<size_t> ends;   // of each id's bytes
  std::vector<bool> special;  // by id
  std::vector<bool> known;    // by id: there is a token
  void append_token(int32_t id);
};

// Note [Bytes of added tokens]
// An added token whose content could be byte symbols ("é", but not "<｜User｜>" or one with a blank) is read as such, and one that is
// looked for in normalized text counts as normalized. That is odd, but it is what the library does whose text we must agree with.
void Tokenizer::Parts::append_token(int32_t id) {
  const auto found = added.by_id().find(id);
  const AddedToken* token = found == added.by_id().end() ? nullptr : &found->second;
  special.push_back(token && added.is_special(token->content));
  known.push_back(token || model.token_of(id));
  std::string storage;
  if (token) {
    const std::string content(token->normalized ? normalizer.apply(token->content, storage) : token->content);
    bytes += from_byte_symbols(content).value_or(content);
  } else if (const std::string* name = model.token_of(id)) {
    bytes += from_byte_symbols(*name).value_or(*name);
  }
  ends.push_back(bytes.size());
}

Tokenizer Tokenizer::load(const fs::path& folder_or_file) {
  const bool folder = fs::is_directory(folder_or_file);
  const fs::path file = folder ? folder_or_file / "tokenizer.json" : folder_or_file;
  TokenizerSpec spec = parse_tokenizer_json(read_file(file), file.string());
  for (const std::string& key : spec.not_followed) {
    notice_once(fmt::format("{}: \"{}\" is not followed: texts are neither cut nor filled up", file.string(), key));
  }
  return Tokenizer(std::move(spec), read_side_files(file.parent_path()), file.string());
}

Tokenizer::Tokenizer(TokenizerSpec spec, const TokenizerConfig& config, const std::string& where) {
  BpeModel model(std::move(spec.model), where + ": model");
  Normalizer normalizer(spec.normalizer);
  AddedTokens added(spec.added_tokens, model, normalizer);
  if (const std::vector<AddedToken> more = tokens_beside(config, added, model, where); !more.empty()) {
    spec.added_tokens.insert(spec.added_tokens.end(), more.begin(), more.end());
    added = AddedTokens(spec.added_tokens, model, normalizer);
  }
  std::unordered_set<int32_t> kept_out;  // control tokens that the model's vocabulary has, too
  for (const auto& [id, token] : added.by_id()) {
    if (added.is_control(id) && model.id_of(token.content) == id) kept_out.insert(id);
  }
  model.keep_out(kept_out);
  PreTokenizer pre_tokenizer(std::move(spec.pre_tokenizer), where + ": pre_tokenizer");
  const auto pattern = pre_tokenizer.single_pattern();
  auto parts = std::make_shared<Parts>(Parts{std::move(normalizer),
                                             std::move(pre_tokenizer),
                                             pattern,
                                             std::move(model),
                                             std::move(added),
                                             std::move(spec.templates),
                                             {},
                                             {},
                                             config.add_bos_token,
                                             config.add_eos_token,
                                             {},
                                             {},
                                             {},
                                             {}});
  parts_ = parts;
  parts->bos = token_id(config.bos_token ? *config.bos_token : kBosToken);
  parts->eos = token_id(config.eos_token ? *config.eos_token : kEosToken);
  FB_CHECK(!config.bos_token || parts->bos, "{}: expected bos_token \"{}\" of tokenizer_config.json among the tokens", where,
           *config.bos_token);
  FB_CHECK(!config.eos_token || parts->eos, "{}: expected eos_token \"{}\" of tokenizer_config.json among the tokens", where,
           *config.eos_token);
  int32_t highest = parts->model.highest_id();
  if (!parts->added.by_id().empty()) highest = std::max(highest, parts->added.by_id().rbegin()->first);
  for (int32_t id = 0; id <= highest; ++id) parts->append_token(id);
}

// One text on its way to ids.
class Tokenizer::Encoding {
 public:
  Encoding(const Parts& parts, const EncodeOptions& options) : parts_(parts), options_(options) {}

  std::vector<int32_t> run(std::string_view text) {
    ids_.reserve(text.size() / 4 + 8);
    const ControlText control = options_.control_tokens ? ControlText::kTokens : ControlText::kText;
    std::string storage;
    for (const TextPart& raw : parts_.added.split_raw(text, control)) {
      if (raw.id >= 0) {
        ids_.push_back(raw.id);
        continue;
      }
      for (const TextPart& part : parts_.added.split_normalized(parts_.normalizer.apply(raw.text, storage), control)) {
        if (part.id >= 0) {
          ids_.push_back(part.id);
        } else {
          add_normalized(part.text);
        }
      }
    }
    return std::move(ids_);
  }

 private:
  void add_normalized(std::string_view text) {
    if (!parts_.pattern) {
      return parts_.pre_tokenizer.for_each_word(text, [&](std::string_view word) {
        parts_.model.encode_word(word, ids_);
        advance(word.size());
      });
    }
    if (text.size() <= kChunkBytes) {
      encode_chunk(text, ids_);
      return advance(text.size());
    }
    const std::vector<std::string_view> chunks = cut_text(text);
    std::vector<std::vector<int32_t>> results(std::min(chunks.size(), kChunksAtATime));
    for (size_t first = 0; first < chunks.size(); first += kChunksAtATime) {
      const size_t count = std::min(kChunksAtATime, chunks.size() - first);
      parallel_for(int64_t(count), [&](int64_t i) {
        results[size_t(i)].clear();
        encode_chunk(chunks[first + size_t(i)], results[size_t(i)]);
      });
      size_t bytes = 0;
      for (size_t i = 0; i < count; ++i) {
        ids_.insert(ids_.end(), results[i].begin(), results[i].end());
        bytes += chunks[first + i].size();
      }
      advance(bytes);  // once: several at one instant would be a rate that is none
    }
  }

  void encode_chunk(std::string_view chunk, std::vector<int32_t>& out) const {
    std::vector<ByteRange> pieces;
    pieces.reserve(chunk.size() / 4 + 1);
    split_known(*parts_.pattern, chunk, {0, uint32_t(chunk.size())}, pieces);
    for (const ByteRange& piece : pieces) parts_.model.encode_word(chunk.substr(piece.begin, piece.end - piece.begin), out);
  }

  void advance(size_t bytes) {
    done_ += bytes;
    if (!options_.on_progress || done_ < told_ + kToldEvery) return;
    told_ = done_;
    options_.on_progress(done_);
  }

  const Parts& parts_;
  const EncodeOptions& options_;
  std::vector<int32_t> ids_;
  size_t done_ = 0, told_ = 0;  // bytes
};

std::vector<int32_t> Tokenizer::encode(std::string_view text, const EncodeOptions& options) const {
  FB_CHECK(text.size() < UINT32_MAX, "expected less than 4 GiB of text at a time, got {} bytes", text.size());
  std::string repaired;
  if (utf8_valid_prefix(text) != text.size()) text = repaired = utf8_lossy(text);
  std::vector<int32_t> ids = Encoding(*parts_, options).run(text);
  if (options.add_special) add_special_ids(ids);
  return ids;
}

std::string Tokenizer::spelled_control_token(std::string_view text) const {
  const AddedTokens& added = parts_->added;
  std::string repaired, storage;
  if (utf8_valid_prefix(text) != text.size()) text = repaired = utf8_lossy(text);
  for (const TextPart& raw : added.split_raw(text, ControlText::kTokens)) {
    if (added.is_control(raw.id)) return added.by_id().at(raw.id).content;
    if (raw.id >= 0) continue;
    for (const TextPart& part : added.split_normalized(parts_->normalizer.apply(raw.text, storage), ControlText::kTokens)) {
      if (added.is_control(part.id)) return added.by_id().at(part.id).content;
    }
  }
  return "";
}

void Tokenizer::add_special_ids(std::vector<int32_t>& ids) const {
  for (const std::vector<int32_t>& pieces : parts_->templates) {
    std::vector<int32_t> around;
    for (const int32_t id : pieces) {
      if (id == kText) {
        around.insert(around.end(), ids.begin(), ids.end());
      } else {
        around.push_back(id);
      }
    }
    ids = std::move(around);
  }
  const auto& [bos, eos] = std::tie(parts_->bos, parts_->eos);
  if (parts_->add_bos && bos && (ids.empty() || ids.front() != *bos)) ids.insert(ids.begin(), *bos);
  if (parts_->add_eos && eos && (ids.empty() || ids.back() != *eos)) ids.push_back(*eos);
}

std::string Tokenizer::decode(std::span<const int32_t> ids, bool skip_special) const {
  std::string bytes;
  bytes.reserve(ids.size() * 5);
  for (const int32_t id : ids) {
    if (!(skip_special && is_special(id))) bytes += bytes_of(id);
  }
  return utf8_valid_prefix(bytes) == bytes.size() ? bytes : utf8_lossy(bytes);
}

std::string_view Tokenizer::bytes_of(int32_t id) const {
  if (id < 0 || size_t(id) >= parts_->ends.size()) return {};
  const size_t begin = id == 0 ? 0 : parts_->ends[size_t(id) - 1];
  return std::string_view(parts_->bytes).substr(begin, parts_->ends[size_t(id)] - begin);
}

int64_t Tokenizer::vocab_size() const { return int64_t(parts_->ends.size()); }
std::optional<int32_t> Tokenizer::bos_id() const { return parts_->bos; }
std::optional<int32_t> Tokenizer::eos_id() const { return parts_->eos; }
std::string Tokenizer::token_bytes(int32_t id) const { return std::string(bytes_of(id)); }
bool Tokenizer::has_token(int32_t id) const { return id >= 0 && size_t(id) < parts_->known.size() && parts_->known[size_t(id)]; }
bool Tokenizer::is_special(int32_t id) const { return id >= 0 && size_t(id) < parts_->special.size() && parts_->special[size_t(id)]; }

std::optional<int32_t> Tokenizer::token_id(std::string_view content) const {
  const std::string token(content);
  const auto added = parts_->added.id_of(token);
  return added ? added : parts_->model.id_of(token);
}

std::string StreamDecoder::push(std::span<const int32_t> ids) {
  for (const int32_t id : ids) {
    if (!(skip_special_ && tokenizer_.is_special(id))) held_ += tokenizer_.bytes_of(id);
  }
  std::string out;
  std::string_view left = held_;
  while (true) {
    const size_t valid = utf8_valid_prefix(left);
    out += left.substr(0, valid);
    left.remove_prefix(valid);
    if (left.empty()) break;
    const BrokenUtf8 broken = utf8_broken_part(left);
    if (broken.incomplete) break;
    out += "\xEF\xBF\xBD";
    left.remove_prefix(broken.length);
  }
  held_ = std::string(left);
  return out;
}

std::string StreamDecoder::finish() {
  std::string out = utf8_lossy(held_);
  held_.clear();
  return out;
}

}  // namespace finback
