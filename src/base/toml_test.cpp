#include "base/toml.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace finback {
namespace {

TEST(Toml, ReadsTablesListsAndEveryScalar) {
  const Json json = parse_toml(
      "a = 1\nb = 2.5\nc = 'x'\nd = true\ne = [1, 2]\nday = 2026-11-25\n[t.u]\nv = 1e-4\n[[rows]]\np = 1\n[[rows]]\np = 2\n", "x");
  EXPECT_EQ(json["a"], 1);
  EXPECT_EQ(json["b"], 2.5);
  EXPECT_EQ(json["c"], "x");
  EXPECT_EQ(json["d"], true);
  EXPECT_EQ(json["e"], Json({1, 2}));
  EXPECT_EQ(json["day"], "2026-11-25");
  EXPECT_EQ(json["t"]["u"]["v"], 1e-4);
  EXPECT_EQ(json["rows"][1]["p"], 2);
}

TEST(Toml, WhatItWritesReadsBackEqual) {
  const Json json = parse_json(
      R"({"s": "quote \" newline \n", "i": -3, "f": 0.1, "whole": 2.0, "list": ["a", "b"], "t": {"x": 1, "inner": {"y": true}},
          "rows": [{"p": 1, "q": {"z": 0}}, {"p": 2}], "odd key": 1, "after": 7})",
      "x");
  EXPECT_EQ(parse_toml(dump_toml(json), "dumped"), parse_toml(dump_toml(parse_toml(dump_toml(json), "dumped")), "twice"));
  const Json read = parse_toml(dump_toml(json), "dumped");
  for (const auto& [key, value] : json.items())
    EXPECT_EQ(nlohmann::json(read.at(key)), nlohmann::json(value)) << key;  // TOML sorts its keys
  EXPECT_TRUE(read["whole"].is_number_float());
}

TEST(Toml, DoublesSurviveToTheLastBit) {
  for (const double value : {0.1, 1e-310, 1.0 / 3, 6.02214076e23, 1e300, -0.0, double(std::numeric_limits<float>::max())}) {
    const Json read = parse_toml(dump_toml({{"v", value}}), "x");
    EXPECT_EQ(read["v"].get<double>(), value);
    EXPECT_EQ(std::signbit(read["v"].get<double>()), std::signbit(value));
  }
  EXPECT_TRUE(std::isinf(parse_toml(dump_toml({{"v", INFINITY}}), "x")["v"].get<double>()));
}

TEST(Toml, NullIsLeftOut) { EXPECT_EQ(dump_toml({{"a", nullptr}, {"b", 1}}), "b = 1\n"); }

TEST(Toml, AFaultNamesLineAndColumn) {
  try {
    parse_toml("a = 1\nb = = 2\n", "recipe.toml");
    FAIL() << "parsed";
  } catch (const Error& e) {
    EXPECT_EQ(std::string(e.what()).find("recipe.toml:2:"), 0u) << e.what();
    EXPECT_EQ(std::string(e.what()).find('\n'), std::string::npos);
  }
  EXPECT_THROW(parse_toml("a = 1\na = 2\n", "x"), Error);
}

std::string repeated(const std::string& part, int count) {
  std::string text;
  for (int i = 0; i < count; ++i) text += part;
  return text;
}

std::string error_of(const std::string& text) {
  try {
    parse_toml(text, "x");
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

// Each was an end of the program, or an error of several lines, in one form or another.
TEST(Toml, BrokenTextIsOneClearLine) {
  const std::string nul(1, '\0');
  for (const int count : {1, 3, 300, 100'000}) {
    const std::vector<std::string> texts = {repeated("[", count),
                                            "a = " + repeated("[", count),
                                            "a = " + repeated("{a = ", count),
                                            "a = " + repeated("[{a.a = ", count),
                                            "[" + repeated("a.", count),
                                            "a = " + repeated("\"", 2 * count - 1),
                                            "a = '" + repeated("x", count),
                                            "a = \"" + repeated("\\", 2 * count - 1),
                                            "a = " + repeated("9", count + 20),
                                            "a = 0x" + repeated("f", count + 20),
                                            "a = 1e" + repeated("9", count) + "x",
                                            repeated("\xff", count),
                                            repeated(nul, count),
                                            "a = '" + nul,
                                            "a = \"\xc3\"",
                                            "a = \"\\ud800\"",
                                            "a = -i\nb = 1",
                                            "a = 1-\nb",
                                            repeated(".", count) + " = 1",
                                            repeated("=", count),
                                            "\r" + repeated("\r", count)};
    for (const std::string& text : texts) {
      const std::string error = error_of(text);
      EXPECT_EQ(error.find("x:"), 0u) << count << " " << text.substr(0, 40) << ": " << error;
      EXPECT_EQ(error.find_first_of("\n\r" + nul), std::string::npos) << error;
    }
  }
}

TEST(Toml, DepthIsLimitedInValuesAndInKeys) {
  EXPECT_EQ(error_of("a = " + repeated("[", 20) + repeated("]", 20)), "");
  EXPECT_NE(error_of("a = " + repeated("[", 50) + repeated("]", 50)), "");
  EXPECT_EQ(error_of("[" + repeated("a.", 31) + "a]\n" + repeated("b.", 31) + "b = 1\n"), "");
  for (const std::string& text :
       {"[" + repeated("a.", 100'000) + "a]", "[[" + repeated("a.", 100'000) + "a]]", repeated("a.", 100'000) + "a = 1",
        "a = {" + repeated("a.", 100'000) + "a = 1}", "a = {b = \"\"\"\"\"\"\"\", " + repeated("a.", 100'000) + "a = 1}"})
    EXPECT_NE(error_of("# one\n" + text).find("x:2: expected TOML keys of at most 32 parts"), std::string::npos) << text.substr(0, 20);
  // Dots in strings and comments are no parts.
  const std::string dots(1000, '.');
  EXPECT_EQ(error_of("# " + dots + "\na = '" + dots + "'\nb = \"\\\"" + dots + "\"\nc = '''\n" + dots + "''''\nd = 1.5 # '" + dots), "");
}

}  // namespace
}  // namespace finback
