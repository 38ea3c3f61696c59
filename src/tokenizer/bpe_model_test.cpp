#include "tokenizer/bpe_model.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/timer.h"
#include "tokenizer/byte_symbols.h"
#include "tokenizer/random_text.h"

namespace finback {
namespace {

// All bytes as tokens 0 to 255, then one token a merge.
BpeSpec bytes_and_merges(const std::vector<std::pair<std::string, std::string>>& merges) {
  BpeSpec spec;
  for (int b = 0; b < 256; ++b) {
    const char byte = char(b);
    spec.vocab.emplace(to_byte_symbols({&byte, 1}), b);
  }
  for (const auto& [left, right] : merges) spec.vocab.emplace(left + right, int32_t(spec.vocab.size()));
  spec.merges = merges;
  return spec;
}

std::vector<int32_t> encode(const BpeModel& model, std::string_view word) {
  std::vector<int32_t> ids;
  model.encode_word(word, ids);
  return ids;
}

// The reference: look at all pairs, merge the one of lowest rank, leftmost first.
std::vector<std::string> encode_by_reference(const std::vector<std::pair<std::string, std::string>>& merges, const std::string& word) {
  std::vector<std::string> symbols;
  for (const char c : word) symbols.push_back(std::string(1, c));
  while (true) {
    size_t best_rank = merges.size(), best = 0;
    for (size_t i = 0; i + 1 < symbols.size(); ++i) {
      for (size_t rank = 0; rank < best_rank; ++rank) {
        if (merges[rank].first == symbols[i] && merges[rank].second == symbols[i + 1]) best_rank = rank, best = i;
      }
    }
    if (best_rank == merges.size()) return symbols;
    symbols[best] += symbols[best + 1];
    symbols.erase(symbols.begin() + ptrdiff_t(best) + 1);
  }
}

// Random merges over three letters; words on both sides of the length where the method changes.
TEST(BpeModel, EqualsTheReferenceForShortAndLongWords) {
  RandomText random(3);
  for (int round = 0; round < 60; ++round) {
    std::vector<std::string> tokens = {"a", "b", "c"};
    std::vector<std::pair<std::string, std::string>> merges;
    std::unordered_map<std::string, bool> made;
    for (int i = 0; i < 25; ++i) {
      const auto left = tokens[random.below(tokens.size())], right = tokens[random.below(tokens.size())];
      if (left.size() + right.size() > 9 || made[left + right]) continue;
      made[left + right] = true;
      merges.emplace_back(left, right);
      tokens.push_back(left + right);
    }
    const BpeModel model(bytes_and_merges(merges), "test");
    for (const size_t length : {1, 2, 5, 11, 47, 48, 49, 130}) {
      std::string word;
      for (size_t i = 0; i < length; ++i) word += "abc"[random.below(3)];
      std::vector<std::string> got;
      for (const int32_t id : encode(model, word)) got.push_back(*model.token_of(id));
      ASSERT_EQ(got, encode_by_reference(merges, word)) << word;
    }
  }
}

TEST(BpeModel, OfEqualMergesTheLastOneCounts) {
  const BpeModel first(bytes_and_merges({{"a", "b"}, {"b", "c"}}), "test");
  EXPECT_EQ(encode(first, "abc"), (std::vector<int32_t>{256, 'c'}));
  BpeSpec twice = bytes_and_merges({{"a", "b"}, {"b", "c"}});
  twice.merges.emplace_back("a", "b");
  EXPECT_EQ(encode(BpeModel(std::move(twice), "test"), "abc"), (std::vector<int32_t>{'a', 257}));
}

TEST(BpeModel, IgnoresMergesOnlyForWholeTokens) {
  BpeSpec spec = bytes_and_merges({{"a", "b"}});
  spec.vocab.emplace("xyz", 900);
  const BpeModel by_merges(spec, "test");
  EXPECT_EQ(encode(by_merges, "xyz"), (std::vector<int32_t>{'x', 'y', 'z'}));
  spec.ignore_merges = true;
  const BpeModel ignoring(spec, "test");
  EXPECT_EQ(encode(ignoring, "xyz"), (std::vector<int32_t>{900}));
  EXPECT_EQ(encode(ignoring, "xyzab"), (std::vector<int32_t>{'x', 'y', 'z', 256}));
}

TEST(BpeModel, UnknownBytesVanishOrBecomeTheUnknownToken) {
  BpeSpec spec = bytes_and_merges({});
  spec.vocab.erase("a");
  EXPECT_EQ(encode(BpeModel(spec, "test"), "baab"), (std::vector<int32_t>{'b', 'b'}));
  spec.unk_token = "<unk>";
  EXPECT_THROW(BpeModel(spec, "test"), Error);
  spec.vocab.emplace("<unk>", 999);
  EXPECT_EQ(encode(BpeModel(spec, "test"), "baab"), (std::vector<int32_t>{'b', 999, 999, 'b'}));
  spec.fuse_unk = true;
  EXPECT_EQ(encode(BpeModel(spec, "test"), "baab"), (std::vector<int32_t>{'b', 999, 'b'}));
}

TEST(BpeModel, NamesTheMergeThatIsNotInTheVocabulary) {
  BpeSpec spec = bytes_and_merges({{"a", "b"}});
  spec.vocab.erase("ab");
  try {
    BpeModel(spec, "file");
    FAIL();
  } catch (const Error& e) {
    EXPECT_STREQ(e.what(), "file: expected merge 0 to be made of tokens, \"ab\" is not in the vocabulary");
  }
}

// A run of one letter is one word. Scanning all pairs for each merge would take 10^12 steps here, hours.
TEST(BpeModel, LongRunsStayNearLinear) {
  std::vector<std::pair<std::string, std::string>> merges;
  for (std::string token = "a"; token.size() < 1024; token += token) merges.emplace_back(token, token);
  const BpeModel model(bytes_and_merges(merges), "test");
  const Timer timer;
  EXPECT_EQ(encode(model, std::string(1 << 20, 'a')).size(), 1024u);
  EXPECT_LT(timer.seconds(), 30);
}

}  // namespace
}  // namespace finback
