#include "base/fields.h"

#include <gtest/gtest.h>

#include "base/toml.h"

namespace finback {
namespace {

struct Inner {
  double rate = 0.5;
  std::optional<int64_t> limit;
};
template <class V>
void visit_fields(Inner& c, V& v) {
  v("rate", c.rate, "a share");
  v("limit", c.limit, "absent: none");
}

struct Outer {
  std::string name = "x";
  int32_t small = 1;
  int64_t count = 2;
  bool on = false;
  std::vector<int64_t> list;
  Inner inner;
  std::vector<Inner> rows;
};
template <class V>
void visit_fields(Outer& c, V& v) {
  v("name", c.name, "a word");
  v("small", c.small, "32 bits");
  v("count", c.count, "64 bits");
  v("on", c.on, "a switch");
  v("list", c.list, "numbers");
  v("inner", c.inner, "");
  v("rows", c.rows, "tables");
}

std::string error_of(const std::string& json) {
  try {
    Outer config;
    load_fields(config, parse_json(json, "text"), "recipe.toml");
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

TEST(Fields, LoadOverwritesWhatIsNamedAndKeepsTheRest) {
  Outer config;
  load_fields(config, parse_json(R"({"count": 5, "inner": {"limit": 7}, "rows": [{"rate": 1}, {}], "list": [1, 2]})", "x"), "x");
  EXPECT_EQ(config.name, "x");
  EXPECT_EQ(config.count, 5);
  EXPECT_EQ(config.inner.rate, 0.5);
  EXPECT_EQ(config.inner.limit, 7);
  ASSERT_EQ(config.rows.size(), 2u);
  EXPECT_EQ(config.rows[0].rate, 1.0);
  EXPECT_EQ(config.list, (std::vector<int64_t>{1, 2}));
  load_fields(config, parse_json(R"({"inner": {"limit": null}})", "x"), "x");
  EXPECT_FALSE(config.inner.limit);
}

TEST(Fields, AnUnknownKeyNamesTheNearestOrAll) {
  EXPECT_EQ(error_of(R"({"cuont": 1})"), "recipe.toml: unknown key \"cuont\". Did you mean \"count\"?");
  EXPECT_NE(error_of(R"({"zzzzzz": 1})").find("Known keys: name, small, count"), std::string::npos);
  EXPECT_EQ(error_of(R"({"inner": {"rat": 1}})"), "recipe.toml: inner: unknown key \"rat\". Did you mean \"rate\"?");
  EXPECT_EQ(error_of(R"({"rows": [{}, {"rat": 1}]})"), "recipe.toml: rows[1]: unknown key \"rat\". Did you mean \"rate\"?");
}

TEST(Fields, AWrongTypeNamesKeyExpectedAndGot) {
  EXPECT_EQ(error_of(R"({"count": "many"})"), "recipe.toml: count: expected an integer, got \"many\"");
  EXPECT_EQ(error_of(R"({"on": 1})"), "recipe.toml: on: expected true or false, got 1");
  EXPECT_EQ(error_of(R"({"name": 1})"), "recipe.toml: name: expected a string, got 1");
  EXPECT_EQ(error_of(R"({"list": 1})"), "recipe.toml: list: expected a list, got 1");
  EXPECT_EQ(error_of(R"({"inner": 1})"), "recipe.toml: inner: expected a table, got number");
  EXPECT_EQ(error_of(R"({"inner": {"rate": true}})"), "recipe.toml: inner: rate: expected a number, got true");
}

TEST(Fields, IntegersMayBeWrittenAsWholeFloatsButMustFit) {
  Outer config;
  load_fields(config, parse_json(R"({"count": 1e6, "small": 2048.0})", "x"), "x");
  EXPECT_EQ(config.count, 1'000'000);
  EXPECT_EQ(config.small, 2048);
  for (const char* text : {"0.5", "1e19", "9223372036854775808", "9.223372036854775808e18", "18446744073709551615", "1e400"}) {
    EXPECT_NE(error_of(std::string(R"({"count": )") + text + "}"), "") << text;
  }
  EXPECT_NE(error_of(R"({"small": 2147483648})"), "");
  EXPECT_NE(error_of(R"({"small": -2147483649})"), "");
  EXPECT_EQ(error_of(R"({"count": 9223372036854775807, "small": -2147483648})"), "");
}

TEST(Fields, OverridesReachNestedKeysAndAreChecked) {
  Outer config;
  set_field(config, "inner.rate", "1e-3");
  set_field(config, "name", "true");
  set_field(config, "on", "true");
  set_field(config, "inner.limit", "9");
  set_field(config, "list", "[3, 4]");
  EXPECT_EQ(config.inner.rate, 1e-3);
  EXPECT_EQ(config.name, "true");  // a string field takes the text as it is
  EXPECT_TRUE(config.on);
  EXPECT_EQ(config.inner.limit, 9);
  EXPECT_EQ(config.list, (std::vector<int64_t>{3, 4}));
  EXPECT_THROW(set_field(config, "inner", "1"), Error);
  EXPECT_THROW(set_field(config, "count.x", "1"), Error);
  EXPECT_THROW(set_field(config, "count", "many"), Error);
  EXPECT_THROW(set_field(config, "inner.rte", "1"), Error);
  EXPECT_THROW(set_field(config, "", "1"), Error);
}

TEST(Fields, DumpAndLoadAreInverse) {
  Outer config;
  config.inner.limit = 3;
  config.rows.resize(2);
  config.rows[1].rate = 0.1;
  Outer again;
  load_fields(again, parse_toml(dump_toml(dump_fields(config)), "x"), "x");
  EXPECT_EQ(dump_fields(again), dump_fields(config));
}

TEST(Fields, HelpListsEveryFieldOnceWithItsDefault) {
  Outer config;
  const std::string help = help_fields(config);
  for (const char* text :
       {"name", "a word (default \"x\")", "inner.rate", "a share (default 0.5)", "inner.limit", "[[rows]]", "rows[].rate"}) {
    EXPECT_NE(help.find(text), std::string::npos) << text;
  }
}

TEST(NearestWord, IsEmptyWhenNothingIsNear) {
  EXPECT_EQ(nearest_word("generat", {"generate", "train"}), "generate");
  EXPECT_EQ(nearest_word("xyz", {"generate", "train"}), "");
  EXPECT_EQ(nearest_word("", {"generate"}), "");
}

std::string override_error(const std::string& path, const std::string& text) {
  try {
    Outer config;
    set_field(config, path, text);
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

TEST(Fields, AnOverrideWithoutItsSectionIsAskedFor) {
  EXPECT_EQ(override_error("rate", "1"), "--rate: unknown key. Did you mean --inner.rate?");
  EXPECT_EQ(override_error("limti", "1"), "--limti: unknown key. Did you mean --inner.limit?");
  EXPECT_EQ(override_error("inner.rat", "1"), "--inner.rat: unknown key \"rat\". Did you mean \"rate\"?");
  EXPECT_NE(override_error("zzzzzz.rate", "1").find("Known keys"), std::string::npos);
  Outer config;
  EXPECT_EQ(field_names(config), (std::vector<std::string>{"name", "small", "count", "on", "list", "inner.rate", "inner.limit", "rows"}));
}

TEST(Fields, AListIsTypedAsJsonOrAsInARecipe) {
  Outer config;
  set_field(config, "rows", "[{rate = 2.5}, {limit = 3}]");
  ASSERT_EQ(config.rows.size(), 2u);
  EXPECT_EQ(config.rows[0].rate, 2.5);
  EXPECT_EQ(config.rows[1].limit, 3);
  set_field(config, "rows", R"([{"rate": 4}])");
  ASSERT_EQ(config.rows.size(), 1u);
  EXPECT_EQ(config.rows[0].rate, 4);
  set_field(config, "list", "[3, 4]");
  EXPECT_EQ(config.list, (std::vector<int64_t>{3, 4}));
  EXPECT_NE(override_error("rows", "[{rate = }]").find("--rows"), std::string::npos);
  EXPECT_NE(override_error("rows", "words").find("expected a list"), std::string::npos);
}

}  // namespace
}  // namespace finback
