#include "data/json_record.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace finback {
namespace {

TEST(JsonRecord, OtherFieldsMayHoldAnything) {
  const std::string deep = std::string(500, '[') + std::string(500, ']');
  for (const std::string other : {"null", "3", "-1e999", "123456789012345678901234567890", "NaN", "-Infinity",
                                  "{\"a\": [1, {\"b\": \"}]\"}]}", "\"\\ud800\"", "\"\"", "[]", "true"}) {
    for (const std::string key : {"source", "id", "score", "meta"}) {
      const JsonRecord record = read_json_record("{\"" + key + "\": " + other + ", \"text\": \"kept\" , \"z\":" + other + "}");
      EXPECT_EQ(record.problem, "") << key << " " << other;
      EXPECT_EQ(record.text, "kept");
      EXPECT_FALSE(record.repaired);
    }
  }
  EXPECT_EQ(read_json_record("{\"text\": \"kept\", \"deep\": " + deep + "}").text, "kept");
  const JsonRecord named = read_json_record("\xEF\xBB\xBF {\"text\":\"t\",\"source\":\"s\",\"id\":\"i\"}\r");
  EXPECT_EQ(named.text + named.source + named.id + named.problem, "tsi");
}

TEST(JsonRecord, EscapesAndHalvesOfPairs) {
  EXPECT_EQ(read_json_record(R"({"text": "\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00"})").text, "\"\\/\b\f\n\r\t\u00e9\U0001F600");
  for (const std::string half : {"\\ud83d", "\\uDE00", "\\ud83d\\ud83d\\ude00", "\\ud83d\\u0041"}) {
    const JsonRecord record = read_json_record("{\"text\": \"a" + half + "b\"}");
    EXPECT_EQ(record.problem, "");
    EXPECT_TRUE(record.repaired);
    EXPECT_EQ(record.text.substr(0, 4), "a\uFFFD");
    EXPECT_EQ(record.text.back(), 'b');
  }
  EXPECT_TRUE(read_json_record("{\"text\": \"a\tb\"}").repaired);
}

TEST(JsonRecord, ALineWithoutTextHasOneReason) {
  const std::pair<const char*, const char*> cases[] = {{"{\"text\": \"cut", "ends in the middle"},
                                                       {"{\"text\": \"a\"", "ends in the middle"},
                                                       {"{\"text\": \"a\", ", "ends in the middle"},
                                                       {"{\"text\": \"\\x\"}", "broken at byte"},
                                                       {"{\"text\": \"\\u12g4\"}", "broken at byte"},
                                                       {"{\"text\": \"a\" \"b\": 1}", "broken at byte"},
                                                       {"{\"text\": , \"b\": 1}", "broken at byte"},
                                                       {"{\"text\": \"a\"}{\"text\": \"b\"}", "two records on a line"},
                                                       {"{\"text\": \"a\"} x", "more behind the record"},
                                                       {"[1]", "a list and no record"},
                                                       {"\"text\"", "a string and no record"},
                                                       {"nonsense", "does not begin with {"},
                                                       {"{}", "an empty record"},
                                                       {"{\"prompt\": \"a\", \"n\": 1}", "no \"text\" (its fields: prompt, n)"},
                                                       {"{\"text\": null}", "its text is null"},
                                                       {"{\"text\": 3}", "its text is a number"},
                                                       {"{\"text\": [\"a\"]}", "its text is a list"},
                                                       {"{\"text\": \" \\n\"}", "its text is empty"},
                                                       {"{\"text\": \"a\", \"id\": 1, \"text\": \"b\"}", "two fields \"text\""},
                                                       {"{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}]}", "a chat"}};
  for (const auto& [line, says] : cases) {
    const JsonRecord record = read_json_record(line);
    EXPECT_NE(record.problem.find(says), std::string::npos) << line << " -> " << record.problem;
    EXPECT_EQ(record.chat, std::string(says) == "a chat") << line;
  }
  EXPECT_EQ(read_json_record("{\"messages\": [], \"text\": \"used\"}").text, "used");
  EXPECT_EQ(read_json_record("{\"messages\": 3, \"text\": \"used\"}").problem, "");
}

}  // namespace
}  // namespace finback
