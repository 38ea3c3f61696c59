#include "tokenizer/bpe_trainer.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <map>

#include "base/error.h"
#include "base/file.h"
#include "base/pool.h"
#include "base/timer.h"
#include "tokenizer/random_text.h"
#include "tokenizer/special_tokens.h"
#include "tokenizer/tokenizer.h"

namespace finback {
namespace {
namespace fs = std::filesystem;

std::array<int32_t, 256> plain_byte_ids() {
  std::array<int32_t, 256> ids;
  for (size_t b = 0; b < 256; ++b) ids[b] = int32_t(b);
  return ids;
}

// The reference: count all pairs anew for each merge.
std::vector<MergePair> merges_by_reference(const WordCounts& counts, int64_t limit) {
  std::vector<std::vector<int32_t>> words;
  for (size_t w = 0; w < counts.words.size(); ++w) {
    words.emplace_back();
    for (const char c : counts.words[w]) words.back().push_back(uint8_t(c));
  }
  std::vector<MergePair> merges;
  while (int64_t(merges.size()) < limit) {
    std::map<std::pair<int32_t, int32_t>, int64_t> pairs;
    for (size_t w = 0; w < words.size(); ++w) {
      for (size_t i = 0; i + 1 < words[w].size(); ++i) pairs[{words[w][i], words[w][i + 1]}] += counts.counts[w];
    }
    if (pairs.empty()) break;
    auto best = pairs.begin();
    for (auto it = pairs.begin(); it != pairs.end(); ++it) {
      if (it->second > best->second) best = it;
    }
    const auto [left, right] = best->first;
    for (std::vector<int32_t>& word : words) {
      std::vector<int32_t> merged;
      for (size_t i = 0; i < word.size(); ++i) {
        const bool match = i + 1 < word.size() && word[i] == left && word[i + 1] == right;
        merged.push_back(match ? 256 + int32_t(merges.size()) : word[i]);
        i += match;
      }
      word = merged;
    }
    merges.push_back({left, right});
  }
  return merges;
}

TEST(MergeSearch, EqualsTheReference) {
  RandomText random(8);
  for (int round = 0; round < 40; ++round) {
    WordCounts counts;
    for (int i = 0; i < 60; ++i) {
      std::string word;
      for (uint64_t length = 1 + random.below(12); length > 0; --length) word += "aabc"[random.below(4)];
      counts.add(word, 1 + int64_t(random.below(5)));
    }
    ASSERT_EQ(find_merges(counts, plain_byte_ids(), 256, 60), merges_by_reference(counts, 60)) << round;
  }
}

TEST(MergeSearch, EndsWhenNoPairIsLeft) {
  WordCounts counts;
  counts.add("abc", 1);
  EXPECT_EQ(find_merges(counts, plain_byte_ids(), 256, 100), (std::vector<MergePair>{{'a', 'b'}, {256, 'c'}}));
  EXPECT_TRUE(find_merges(WordCounts{}, plain_byte_ids(), 256, 100).empty());
}

// A word of a megabyte and thousands of merges. Going over the word once a merge would take 4 * 10^9 steps for each of the two.
TEST(MergeSearch, LongWordsStayNearLinear) {
  RandomText random(9);
  std::string noise;
  for (int i = 0; i < 1'000'000; ++i) noise += char('a' + random.below(26));
  for (const std::string& word : {noise, std::string(1'000'000, 'a')}) {
    WordCounts counts;
    counts.add(word, 1);
    const Timer timer;
    EXPECT_GE(find_merges(counts, plain_byte_ids(), 256, 4000).size(), 19u);
    EXPECT_LT(timer.seconds(), 60);
  }
}

class BpeTrainerTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("finback-bpe-" + std::to_string(::getpid()));
    RandomText random(10);
    for (int i = 0; i < 3000; ++i) documents_.push_back("The documents are many, and the words in them are few. " + random.next(150));
  }
  void TearDown() override {
    set_threads(1);
    fs::remove_all(folder_);
  }
  std::vector<MergePair> train(int thread_count, int64_t vocab_size, bool reversed = false) {
    set_threads(thread_count);
    std::vector<std::string_view> views(documents_.begin(), documents_.end());
    if (reversed) std::reverse(views.begin(), views.end());
    BpeTrainer trainer;
    const size_t half = views.size() / 2;
    trainer.add(std::span(views).first(half));
    trainer.add(std::span(views).subspan(half));
    return trainer.train(vocab_size);
  }
  fs::path folder_;
  std::vector<std::string> documents_;
};

TEST_F(BpeTrainerTest, GivesTheSameMergesAtEveryThreadCountAndOrder) {
  const std::vector<MergePair> one = train(1, 1000);
  EXPECT_EQ(one.size(), size_t(1000 - minimum_vocab_size()));
  EXPECT_EQ(train(2, 1000), one);
  EXPECT_EQ(train(3, 1000), one);
  EXPECT_EQ(train(2, 1000, true), one);
}

