#include "tokenizer/known_patterns.h"

#include <gtest/gtest.h>

#include "tokenizer/random_text.h"

namespace finback {
namespace {

// Isolated splits one after the other, by the regular expressions themselves.
std::vector<ByteRange> split_by_regexes(const std::vector<SplitRegex>& regexes, std::string_view text) {
  std::vector<ByteRange> pieces = {{0, uint32_t(text.size())}};
  for (const SplitRegex& regex : regexes) {
    std::vector<ByteRange> next;
    for (const ByteRange& piece : pieces) {
      std::vector<ByteRange> matches;
      regex.find_all(text.substr(piece.begin, piece.end - piece.begin), matches);
      uint32_t done = piece.begin;
      for (const ByteRange& match : matches) {
        if (done < piece.begin + match.begin) next.push_back({done, piece.begin + match.begin});
        if (match.begin < match.end) next.push_back({piece.begin + match.begin, piece.begin + match.end});
        done = piece.begin + match.end;
      }
      if (done < piece.end) next.push_back({done, piece.end});
    }
    pieces = next;
  }
  return pieces;
}

// PCRE2 10.42 has Unicode 14 and the scanners 16: text with newer characters may differ.
bool newer_than_unicode14(std::string_view text) {
  static const SplitRegex unassigned(R"(\p{Cn})", "test");
  std::vector<ByteRange> matches;
  unassigned.find_all(text, matches);
  return !matches.empty();
}

void expect_same_pieces(KnownPattern pattern, const std::vector<std::string_view>& sources) {
  std::vector<SplitRegex> regexes;
  for (const std::string_view source : sources) regexes.emplace_back(source, "test");
  RandomText random(1);
  int compared = 0;
  for (int i = 0; i < 6000; ++i) {
    const std::string text = random.next(1 + random.below(40));
    if (newer_than_unicode14(text)) continue;
    std::vector<ByteRange> pieces;
    split_known(pattern, text, {0, uint32_t(text.size())}, pieces);
    ASSERT_EQ(pieces, split_by_regexes(regexes, text)) << "text: " << testing::PrintToString(text);
    ++compared;
  }
  EXPECT_GT(compared, 1000);
}

TEST(KnownPatterns, DeepSeekEqualsItsThreeRegexes) {
  expect_same_pieces(KnownPattern::kDeepSeek, {kDeepSeekRegexes[0], kDeepSeekRegexes[1], kDeepSeekRegexes[2]});
}
TEST(KnownPatterns, Gpt2EqualsItsRegex) { expect_same_pieces(KnownPattern::kGpt2, {kGpt2Regex}); }
TEST(KnownPatterns, Llama3EqualsItsRegex) { expect_same_pieces(KnownPattern::kLlama3, {kLlama3Regex}); }
TEST(KnownPatterns, Qwen2EqualsItsRegex) { expect_same_pieces(KnownPattern::kQwen2, {kQwen2Regex}); }

TEST(KnownPatterns, AreRecognisedWithLiteralLineEnds) {
  EXPECT_EQ(known_pattern(kLlama3Regex), KnownPattern::kLlama3);
  EXPECT_EQ(known_pattern(kQwen2Regex), KnownPattern::kQwen2);
  std::string literal(kLlama3Regex);
  literal.replace(literal.find("\\r"), 2, "\r");
  EXPECT_EQ(known_pattern(literal), KnownPattern::kLlama3);
  EXPECT_FALSE(known_pattern(R"(\p{L}+)").has_value());
}

// Cutting a text at safe_cut changes no piece, for any pattern.
TEST(KnownPatterns, SafeCutNeverCutsAPiece) {
  RandomText random(2);
  int cuts = 0;
  for (int i = 0; i < 3000; ++i) {
    const std::string text = random.next(20) + "ab cd" + random.next(20);
    const size_t cut = safe_cut(text, random.below(text.size()));
    if (cut == text.size()) continue;
    ++cuts;
    for (const KnownPattern pattern : {KnownPattern::kDeepSeek, KnownPattern::kGpt2, KnownPattern::kLlama3, KnownPattern::kQwen2}) {
      std::vector<ByteRange> whole, parts;
      split_known(pattern, text, {0, uint32_t(text.size())}, whole);
      split_known(pattern, text, {0, uint32_t(cut)}, parts);
      split_known(pattern, text, {uint32_t(cut), uint32_t(text.size())}, parts);
      ASSERT_EQ(whole, parts) << testing::PrintToString(text) << " cut at " << cut;
    }
  }
  EXPECT_GT(cuts, 500);
}

}  // namespace
}  // namespace finback
