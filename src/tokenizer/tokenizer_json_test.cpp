#include "tokenizer/tokenizer_json.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/json.h"
#include "tokenizer/side_files.h"
#include "tokenizer/tokenizer.h"

namespace finback {
namespace {

// A small file that loads; each test breaks one thing.
Json good() {
  return parse_json(R"({"version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
    "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true}, "post_processor": null,
    "decoder": {"type": "ByteLevel"}, "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"]}})",
                    "test");
}

std::string message_of(const std::string& text) {
  try {
    Tokenizer(parse_tokenizer_json(text, "file"), {}, "file");
  } catch (const Error& e) {
    return e.what();
  }
  return "loads";
}
std::string message_of(const Json& json) { return message_of(dump_json(json)); }

TEST(TokenizerJson, LoadsTheSmallFile) {
  EXPECT_EQ(message_of(good()), "loads");
  const Tokenizer tokenizer(parse_tokenizer_json(dump_json(good()), "file"), {}, "file");
  EXPECT_EQ(tokenizer.encode("abba"), (std::vector<int32_t>{2, 1, 0}));
}

// Path to a value, the value put there, a part of the one-line message.
struct Broken {
  const char *path, *value, *message;
};
TEST(TokenizerJson, NamesWhatItDoesNotSupport) {
  const Broken cases[] = {
      {"/model/type", "\"Unigram\"", "model: Unigram is not supported"},
      {"/model/dropout", "0.1", "dropout is not supported"},
      {"/model/byte_fallback", "true", "byte_fallback is not supported"},  // the vocabulary lacks bytes
      {"/model/continuing_subword_prefix", "\"##\"", "continuing_subword_prefix is not supported"},
      {"/model/end_of_word_suffix", "\"</w>\"", "end_of_word_suffix is not supported"},
      {"/normalizer", R"({"type": "Lowercase"})", "normalizer: Lowercase is not supported"},
      {"/normalizer", R"({"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Replace"}]})", "Replace is not supported"},
      {"/pre_tokenizer", "null", "pre_tokenizer: expected ByteLevel"},
      {"/pre_tokenizer", R"({"type": "Metaspace"})", "pre_tokenizer: Metaspace is not supported"},
      {"/pre_tokenizer", R"({"type": "Sequence", "pretokenizers": [{"type": "ByteLevel"}, {"type": "Digits"}]})", "Digits after ByteLevel"},
      {"/post_processor", R"({"type": "BertProcessing"})", "post_processor: BertProcessing is not supported"},
      {"/decoder", R"({"type": "WordPiece"})", "decoder: WordPiece is not supported"},
      {"/decoder", "null", "decoder: expected ByteLevel"},
      {"/version", "\"2.0\"", "expected version \"1.0\", got 2.0"},
  };
  for (const Broken& broken : cases) {
    Json json = good();
    json[Json::json_pointer(broken.path)] = Json::parse(broken.value);
    const std::string message = message_of(json);
    EXPECT_TRUE(message.starts_with("file: ") && message.find(broken.message) != std::string::npos) << broken.value << ": " << message;
    EXPECT_EQ(message.find('\n'), std::string::npos);
  }
}

TEST(TokenizerJson, RefusesHostileValuesInOneLine) {
  const Broken cases[] = {
      {"/model/vocab", "[]", "expected an object at \"vocab\""},
      {"/model/vocab/a", "-1", "expected ids from 0"},
      {"/model/vocab/a", "4000000000", "expected ids from 0"},
      {"/model/vocab/a", "1e400", "expected JSON"},
      {"/model/vocab/a", "\"x\"", "expected ids from 0"},
      {"/model/vocab/a", "1", "two for id 1"},
      {"/model/merges/0", "\"a\"", "expected merges as"},
      {"/model/merges/0", "\"a b c\"", "expected merges as"},
      {"/model/merges/0", "[\"a\"]", "expected merges as"},
      {"/model/merges/0", "\"b a\"", "\"ba\" is not in the vocabulary"},
      {"/model", "3", "expected an object"},
      {"/added_tokens", "{}", "expected a list"},
      {"/added_tokens", "[3]", "expected a string at \"content\""},
      {"/added_tokens", R"([{"content": "x", "special": 1}])", "expected true or false at \"special\""},
      {"/normalizer", "[]", "expected an object with a \"type\""},
      {"/pre_tokenizer", R"({"type": "Split"})", "expected a string at \"behavior\""},
      {"/pre_tokenizer", R"({"type": "Split", "behavior": "Sideways"})", "got \"Sideways\""},
      {"/pre_tokenizer", R"({"type": "Split", "behavior": "Removed", "pattern": {"Regex": ""}})", "expected a pattern"},
      {"/pre_tokenizer", R"({"type": "Sequence", "pretokenizers": [{"type": "Split", "behavior": "Removed", "pattern": {"Regex": "("}},
         {"type": "ByteLevel"}]})",
       "closing parenthesis"},
      {"/post_processor", R"({"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "x"}}, {"Sequence": {"id": "A"}}],
         "special_tokens": {}})",
       "expected \"x\" among special_tokens"},
      {"/post_processor", R"({"type": "TemplateProcessing", "single": [], "special_tokens": {}})", "expected Sequence A once"},
  };
  for (const Broken& broken : cases) {
    std::string message;
    if (std::string_view(broken.value) == "1e400") {
      message = message_of(std::string(R"({"model": {"vocab": {"a": 1e400}}})"));
    } else {
      Json json = good();
      json[Json::json_pointer(broken.path)] = Json::parse(broken.value);
      message = message_of(json);
    }
    EXPECT_TRUE(message.starts_with("file: ") && message.find(broken.message) != std::string::npos) << broken.value << ": " << message;
    EXPECT_EQ(message.find('\n'), std::string::npos);
  }
  for (const std::string& text : {std::string(), std::string("{"), std::string("null"), std::string("\"\\ud800\""),
                                  std::string("{\"a\": \"\xFF\"}"), std::string(100000, '['), dump_json(good()).substr(0, 200)}) {
    EXPECT_TRUE(message_of(text).starts_with("file: expected ") || message_of(text).starts_with("file: JSON nested")) << message_of(text);
  }
}

// How other programs make batches changes no id of a text.
TEST(TokenizerJson, SettingsForBatchesAreNamedAndNotFollowed) {
  Json json = good();
  json["truncation"] = {{"direction", "Right"}, {"max_length", 1}, {"strategy", "LongestFirst"}, {"stride", 0}};
  json["padding"] = {{"strategy", {{"Fixed", 16}}}, {"pad_id", 1}};
  const TokenizerSpec spec = parse_tokenizer_json(dump_json(json), "file");
  EXPECT_EQ(spec.not_followed, (std::vector<std::string>{"truncation", "padding"}));
  EXPECT_EQ(Tokenizer(spec, {}, "file").encode("abba"), (std::vector<int32_t>{2, 1, 0}));
  EXPECT_TRUE(parse_tokenizer_json(dump_json(good()), "file").not_followed.empty());
}

TEST(TokenizerJson, AKeyThatComesTwiceIsAnError) {
  std::string text = dump_json(good());
  text.replace(text.find("\"a\": 0"), 6, "\"a\": 0, \"a\": 1");
  EXPECT_NE(message_of(text).find("\"a\" comes twice"), std::string::npos) << message_of(text);
}

}  // namespace
}  // namespace finback
