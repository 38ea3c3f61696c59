// The tokens that are cut out of a text as wholes, before the pre-tokenizer and BPE see it: special ones, chat markers. Knows nothing of
// JSON. Follows Hugging Face tokenizers to the letter, also where that is odd (see Note [Added tokens]). Immutable: any thread.
//
// Note [Control tokens]: control tokens are the special ones, those in the form of a marker (<｜User｜>, <|im_start|>) and the tags of a
// reasoning, whatever their flag "special" says. They have a meaning to the model that no document and no user may give to a text, so text
// that spells one stays text (kText), except where a template or this program wrote it (kTokens). Other added tokens are vocabulary.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "tokenizer/added_token.h"
#include "tokenizer/bpe_model.h"
#include "tokenizer/normalizer.h"

namespace finback {

// A stretch of a text: an added token (id >= 0) or ordinary text (id < 0).
struct TextPart {
  int32_t id;
  std::string_view text;
};

// What becomes of text that spells a control token. kText passes over it whole, as encode_special_tokens of the library does.
enum class ControlText { kText, kTokens };

class AddedTokens {
 public:
  AddedTokens() = default;
  // `tokens` in the file's order. Ids are assigned: see the note.
  AddedTokens(const std::vector<AddedToken>& tokens, const BpeModel& model, const Normalizer& normalizer);

  // Cuts a text by the tokens that are not, and by those that are, normalized. Ordinary parts are not empty. REQUIRES: valid UTF-8.
  std::vector<TextPart> split_raw(std::string_view text, ControlText control) const { return split(text, raw_, control); }
  std::vector<TextPart> split_normalized(std::string_view text, ControlText control) const { return split(text, normalized_, control); }

  const std::map<int32_t, AddedToken>& by_id() const { return by_id_; }
  std::optional<int32_t> id_of(const std::string& content) const;
  bool is_special(const std::string& content) const { return special_.count(content) > 0; }
  bool is_control(int32_t id) const { return control_.count(id) > 0; }

 private:
  // A trie of contents; the longest match from a place wins.
  struct Trie {
    struct Node {
      int32_t first_child = -1, sibling = -1, id = -1;
      uint8_t byte = 0;
    };
    std::vector<Node> nodes = std::vector<Node>(1);
    bool starts[256] = {};
    void insert(std::string_view content, int32_t id);
    // Length and id of the longest content that starts at `at`; length 0: none.
    std::pair<size_t, int32_t> longest(std::string_view text, size_t at) const;
    size_t find_start(std::string_view text, size_t from) const;
  };
  std::vector<TextPart> split(std::string_view text, const Trie& trie, ControlText control) const;

  std::map<int32_t, AddedToken> by_id_;
  std::unordered_map<std::string, int32_t> ids_;
  std::unordered_set<std::string> special_;
  std::unordered_set<int32_t> control_;
  Trie raw_, normalized_;
};

}  // namespace finback
