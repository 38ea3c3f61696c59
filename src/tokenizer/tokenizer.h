// Text to token ids and back, as tokenizer.json says: added tokens, normalizer, pre-tokenizer, byte-level BPE, post-processor, decoder.
// Ids are those of Hugging Face tokenizers for the same file. Knows no model and no tensors.
// Immutable after load: any thread. A long text is shared among the pool's threads; the ids do not depend on how many there are.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace finback {

struct TokenizerSpec;
struct TokenizerConfig;
enum class ControlText;

struct EncodeOptions {
  // Put around the text what the post-processor says, then bos and eos where tokenizer_config.json asks for them and they do not stand
  // there already.
  bool add_special = false;
  // Text that spells a control token becomes the token. Only for text that a template or this program wrote: see Note [Control tokens] in
  // added_tokens.h.
  bool control_tokens = false;
  // Called by the calling thread with the bytes that are done, every few megabytes of a long text.
  std::function<void(size_t)> on_progress = {};
};

class Tokenizer {
 public:
  // A folder with tokenizer.json, or the file itself. The files beside it that name tokens are read too (tokenizer/side_files.h); without
  // a name for bos or eos DeepSeek's count. Throws Error for a file that cannot be followed exactly, and for files that contradict.
  static Tokenizer load(const std::filesystem::path& folder_or_file);
  Tokenizer(TokenizerSpec spec, const TokenizerConfig& config, const std::string& where);

  // Invalid UTF-8 is read as U+FFFD. REQUIRES: less than 4 GiB.
  std::vector<int32_t> encode(std::string_view text, const EncodeOptions& options = {}) const;
  // The first control token that the text spells; empty: none.
  std::string spelled_control_token(std::string_view text) const;
  // Valid UTF-8: bytes that are not become U+FFFD. Ids without a token stand for nothing: see has_token.
  std::string decode(std::span<const int32_t> ids, bool skip_special = false) const;

  int64_t vocab_size() const;  // highest id + 1: the rows that an embedding needs
  std::optional<int32_t> bos_id() const;
  std::optional<int32_t> eos_id() const;
  // By the spelling in the file: added tokens by content, others in byte symbols.
  std::optional<int32_t> token_id(std::string_view content) const;
  bool has_token(int32_t id) const;
  // The bytes that decode() puts for one token, half a character perhaps; empty if the id has no token.
  std::string token_bytes(int32_t id) const;
  bool is_special(int32_t id) const;

 private:
  friend class StreamDecoder;
  struct Parts;
  std::string_view bytes_of(int32_t id) const;
  class Encoding;
  void add_special_ids(std::vector<int32_t>& ids) const;
  std::shared_ptr<const Parts> parts_;
};

// decode() an id or some at a time: what push() returns, in a row, and then finish() is decode() of all ids. Never half a UTF-8 sequence.
// One thread. REQUIRES: the tokenizer outlives it.
class StreamDecoder {
 public:
  StreamDecoder(const Tokenizer& tokenizer, bool skip_special) : tokenizer_(tokenizer), skip_special_(skip_special) {}
  std::string push(int32_t id) { return push(std::span(&id, 1)); }
  std::string push(std::span<const int32_t> ids);
  std::string finish();  // what is left of a sequence that never became whole, as U+FFFD

 private:
  const Tokenizer& tokenizer_;
  bool skip_special_;
  std::string held_;  // the beginning of a character, at most three bytes
};

}  // namespace finback