TEST_F(BpeTrainerTest, WritesATokenizerInDeepSeeksLayout) {
  write_tokenizer(folder_, train(1, 600), 600);
  const Tokenizer tokenizer = Tokenizer::load(folder_);
  EXPECT_EQ(tokenizer.vocab_size(), 600);
  EXPECT_EQ(tokenizer.bos_id(), 0);
  EXPECT_EQ(tokenizer.eos_id(), 1);
  EXPECT_EQ(tokenizer.token_id(kPadToken), 2);
  EXPECT_EQ(tokenizer.token_bytes(223), " ");
  EXPECT_EQ(tokenizer.token_bytes(201), "\n");
  EXPECT_EQ(tokenizer.token_id("<｜tool▁sep｜>"), 599);
  EXPECT_EQ(tokenizer.token_id("<think>"), 600 - 17);
  EXPECT_FALSE(tokenizer.is_special(600 - 17));
  EXPECT_TRUE(tokenizer.is_special(*tokenizer.token_id("<|EOT|>")));
  EXPECT_EQ(tokenizer.decode(tokenizer.encode(documents_[0])), documents_[0]);
  EXPECT_LT(tokenizer.encode("The documents are many").size(), 6u);
  // As in training: a document begins with bos.
  std::vector<int32_t> with_bos = tokenizer.encode("x");
  EXPECT_NE(with_bos.front(), 0);
  with_bos.insert(with_bos.begin(), 0);
  EXPECT_EQ(tokenizer.encode("x", {.add_special = true}), with_bos);
  EXPECT_EQ(tokenizer.encode("<｜User｜>", {.control_tokens = true}), (std::vector<int32_t>{*tokenizer.token_id(kUserToken)}));
  // Not by a flag of tokenizer_config.json, which transformers drops.
  fs::remove(folder_ / "tokenizer_config.json");
  EXPECT_EQ(Tokenizer::load(folder_).encode("x", {.add_special = true}), with_bos);
}

// quickstart and others take tokenizer_config.json for the sign that both files are there.
TEST_F(BpeTrainerTest, AFullDiskLeavesNoFileThatSaysDone) {
  const std::vector<MergePair> merges = train(1, 600);
  arm_failpoint("write:1:full");
  EXPECT_THROW(write_tokenizer(folder_, merges, 600), Error);
  EXPECT_TRUE(fs::is_empty(folder_));
}

// Two hundred thousand distinct words where room is for some thousand: the frequent ones are still counted, at any thread count the same, and the
// memory is bounded at every moment.
TEST_F(BpeTrainerTest, ForgetsRareWordsWhenThereAreTooMany) {
  std::vector<std::string> documents;
  for (int i = 0; i < 200; ++i) {
    std::string text;
    for (int word = 0; word < 1000; ++word) {
      text += " often often q";
      for (int number = i * 1000 + word, digit = 0; digit < 6; ++digit, number /= 10) text += char('a' + number % 10);
    }
    documents.push_back(text);
  }
  const std::vector<std::string_view> views(documents.begin(), documents.end());
  std::vector<MergePair> first;
  for (const int thread_count : {1, 2, 3}) {
    set_threads(thread_count);
    BpeTrainer trainer(100'000);
    int64_t reported = 0;
    for (const std::string_view document : views) trainer.add({&document, 1}, [&](int64_t bytes) { reported = bytes; });
    EXPECT_EQ(reported, trainer.bytes());
    EXPECT_GT(trainer.forgotten_bytes(), 0);
    EXPECT_LT(trainer.forgotten_bytes(), trainer.bytes() / 2);  // " often" makes up most of the text that is left
    int64_t calls = 0;
    const std::vector<MergePair> merges = trainer.train(minimum_vocab_size() + 50, [&](int64_t) { ++calls; });
    EXPECT_GT(calls, int64_t(merges.size()));
    if (thread_count == 1) first = merges;
    EXPECT_EQ(merges, first);
  }
  BpeTrainer all;
  all.add(views);
  EXPECT_EQ(all.forgotten_bytes(), 0);
  const std::vector<MergePair> exact = all.train(minimum_vocab_size() + 50);
  EXPECT_TRUE(std::equal(exact.begin(), exact.begin() + 5, first.begin()));  // of "often"
}

// A text without a place to cut, as one document or in pieces: time is that of its bytes, and no word is longer than what a thread takes at a time.
TEST_F(BpeTrainerTest, OneWordWithoutEndIsCountedInPieces) {
  for (const std::string unit : {"acgt", "\u4F60", "\U0001F642", "\xFF"}) {
    std::string text;
    while (text.size() < (5u << 20)) text += unit;
    const std::string_view view = text;
    BpeTrainer trainer(1 << 20);
    const Timer timer;
    trainer.add({&view, 1});
    EXPECT_EQ(trainer.bytes(), int64_t(text.size()));
    EXPECT_GE(trainer.train(minimum_vocab_size() + 2).size(), 1u);
    EXPECT_LT(timer.seconds(), 20) << unit;
  }
}

TEST_F(BpeTrainerTest, FillsUpWithPlaceholdersWhenTheTextIsSmall) {
  documents_ = {"abc abc"};
  write_tokenizer(folder_, train(1, 300), 300);
  const Tokenizer tokenizer = Tokenizer::load(folder_);
  EXPECT_EQ(tokenizer.vocab_size(), 300);
  EXPECT_EQ(tokenizer.token_id("<｜tool▁sep｜>"), 299);
  EXPECT_TRUE(tokenizer.token_id("<｜place▁holder▁no▁0｜>").has_value());
  for (int32_t id = 0; id < 300; ++id) EXPECT_FALSE(tokenizer.token_bytes(id).empty()) << id;
}

TEST(BpeTrainer, TheUsualVocabularyGrowsWithTheSquareRootOfTheText) {
  const std::pair<int64_t, int64_t> cases[] = {{0, 1024},
                                               {380'000, 1024},
                                               {3'900'000, 2048},
                                               {81'000'000, 8192},
                                               {int64_t(1e9), 32768},
                                               {int64_t(1e10), 131072},
                                               {int64_t(1e14), 131072}};
  for (const auto& [bytes, vocab_size] : cases) EXPECT_EQ(usual_vocab_size(bytes), vocab_size) << bytes;
}

TEST_F(BpeTrainerTest, RefusesAVocabularyWithoutRoom) { EXPECT_THROW(train(1, minimum_vocab_size() - 1), Error); }

}  // namespace
}  // namespace finback
