#include "tokenizer/side_files.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/tokenizer_json.h"

namespace finback {
namespace {
namespace fs = std::filesystem;

// ids 0 to 3: a, b, <s>, <tool>.
const char* const kTokenizerJson = R"({"added_tokens": [{"content": "<s>", "special": true, "normalized": false},
  {"content": "<tool>", "normalized": false}], "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false},
  "decoder": {"type": "ByteLevel"}, "model": {"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": []}})";

class SideFiles : public testing::Test {
 protected:
  void SetUp() override {
    fs::remove_all(folder_);
    make_directories(folder_);
    put("tokenizer.json", kTokenizerJson);
  }
  void TearDown() override { fs::remove_all(folder_); }
  void put(const std::string& name, const std::string& text) { write_file_atomic(folder_ / name, text); }
  Tokenizer load() { return Tokenizer::load(folder_); }
  // Without the folder's name.
  std::string error() {
    try {
      load();
    } catch (const Error& e) {
      std::string message = e.what();
      for (size_t at; (at = message.find(folder_.string() + "/")) != std::string::npos;) message.erase(at, folder_.string().size() + 1);
      return message;
    }
    return "loads";
  }
  fs::path folder_ = fs::temp_directory_path() / ("finback-side-files-" + std::to_string(::getpid()));
};

std::vector<int32_t> read(const Tokenizer& tokenizer, const std::string& text) { return tokenizer.encode(text, {.control_tokens = true}); }
using Ids = std::vector<int32_t>;

TEST_F(SideFiles, TokensThatOnlyTheyKnowJoinTheVocabulary) {
  put("tokenizer_config.json", R"({"added_tokens_decoder": {"5": {"content": "<late>"}, "4": {"content": "<extra>", "special": true},
    "2": {"content": "<s>", "special": true, "normalized": false}}})");
  const Tokenizer tokenizer = load();
  EXPECT_EQ(read(tokenizer, "a<extra>b<late>"), (Ids{0, 4, 1, 5}));
  EXPECT_EQ(tokenizer.vocab_size(), 6);
  EXPECT_TRUE(tokenizer.is_special(4));
  EXPECT_FALSE(tokenizer.is_special(5));
  EXPECT_EQ(tokenizer.encode("a<late>b"), (Ids{0, 5, 1}));   // vocabulary
  EXPECT_EQ(tokenizer.encode("a<extra>b"), (Ids{0, 0, 1}));  // special: text, of which this vocabulary has the letter a
}

TEST_F(SideFiles, AddedTokensFileGivesIdsAlone) {
  put("added_tokens.json", R"({"<zeta>": 4, "<alpha>": 6, "<tool>": 3})");
  const Tokenizer tokenizer = load();
  EXPECT_EQ(tokenizer.encode("<alpha>a<zeta><tool>"), (Ids{6, 0, 4, 3}));
  EXPECT_FALSE(tokenizer.has_token(5));
  EXPECT_FALSE(tokenizer.is_special(4));
}

TEST_F(SideFiles, NamedTokensAreSpecialAndNewOnesGetTheNextIds) {
  put("special_tokens_map.json", R"({"bos_token": "<s>", "pad_token": {"content": "<pad>", "lstrip": false},
    "additional_special_tokens": ["<tool>", {"content": "<more>"}]})");
  const Tokenizer tokenizer = load();
  EXPECT_EQ(tokenizer.bos_id(), 2);
  EXPECT_EQ(read(tokenizer, "<pad><more><tool>"), (Ids{4, 5, 3}));
  for (const int32_t id : {2, 3, 4, 5}) EXPECT_TRUE(tokenizer.is_special(id)) << id;
  EXPECT_EQ(tokenizer.encode("<tool>"), Ids{});  // special by its name in the side file
}

TEST_F(SideFiles, ATokenOfTheBaseVocabularyMayBeNamed) {
  put("tokenizer_config.json", R"({"eos_token": "b", "extra_special_tokens": {"image_token": "<image>"}, "boi_token": "<boi>"})");
  const Tokenizer tokenizer = load();
  EXPECT_EQ(tokenizer.eos_id(), 1);
  EXPECT_TRUE(tokenizer.is_special(1));
  EXPECT_EQ(read(tokenizer, "<boi><image>"), (Ids{4, 5}));
}

