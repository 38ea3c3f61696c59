#include "tokenizer/split_regex.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace finback {
namespace {

std::vector<std::string> matches(std::string_view pattern, std::string_view text) {
  std::vector<ByteRange> found;
  SplitRegex(pattern, "test").find_all(text, found);
  std::vector<std::string> out;
  for (const ByteRange& piece : found) out.emplace_back(text.substr(piece.begin, piece.end - piece.begin));
  return out;
}
using Strings = std::vector<std::string>;

TEST(SplitRegex, ReadsClassesAsOnigurumaDoes) {
  EXPECT_EQ(matches(R"(\s+)", "a \u3000\u180Eb"), (Strings{" \u3000"}));  // U+180E is no white space since Unicode 6.3
  EXPECT_EQ(matches(R"([^\s]+)", "a\u180E b"), (Strings{"a\u180E", "b"}));
  EXPECT_EQ(matches(R"(\w+)", "e\u0301_\u24B6-x"), (Strings{"e\u0301_\u24B6", "x"}));  // marks and circled letters are word characters
  EXPECT_EQ(matches(R"(\h+)", "beef!Z"), (Strings{"beef"}));
  EXPECT_EQ(matches(R"(\S\S)", "abc"), (Strings{"ab"}));
}

TEST(SplitRegex, ReadsQuantifiersAsRubyDoes) {
  EXPECT_EQ(matches(R"(a{2}+)", "aaaaa"), (Strings{"aaaa"}));  // one or more of a{2}; not possessive
  EXPECT_EQ(matches(R"(xa{,2})", "xaaa"), (Strings{"xaa"}));
  EXPECT_EQ(matches(R"(a++)", "aaa"), (Strings{"aaa"}));
  EXPECT_EQ(matches(R"(a{,})", "a{,}"), (Strings{"a{,}"}));  // a literal
}

TEST(SplitRegex, TakesCaretAndDollarAtLines) {
  EXPECT_EQ(matches(R"(^\w)", "ab\ncd"), (Strings{"a", "c"}));
  EXPECT_EQ(matches(R"(\s+$)", "a \nb  "), (Strings{" ", "  "}));  // the line end itself stays outside
  EXPECT_EQ(matches("(?m:a.b)", "a\nb"), (Strings{"a\nb"}));       // Ruby's m lets the dot match a line end
}

TEST(SplitRegex, CountsEmptyMatchesOnce) { EXPECT_EQ(matches("b*", "abc"), (Strings{"", "b", ""})); }

TEST(SplitRegex, RefusesByNameWhatWouldMeanSomethingElse) {
  const auto message = [](std::string_view pattern) -> std::string {
    try {
      SplitRegex(pattern, "file: Split");
    } catch (const Error& e) {
      return e.what();
    }
    return "";
  };
  for (const char* pattern :
       {"[[:alpha:]]",     "[a[b]]", "[a&&b]",  "(?<name>a)",          R"(\1)",   R"(\b)", R"(\K)", R"(\xFF)", "(?~a)",
        "(*FAIL)",         "a(?i)b", "(?x: a)", R"(\p{Script=Greek})", R"([\W])", "(a",    "a)",    "[a",      "*a",
        R"(\p{Nonsense})", "\\"}) {
    const std::string text = message(pattern);
    EXPECT_TRUE(text.starts_with("file: Split")) << pattern << ": " << text;
    EXPECT_EQ(text.find('\n'), std::string::npos);
  }
  EXPECT_NE(message("[a&&b]").find("&&"), std::string::npos);
}

TEST(SplitRegex, GivesUpOnRunawayBacktracking) {
  const SplitRegex regex("(a|aa|aaa)+$", "test");
  std::vector<ByteRange> found;
  EXPECT_THROW(regex.find_all(std::string(200, 'a') + "!", found), Error);
}

}  // namespace
}  // namespace finback
