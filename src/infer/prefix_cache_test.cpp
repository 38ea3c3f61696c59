#include "infer/prefix_cache.h"

#include <gtest/gtest.h>

namespace finback {
namespace {

// Tokens of pages: a letter a page, the same 64 tokens for the same letter but for the first, which says so.
std::vector<int32_t> text(const std::string& letters, size_t more = 0) {
  std::vector<int32_t> tokens;
  for (const char letter : letters) {
    for (int64_t i = 0; i < kPageTokens; ++i) tokens.push_back(i == 10 ? letter : int32_t(i));
  }
  tokens.insert(tokens.end(), more, 7);
  return tokens;
}

class PrefixCaches : public testing::Test {
 protected:
  // A sequence that computed its pages: takes them, has them kept, goes.
  void keep(const std::string& letters, const std::string& name = "") {
    std::vector<int32_t> pages = taken(letters.size());
    cache.insert(name, text(letters), pages);
    give_back(pages);
  }
  std::vector<int32_t> taken(size_t count) {
    std::vector<int32_t> pages;
    while (pages.size() < count) {
      if (const auto page = allocator.allocate()) {
        pages.push_back(*page);
      } else if (!cache.evict_one()) {
        ADD_FAILURE() << "no page left";
        break;
      }
    }
    return pages;
  }
  void give_back(const std::vector<int32_t>& pages) {
    for (const int32_t page : pages) allocator.release(page);
  }
  // Pages that a prompt of these would find, and the miss behind them.
  std::pair<size_t, CacheMiss> found(const std::string& letters, size_t more = 1, const std::string& name = "") {
    const PrefixCache::Match match = cache.find(name, text(letters, more));
    give_back(match.pages);
    return {match.pages.size(), match.miss};
  }
  void expect(const std::string& letters, size_t pages, MissReason reason, int64_t at, size_t more = 1, const std::string& name = "") {
    const auto [count, miss] = found(letters, more, name);
    EXPECT_EQ(count, pages) << letters;
    EXPECT_EQ(int(miss.reason), int(reason)) << letters;
    EXPECT_EQ(miss.at, at) << letters;
  }

  PageAllocator allocator{6};
  PrefixCache cache{allocator};
};

TEST_F(PrefixCaches, FindTheLongestBeginningAndSayWhyNoMore) {
  expect("ab", 0, MissReason::kFirstSeen, 0);
  keep("abc");
  expect("abc", 3, MissReason::kNone, 192);
  expect("abc", 2, MissReason::kNone, 128, 0);  // never the whole prompt
  expect("ab", 2, MissReason::kNone, 128);
  expect("abcd", 3, MissReason::kFirstSeen, 192);
  expect("abd", 2, MissReason::kDiverged, 138);
  expect("b", 0, MissReason::kDiverged, 10);
  expect("", 0, MissReason::kTooShort, 0, 64);
  EXPECT_EQ(allocator.available(), 3);
}

TEST_F(PrefixCaches, APageIsOnlyWhatItIsBehindItsOwnBeginning) {
  keep("ab");
  expect("b", 0, MissReason::kDiverged, 10);
  keep("bb");
  EXPECT_EQ(cache.size(), 4);
}

TEST_F(PrefixCaches, ANamespaceSeesItsOwn) {
  keep("ab", "one");
  expect("ab", 0, MissReason::kFirstSeen, 0, 1, "two");
  expect("ac", 0, MissReason::kFirstSeen, 0, 1, "two");
  keep("ab", "two");
  EXPECT_EQ(cache.size(), 4);
  expect("ab", 2, MissReason::kNone, 128, 1, "two");
}

// The pages of both sequences were computed at the same time; the bits are the same, so one of each is enough.
TEST_F(PrefixCaches, TheSameContentIsKeptOnce) {
  std::vector<int32_t> first = taken(2), second = taken(2);
  cache.insert("", text("ab"), first);
  cache.insert("", text("ab"), second);
  EXPECT_EQ(first, second);
  EXPECT_EQ(allocator.available(), 4);
  give_back(first), give_back(second);
  EXPECT_EQ(cache.evictable(), 2);
}

TEST_F(PrefixCaches, LeavesGoBeforeTheirParentsAndTheLongestUnusedFirst) {
  keep("abc");
  keep("xy");
  expect("a", 1, MissReason::kNone, 64);  // the oldest root is used again, its leaves are not
  std::vector<int32_t> held = taken(2);
  expect("abc", 2, MissReason::kEvicted, 128);  // a use of a and b
  expect("xy", 2, MissReason::kNone, 128);
  const std::vector<int32_t> more = taken(2);
  held.insert(held.end(), more.begin(), more.end());
  expect("ab", 0, MissReason::kEvicted, 0);
  expect("xy", 2, MissReason::kNone, 128);
  give_back(held);
}

TEST_F(PrefixCaches, PagesOfSequencesAreNotEvicted) {
  keep("ab");
  const PrefixCache::Match match = cache.find("", text("ab", 1));
  EXPECT_EQ(cache.evictable(), 0);
  EXPECT_FALSE(cache.evict_one());
  give_back(match.pages);
  EXPECT_EQ(cache.evictable(), 2);
  EXPECT_TRUE(cache.evict_one() && cache.evict_one());
  EXPECT_FALSE(cache.evict_one());
  EXPECT_EQ(allocator.available(), 6);
}

// Four keys for eight pages: what cannot be kept is not found, and nothing is taken for something else.
TEST_F(PrefixCaches, ACollisionCostsAHitAndNoMore) {
  PrefixCache few_keys(allocator, CacheKeys(random_cache_secret(), 1));
  std::map<char, bool> is_kept;
  for (const char letter : std::string("abcdefgh")) {
    std::vector<int32_t> pages = {*allocator.allocate()};
    const int64_t before = few_keys.size();
    few_keys.insert("", text({letter}), pages);
    is_kept[letter] = few_keys.size() > before;
    give_back(pages);
  }
  EXPECT_GE(few_keys.size(), 1);
  EXPECT_LE(few_keys.size(), 4);
  for (const auto& [letter, kept] : is_kept) {
    const PrefixCache::Match match = few_keys.find("", text({letter}, 1));
    EXPECT_EQ(match.pages.size() == 1, kept) << letter;
    give_back(match.pages);
  }
}

TEST_F(PrefixCaches, OtherWeightsAreSaid) {
  keep("abc");
  const PrefixCache::Match match = cache.find("", text("abc", 1));
  cache.forget_all();
  EXPECT_EQ(allocator.available(), 3);  // the sequence goes on with its own
  give_back(match.pages);
  EXPECT_EQ(allocator.available(), 6);
  expect("abc", 0, MissReason::kOtherWeights, 0);
  keep("abc");
  expect("abc", 3, MissReason::kNone, 192);
}

}  // namespace
}  // namespace finback
