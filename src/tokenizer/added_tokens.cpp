#include "tokenizer/added_tokens.h"

#include <algorithm>

#include "tokenizer/special_tokens.h"
#include "tokenizer/unicode_classes.h"

// Note [Added tokens]
// Published ids and behaviour are those of Hugging Face tokenizers, so its rules hold here:
//   The file's "id" of an added token is not used. A content that is in the vocabulary keeps that id; any other gets the number behind the
//   highest added one, at least the size of the vocabulary.
//   A content that comes twice keeps its id and takes the later flags; each flag `normalized` that it had puts it into that search.
//   A match that is dropped for single_word is passed over whole. White space taken by rstrip may overlap a token that starts with it.
//   Tokens that are not normalized are cut out first; what is left is normalized and searched for the others, normalized themselves.
namespace finback {

AddedTokens::AddedTokens(const std::vector<AddedToken>& tokens, const BpeModel& model, const Normalizer& normalizer) {
  std::vector<AddedToken> special, ordinary;
  const int32_t vocab_size = int32_t(model.token_count());
  int32_t highest = -1;
  for (const AddedToken& token : tokens) {
    if (token.content.empty()) continue;
    if (token.special && special_.insert(token.content).second) special.push_back(token);
    const std::optional<int32_t> known = id_of(token.content) ? id_of(token.content) : model.id_of(token.content);
    const int32_t next = token.id >= 0 ? token.id : std::max(highest + 1, vocab_size);
    const int32_t id = known ? *known : next;
    if (known && by_id_.count(id) && by_id_.at(id) == token) continue;
    highest = std::max(highest, id);
    ids_[token.content] = id;
    by_id_[id] = token;
    if (!is_special(token.content)) ordinary.push_back(token);
  }
  special.insert(special.end(), ordinary.begin(), ordinary.end());
  for (const AddedToken& token : special) {
    const int32_t id = ids_.at(token.content);
    if (is_special(token.content) || is_marker(token.content)) control_.insert(id);
    std::string storage;
    if (token.normalized) {
      normalized_.insert(normalizer.apply(token.content, storage), id);
    } else {
      raw_.insert(token.content, id);
    }
  }
}

std::optional<int32_t> AddedTokens::id_of(const std::string& content) const {
  const auto found = ids_.find(content);
  return found == ids_.end() ? std::nullopt : std::optional<int32_t>(found->second);
}

void AddedTokens::Trie::insert(std::string_view content, int32_t id) {
  if (content.empty()) return;
  starts[uint8_t(content[0])] = true;
  int32_t at = 0;
  for (const char c : content) {
    int32_t child = nodes[size_t(at)].first_child;
    while (child >= 0 && nodes[size_t(child)].byte != uint8_t(c)) child = nodes[size_t(child)].sibling;
    if (child < 0) {
      child = int32_t(nodes.size());
      nodes.push_back({-1, nodes[size_t(at)].first_child, -1, uint8_t(c)});
      nodes[size_t(at)].first_child = child;
    }
    at = child;
  }
  if (nodes[size_t(at)].id < 0) nodes[size_t(at)].id = id;  // of equal contents the first one counts
}

size_t AddedTokens::Trie::find_start(std::string_view text, size_t from) const {
  while (from < text.size() && !starts[uint8_t(text[from])]) ++from;
  return from;
}

std::pair<size_t, int32_t> AddedTokens::Trie::longest(std::string_view text, size_t at) const {
  std::pair<size_t, int32_t> best{0, -1};
  int32_t node = 0;
  for (size_t i = at; i < text.size(); ++i) {
    node = nodes[size_t(node)].first_child;
    while (node >= 0 && nodes[size_t(node)].byte != uint8_t(text[i])) node = nodes[size_t(node)].sibling;
    if (node < 0) break;
    if (nodes[size_t(node)].id >= 0) best = {i + 1 - at, nodes[size_t(node)].id};
  }
  return best;
}

std::vector<TextPart> AddedTokens::split(std::string_view text, const Trie& trie, ControlText control) const {
  std::vector<TextPart> parts;
  size_t done = 0;
  for (size_t at = trie.find_start(text, 0); at < text.size(); at = trie.find_start(text, at)) {
    const auto [length, id] = trie.longest(text, at);
    if (length == 0) {
      ++at;
      continue;
    }
    size_t begin = at, end = at + length;
    at = end;
    if (control == ControlText::kText && is_control(id)) continue;
    const AddedToken& token = by_id_.at(id);
    if (token.single_word) {
      const bool word_before = begin > 0 && is_word_character(decode_utf8(text, previous_character(text, begin)).code_point);
      const bool word_after = end < text.size() && is_word_character(decode_utf8(text, end).code_point);
      if (word_before || word_after) continue;
    }
    if (token.lstrip) begin = std::max(white_space_begin(text, begin), done);
    if (token.rstrip) end = white_space_end(text, end);
    if (done < begin) parts.push_back({-1, text.substr(done, begin - done)});
    parts.push_back({id, text.substr(begin, end - begin)});
    done = end;
  }
  if (done < text.size()) parts.push_back({-1, text.substr(done)});
  return parts;
}

}  // namespace finback