TEST_F(SideFiles, ContradictionsAreErrorsThatNameBothFiles) {
  const std::pair<const char*, const char*> decoders[] = {
      {R"({"4": {"content": "<tool>"}})", "\"<tool>\": expected id 3 as in tokenizer.json, got 4"},
      {R"({"3": {"content": "<other>"}})", "id 3: expected \"<tool>\" as in tokenizer.json, got \"<other>\""},
      {R"({"1": {"content": "<other>"}})", "id 1: expected \"b\" as in tokenizer.json, got \"<other>\""},
      {R"({"3": {"content": "<tool>", "lstrip": true}})", "\"<tool>\": expected the flags of tokenizer.json (no flags), got lstrip"},
      {R"({"2": {"content": "<s>"}})", "\"<s>\": expected the flags of tokenizer.json (special), got no flags"},
      {R"({"4": {"content": "<x>"}, "5": {"content": "<x>"}})", "expected one token an id"},
      {R"({"four": {"content": "<x>"}})", "expected ids as keys, got \"four\""},
      {R"({"99999999": {"content": "<x>"}})", "expected ids from 0"},
      {R"([])", "expected an object"},
  };
  for (const auto& [decoder, says] : decoders) {
    put("tokenizer_config.json", "{\"added_tokens_decoder\": " + std::string(decoder) + "}");
    EXPECT_NE(error().find(says), std::string::npos) << error();
    EXPECT_TRUE(error().starts_with("tokenizer_config.json: ")) << error();
  }
}

TEST_F(SideFiles, ContradictEachOther) {
  put("tokenizer_config.json", R"({"bos_token": "<s>", "added_tokens_decoder": {"4": {"content": "<x>"}}})");
  put("added_tokens.json", R"({"<x>": 5})");
  EXPECT_NE(error().find("\"<x>\" has id 5"), std::string::npos) << error();
  put("added_tokens.json", R"({"<y>": 4})");
  EXPECT_NE(error().find("expected one token an id"), std::string::npos) << error();
  put("added_tokens.json", R"({"<x>": 4})");
  EXPECT_EQ(error(), "loads");
  put("special_tokens_map.json", R"({"bos_token": "<tool>"})");
  EXPECT_NE(error().find("bos_token: expected \"<s>\" as in the files beside it, got \"<tool>\""), std::string::npos) << error();
}

TEST_F(SideFiles, OtherTypesAreRefusedInOneLine) {
  for (const auto& [file, text] : {std::pair("added_tokens.json", "[]"),
                                   {"added_tokens.json", R"({"<x>": "4"})"},
                                   {"added_tokens.json", "{"},
                                   {"added_tokens.json", R"({"<x>": 4, "<x>": 5})"},
                                   {"special_tokens_map.json", R"({"bos_token": 3})"},
                                   {"special_tokens_map.json", R"({"additional_special_tokens": "x"})"},
                                   {"tokenizer_config.json", R"({"eos_token": ["x"]})"},
                                   {"tokenizer_config.json", R"({"add_bos_token": 1})"},
                                   {"tokenizer_config.json", R"({"bos_token": "<nowhere>"})"}}) {
    put(file, text);
    EXPECT_NE(error(), "loads") << text;
    EXPECT_EQ(error().find('\n'), std::string::npos);
    fs::remove(folder_ / file);
  }
}

TEST(TokenizerConfigFile, ReadsTokensInBothForms) {
  TokenizerConfig config;
  read_tokenizer_config(R"({"bos_token": {"content": "<b>", "lstrip": false}, "eos_token": "<e>", "add_bos_token": true})", "file", config);
  EXPECT_EQ(config.bos_token, "<b>");
  EXPECT_EQ(config.eos_token, "<e>");
  EXPECT_TRUE(config.add_bos_token);
  EXPECT_FALSE(config.add_eos_token);
}

}  // namespace
}  // namespace finback
