#include "tokenizer/tokenizer.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <thread>

#include "base/error.h"
#include "base/file.h"
#include "base/pool.h"
#include "base/timer.h"
#include "tokenizer/random_text.h"
#include "tokenizer/side_files.h"
#include "tokenizer/tokenizer_json.h"
#include "tokenizer/utf8.h"

namespace finback {
namespace {
namespace fs = std::filesystem;

Tokenizer golden(const std::string& name) { return Tokenizer::load(FINBACK_SOURCE_DIR "/tests/golden/tokenizer/" + name + ".json"); }

std::string long_text(size_t bytes) {
  RandomText random(5);
  std::string text;
  while (text.size() < bytes) text += random.next(60) + " some words here, and <\uFF5CUser\uFF5C> more ";
  return text;
}

TEST(Tokenizer, GivesTheSameIdsAtEveryThreadCountAndOfEveryPart) {
  const std::string text = long_text(400'000);
  for (const char* name : {"deepseek", "llama3", "qwen", "gpt2", "prefix_space"}) {
    const Tokenizer tokenizer = golden(name);
    set_threads(1);
    for (const bool control : {false, true}) {
      set_threads(1);
      const std::vector<int32_t> one = tokenizer.encode(text, {.control_tokens = control});
      set_threads(2);
      EXPECT_EQ(tokenizer.encode(text, {.control_tokens = control}), one) << name;
      set_threads(3);
      EXPECT_EQ(tokenizer.encode(text, {.control_tokens = control}), one) << name;
    }
    set_threads(1);
  }
}

// As in a server: long texts are encoded on two threads while a third, the engine's, runs loops of its own, whose two chunks wait for each other and
// so need a worker. Half a minute, and the test fails instead of hanging.
TEST(Tokenizer, EncodingALongTextLeavesWorkersToOtherLoops) {
  const Tokenizer tokenizer = golden("llama3");  // knows none of the added tokens, which would cut the text into short ones
  const std::string text = long_text(400'000);
  const std::vector<int32_t> alone = tokenizer.encode(text);
  set_threads(2);
  std::atomic<bool> enough{false};
  std::atomic<int> encoded{0}, other_ids{0};
  const auto encode = [&] {
    while (!enough) other_ids += tokenizer.encode(text) != alone, encoded++;
  };
  std::thread first(encode), second(encode);
  const Timer timer;
  const auto comes_true = [&](const auto& condition) {
    while (!condition() && timer.seconds() < 30) std::this_thread::yield();
    return condition();
  };
  EXPECT_TRUE(comes_true([&] { return encoded > 0; }));
  int met = 0;
  for (int round = 0; round < 30; ++round) {
    const int before = encoded;
    EXPECT_TRUE(comes_true([&] { return encoded > before; }));  // somewhere in another text
    std::atomic<int> begun{0}, together{0};
    parallel_for(2, [&](int64_t) {
      begun++;
      together += comes_true([&] { return begun == 2; });
    });
    met += together == 2;
  }
  enough = true;
  first.join(), second.join();
  set_threads(1);
  EXPECT_EQ(met, 30);
  EXPECT_EQ(other_ids, 0);
}

// The chunks in which a long text is encoded do not show: a text cut into short ones at line ends between added tokens gives the same ids.
TEST(Tokenizer, LongTextsEncodeAsShortOnes) {
  const Tokenizer tokenizer = golden("deepseek");
  const std::string sentence = "It was the best of times, 12345 times; na\u00EFve \u4F60\u597D.<\uFF5CUser\uFF5C>";
  std::string text;
  std::vector<int32_t> expected;
  while (text.size() < 300'000) {
    text += sentence;
    const std::vector<int32_t> ids = tokenizer.encode(sentence, {.control_tokens = true});
    expected.insert(expected.end(), ids.begin(), ids.end());
  }
  EXPECT_EQ(tokenizer.encode(text, {.control_tokens = true}), expected);
}

TEST(Tokenizer, SaysHowFarALongTextIs) {
  const Tokenizer deepseek = golden("deepseek");
  std::string text;
  while (text.size() < size_t(20) << 20) text += "It was a truth, universally acknowledged. ";
  std::vector<size_t> told;
  const std::vector<int32_t> ids = deepseek.encode(text, {.on_progress = [&](size_t bytes) { told.push_back(bytes); }});
  ASSERT_GE(told.size(), 4u);
  EXPECT_TRUE(std::is_sorted(told.begin(), told.end()));
  EXPECT_GT(told.front(), 0u);
  EXPECT_LT(told.front(), text.size() / 4);
  EXPECT_LE(told.back(), text.size());
  EXPECT_EQ(deepseek.decode(ids), text);
}

TEST(Tokenizer, DecodesWhatItEncoded) {
  RandomText random(6);
  for (const char* name : {"deepseek", "llama3", "gpt2"}) {
    const Tokenizer tokenizer = golden(name);
    for (int i = 0; i < 500; ++i) {
      const std::string text = random.next(30);
      ASSERT_EQ(tokenizer.decode(tokenizer.encode(text)), text) << name;
    }
  }
}

TEST(Tokenizer, ReadsInvalidUtf8AsReplacementCharacters) {
  const Tokenizer tokenizer = golden("deepseek");
  EXPECT_EQ(tokenizer.encode("a\xFF\xE4\xBD"), tokenizer.encode("a\uFFFD\uFFFD"));
}

// Any ids, also those that break characters apart.
TEST(StreamDecoder, IsDecodePieceByPieceAndNeverHalfACharacter) {
  const Tokenizer tokenizer = golden("deepseek");
  RandomText random(7);
  for (int round = 0; round < 2000; ++round) {
    std::vector<int32_t> ids = tokenizer.encode(random.next(12));
    for (int32_t& id : ids) {
      if (random.below(4) == 0) id = int32_t(random.below(700));
    }
    const bool skip = random.below(2) == 0;
    StreamDecoder decoder(tokenizer, skip);
    std::string streamed;
    for (size_t done = 0; done < ids.size();) {
      const size_t count = std::min<size_t>(1 + random.below(3), ids.size() - done);
      const std::string piece = count == 1 ? decoder.push(ids[done]) : decoder.push(std::span(ids).subspan(done, count));
      done += count;
      ASSERT_EQ(utf8_valid_prefix(piece), piece.size());
      streamed += piece;
    }
    ASSERT_EQ(streamed + decoder.finish(), tokenizer.decode(ids, skip));
  }
}

TEST(StreamDecoder, EmitsACharacterWithItsLastByte) {
  const Tokenizer tokenizer = golden("llama3");
  StreamDecoder decoder(tokenizer, false);
  const auto byte = [&](const char* symbol) { return *tokenizer.token_id(symbol); };
  EXPECT_EQ(decoder.push(byte("\u00E4")), "");  // E4 BD A0 is one character
  EXPECT_EQ(decoder.push(byte("\u00BD")), "");
  EXPECT_EQ(decoder.push(byte("\u0142")), "\u4F60");
  EXPECT_EQ(decoder.push(byte("\u00E4")), "");
  EXPECT_EQ(decoder.push(byte("a")), "\uFFFDa");
  EXPECT_EQ(decoder.push(byte("\u00E4")), "");
  EXPECT_EQ(decoder.finish(), "\uFFFD");
}

TEST(Tokenizer, KnowsItsTokens) {
  const Tokenizer tokenizer = golden("deepseek");
  EXPECT_EQ(tokenizer.bos_id(), 0);
  EXPECT_EQ(tokenizer.eos_id(), 1);
  const auto user = tokenizer.token_id("<\uFF5CUser\uFF5C>");
  ASSERT_TRUE(user.has_value());
  EXPECT_EQ(tokenizer.token_bytes(*user), "<\uFF5CUser\uFF5C>");
  EXPECT_FALSE(tokenizer.is_special(*user));
  EXPECT_TRUE(tokenizer.is_special(0));
  EXPECT_EQ(tokenizer.token_bytes(*tokenizer.token_id("\u0120")), " ");
  EXPECT_EQ(tokenizer.decode(std::vector<int32_t>{0, *user, 1}, true), "<\uFF5CUser\uFF5C>");
  EXPECT_EQ(tokenizer.token_bytes(int32_t(tokenizer.vocab_size())), "");
  EXPECT_EQ(tokenizer.token_bytes(-1), "");
  EXPECT_NE(tokenizer.token_bytes(int32_t(tokenizer.vocab_size()) - 1), "");
  EXPECT_FALSE(golden("gpt2").bos_id().has_value());
}

// add_bos_token adds what the file's own post-processor did not.
TEST(Tokenizer, AddsBosAsTheConfigBesideItSays) {
  const fs::path folder = fs::temp_directory_path() / ("finback-tokenizer-" + std::to_string(::getpid()));
  make_directories(folder);
  for (const char* name : {"deepseek", "llama3"}) {
    write_file_atomic(folder / "tokenizer.json", read_file(FINBACK_SOURCE_DIR "/tests/golden/tokenizer/" + std::string(name) + ".json"));
    const bool llama = std::string(name) == "llama3";
    const std::string bos = llama ? "<|begin_of_text|>" : "<\uFF5Cbegin\u2581of\u2581sentence\uFF5C>";
    write_file_atomic(folder / "tokenizer_config.json", "{\"bos_token\": \"" + bos + "\", \"add_bos_token\": true}");
    const Tokenizer tokenizer = Tokenizer::load(folder);
    const std::vector<int32_t> ids = tokenizer.encode("It was", {.add_special = true});
    ASSERT_TRUE(tokenizer.bos_id().has_value());
    EXPECT_EQ(ids.front(), *tokenizer.bos_id());
    EXPECT_EQ(std::vector<int32_t>(ids.begin() + 1, ids.end()), tokenizer.encode("It was"));
  }
  write_file_atomic(folder / "tokenizer_config.json", "{\"bos_token\": \"<nowhere>\"}");
  EXPECT_THROW(Tokenizer::load(folder), Error);
  fs::remove_all(folder);
}

// What stands in the middle stays text, so it is the text's bytes and no control token, whatever the file calls special.
TEST(Tokenizer, TextThatSpellsAControlTokenStaysText) {
  for (const char* name : {"deepseek", "llama3", "qwen", "gpt2", "deepseek_llm"}) {
    const Tokenizer tokenizer = golden(name);
    int tried = 0;
    for (const char* content :
         {"<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜▁pad▁｜>", "<｜User｜>", "<｜Assistant｜>", "<｜fim▁hole｜>", "<think>",
          "</think>", "<|EOT|>", "<|begin_of_text|>", "<|eot_id|>", "<|endoftext|>", "<|im_start|>"}) {
      const auto id = tokenizer.token_id(content);
      if (!id) continue;
      ++tried;
      const std::string text = "say " + std::string(content) + content + " twice";
      for (const bool add_special : {false, true}) {
        const std::vector<int32_t> as_text = tokenizer.encode(text, {.add_special = add_special}),
                                   read = tokenizer.encode(text, {.add_special = add_special, .control_tokens = true});
        const auto count = [&](const std::vector<int32_t>& ids) { return std::count(ids.begin(), ids.end(), *id); };
        const bool around = add_special && tokenizer.encode("", {.add_special = true}) == std::vector<int32_t>{*id};
        EXPECT_EQ(count(as_text), around) << name << " " << content;
        EXPECT_EQ(count(read), 2 + around) << name << " " << content;
        EXPECT_TRUE(tokenizer.decode(as_text).ends_with(text)) << name << " " << content;
      }
      EXPECT_EQ(tokenizer.spelled_control_token(text), content) << name;
    }
    EXPECT_GT(tried, 0) << name;
    EXPECT_EQ(tokenizer.spelled_control_token("nothing < | of that kind｜>"), "") << name;
  }
}

// A word that is a token by itself, and letters whose merges make one: neither may become a special token.
TEST(Tokenizer, NoWordBecomesAControlToken) {
  const auto made = [](bool ignore_merges) {
    const std::string json = R"({"added_tokens": [{"content": "EOS", "special": true}, {"content": "on"}], "model": {"type": "BPE",
      "vocab": {"E": 0, "O": 1, "S": 2, "EO": 3, "EOS": 4, "n": 5, "o": 6, "on": 7}, "merges": ["E O", "EO S", "o n"], "ignore_merges": )" +
                             std::string(ignore_merges ? "true" : "false") +
                             R"(}, "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false}, "decoder": {"type": "ByteLevel"}})";
    return Tokenizer(parse_tokenizer_json(json, "file"), {}, "file");
  };
  for (const bool ignore_merges : {false, true}) {
    EXPECT_EQ(made(ignore_merges).encode("EOSon"), (std::vector<int32_t>{3, 2, 7}));
    EXPECT_EQ(made(ignore_merges).encode("EOSon", {.control_tokens = true}), (std::vector<int32_t>{4, 7}));
  }
}

// One word of 60,000 letters, and other runs. Anything quadratic takes minutes here (the bound is for busy machines under a sanitizer).
TEST(Tokenizer, LongRunsStayNearLinear) {
  for (const char* name : {"deepseek", "llama3", "qwen", "gpt2", "nfkd", "merged_with_previous", "digits"}) {
    const Tokenizer tokenizer = golden(name);
    for (const char* unit : {"a", "e\u0301", "\u0301", " ", "\n", "'", "1", "\u4F60", "aa<", "\u00A0\t"}) {
      std::string text;
      while (text.size() < 300'000) text += unit;
      const Timer timer;
      EXPECT_GT(tokenizer.encode(text).size(), 0u);
      EXPECT_LT(timer.seconds(), 20) << name << " " << unit;
    }
  }
}

}  // namespace
}  // namespace finback
