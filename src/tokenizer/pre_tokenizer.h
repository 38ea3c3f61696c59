// Cuts ordinary text into the words that BPE encodes one by one: the `pre_tokenizer` of tokenizer.json. Steps run one after the other on
// every piece that the one before left, and each piece is all that a step sees. Knows no ids. Immutable: any thread.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/known_patterns.h"
#include "tokenizer/split_regex.h"

namespace finback {

// What happens to the matches of a split. For each, "match" and "rest" change places under `invert`.
enum class SplitBehavior { kIsolated, kRemoved, kMergedWithPrevious, kMergedWithNext, kContiguous };

// One step: a split, or a blank put before each piece that does not start with one (ByteLevel's add_prefix_space).
struct PreTokenizerStep {
  enum class Kind { kRegex, kLiteral, kDigit, kPrefixSpace, kKnown } kind;
  SplitBehavior behavior = SplitBehavior::kIsolated;
  bool invert = false;
  std::string pattern;                       // as in the file: a regular expression or a literal
  std::shared_ptr<const SplitRegex> regex;   // kRegex
  KnownPattern known = KnownPattern::kGpt2;  // kKnown: replaces regular expressions that a scanner equals
};

class PreTokenizer {
 public:
  PreTokenizer() = default;
  // Compiles the patterns and puts known ones in the place of what they equal. `where` starts messages.
  PreTokenizer(std::vector<PreTokenizerStep> steps, const std::string& where);

  // Calls word(bytes) for each piece in order. The words cover the text, but for what a step removes or puts in.
  // REQUIRES: valid UTF-8 below 4 GiB.
  void for_each_word(std::string_view text, const std::function<void(std::string_view)>& word) const;
  // As for_each_word where pieces(text, result) is enough: the whole pre-tokenizer is one known pattern.
  std::optional<KnownPattern> single_pattern() const;

 private:
  std::vector<PreTokenizerStep> steps_;
};

// The pre-tokenizer that Finback trains with: DeepSeek-V3's three splits.
std::vector<PreTokenizerStep> deepseek_steps();

}  // namespace finback
