#include "base/json.h"

#include <gtest/gtest.h>

#include "base/file.h"

namespace finback {
namespace {

std::string error_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

TEST(Json, KeepsTheOrderOfKeys) { EXPECT_EQ(dump_json_line(parse_json(R"({"z":1,"a":[true,null]})", "x")), R"({"z":1,"a":[true,null]})"); }

TEST(Json, AFaultIsOneLineThatNamesTheFileAndThePlace) {
  const std::string message = error_of([] { parse_json("{\"a\": 1,\n  oops}", "config.json"); });
  EXPECT_EQ(message.find("config.json: expected JSON, got "), 0u) << message;
  EXPECT_NE(message.find("line 2"), std::string::npos) << message;
  EXPECT_EQ(message.find('\n'), std::string::npos);
  for (const char* text : {"", "{", "[1,]", "nul", "{\"a\":1}{", "\"\xff\"", "1e999999"})
    EXPECT_NE(error_of([&] { parse_json(text, "x"); }), "") << text;
  EXPECT_NE(error_of([] { parse_json(std::string_view("{}\0{", 4), "x"); }).find("zero byte at 2"), std::string::npos);
  EXPECT_EQ(error_of([] { parse_json("\xef\xbb\xbf{}", "x"); }), "");  // a mark of UTF-8
}

TEST(Json, HostileNestingIsRefusedBeforeItIsParsed) {
  EXPECT_NE(error_of([] { parse_json(std::string(1 << 20, '['), "x"); }).find("nested deeper"), std::string::npos);
  EXPECT_EQ(error_of([] { parse_json(std::string(200, '[') + std::string(200, ']'), "x"); }), "");
  EXPECT_NE(error_of([] { parse_json(std::string(201, '[') + std::string(201, ']'), "x"); }), "");
  // Brackets in strings do not count.
  EXPECT_EQ(error_of([] { parse_json("\"\\\"" + std::string(1000, '[') + "\"", "x"); }), "");
}

TEST(Json, MissingKeysAndWrongTypesNameBoth) {
  const Json object = parse_json(R"({"n": 3, "s": "x", "f": 3.0, "b": true, "big": 18446744073709551615})", "x");
  EXPECT_NE(error_of([&] { json_at(object, "m", "meta"); }).find("meta: expected key \"m\""), std::string::npos);
  EXPECT_NE(error_of([&] { json_at(Json::array(), "m", "meta"); }).find("expected an object"), std::string::npos);
  EXPECT_NE(error_of([&] { json_string(object, "n", "meta"); }).find("expected a string at \"n\", got number"), std::string::npos);
  EXPECT_EQ(json_string(object, "s", "meta"), "x");
  EXPECT_EQ(json_integer(object, "n", "meta", 0, 3), 3);
  for (const char* key : {"s", "f", "b", "big"}) EXPECT_THROW(json_integer(object, key, "meta", INT64_MIN, INT64_MAX), Error) << key;
  EXPECT_NE(error_of([&] { json_integer(object, "n", "meta", 4, 9); }).find("between 4 and 9, got 3"), std::string::npos);
}

TEST(Json, AFileSaysNothingTwice) {
  const std::filesystem::path path = std::filesystem::path(testing::TempDir()) / "finback_json_test.json";
  const std::pair<const char*, const char*> twice[] = {{R"({"a": 1, "a": 1})", "\"a\""},
                                                       {R"({"x": [{"b": 1, "c": 2}, {"c": 3, "b": {}, "b": 4}]})", "\"b\""},
                                                       {R"({"a": {"a": {}}, "a": 2})", "\"a\""},
                                                       {R"({"\u0061": 1, "a": 2})", "\"a\""}};
  for (const auto& [text, key] : twice) {
    write_file_atomic(path, text);
    const std::string message = error_of([&] { read_json(path); });
    EXPECT_NE(message.find(std::string("expected key ") + key + " once"), std::string::npos) << text << ": " << message;
    EXPECT_EQ(message.find(path.string()), 0u) << message;
    EXPECT_EQ(error_of([&] { parse_json(text, "a record of data"); }), "");
  }
  write_file_atomic(path, R"({"a": {"a": 1, "b": [{"a": 1}, {"a": 2}]}, "b": {"a": 1}})");
  EXPECT_EQ(dump_json_line(read_json(path)), R"({"a":{"a":1,"b":[{"a":1},{"a":2}]},"b":{"a":1}})");
  std::filesystem::remove(path);
}

TEST(Json, InvalidUtf8IsReplacedWhenWritten) { EXPECT_EQ(dump_json_line(Json("a\xff")), "\"a\xef\xbf\xbd\""); }

}  // namespace
}  // namespace finback
