#include "cli/args.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace finback {
namespace {

Args declared() {
  Args args("verb FILE [--flags]", "About.", "finback verb x --count 3");
  args.flag("count", "N", "a number").flag("name", "TEXT", "a word").toggle("json", "a switch");
  return args;
}

Args parsed(const std::vector<std::string>& words) {
  Args args = declared();
  EXPECT_TRUE(args.parse(words));
  return args;
}

std::string usage_error_of(const std::vector<std::string>& words) {
  try {
    Args args = declared();
    (void)args.parse(words);
  } catch (const UsageError& e) {
    return e.what();
  }
  return "";
}

TEST(Args, BothSpellingsOfAValueAndTheLastOneCounts) {
  const Args args = parsed({"a", "--count", "3", "--name=x=y", "b", "--json", "--count=4"});
  EXPECT_EQ(args.positional(), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(args.integer("count", 0, 0, 10), 4);
  EXPECT_EQ(args.get_or("name", ""), "x=y");
  EXPECT_TRUE(args.has("json"));
  EXPECT_EQ(parsed({}).integer("count", 7, 0, 10), 7);
}

TEST(Args, AValueMayLookLikeAFlag) { EXPECT_EQ(parsed({"--name", "--json"}).get_or("name", ""), "--json"); }

TEST(Args, UnknownFlagsNameTheNearestAndTheVerb) {
  EXPECT_EQ(usage_error_of({"--cuont", "3"}), "unknown flag --cuont (did you mean --count?). Hint: finback verb --help");
  EXPECT_EQ(usage_error_of({"--wholly-other"}), "unknown flag --wholly-other. Hint: finback verb --help");
  EXPECT_NE(usage_error_of({"-x"}), "");
  EXPECT_NE(usage_error_of({"--train.steps=3"}), "");  // only verbs with a recipe take those
  EXPECT_EQ(parsed({"-", "-5"}).positional(), (std::vector<std::string>{"-", "-5"}));
}

TEST(Args, ValuesAreTakenExactlyWhereDeclared) {
  EXPECT_EQ(usage_error_of({"--count"}), "--count expects a value: N");
  EXPECT_EQ(usage_error_of({"--json=1"}), "--json takes no value, got \"1\"");
}

TEST(Args, NumbersAreReadWholeAndInRange) {
  const auto integer = [](const char* text) { return parsed({"--count", text}).integer("count", 0, 1, 1'000'000); };
  EXPECT_EQ(integer("1e6"), 1'000'000);
  for (const char* text : {"", "x", "3x", "1.5", "0", "1000001", "nan", "inf", "-1"}) EXPECT_THROW(integer(text), Error) << text;
  EXPECT_EQ(parsed({"--count", "0.25"}).number("count", 0, 0, 1), 0.25);
}

TEST(Args, MissingAndSurplusWordsAreUsageErrors) {
  EXPECT_THROW(parsed({}).required(0, "a file"), UsageError);
  EXPECT_EQ(parsed({"x"}).required(0, "a file"), "x");
  EXPECT_THROW(parsed({"x", "y"}).at_most(1), UsageError);
}

TEST(Args, OverridesAreKeptInOrderWhereAccepted) {
  Args args = declared();
  args.accept_overrides("keys");
  ASSERT_TRUE(args.parse(std::vector<std::string>{"--train.steps=3", "--count=1", "--a.b.c=x y"}));
  using Pairs = std::vector<std::pair<std::string, std::string>>;
  EXPECT_EQ(args.overrides(), (Pairs{{"train.steps", "3"}, {"a.b.c", "x y"}}));
}

TEST(Args, HelpShowsFlagsAndTheExample) {
  Args args = declared();
  testing::internal::CaptureStdout();
  EXPECT_FALSE(args.parse(std::vector<std::string>{"x", "--help"}));
  const std::string help = testing::internal::GetCapturedStdout();
  for (const char* text : {"usage: finback verb FILE", "--count N", "a number", "--threads", "example\n  finback verb x --count 3"}) {
    EXPECT_NE(help.find(text), std::string::npos) << text;
  }
}

}  // namespace
}  // namespace finback
