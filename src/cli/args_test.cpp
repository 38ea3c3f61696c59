#include "cli/args.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "base/error.h"
#include "base/pool.h"
#include "gemm/variant.h"

namespace finback {
namespace {

Args declared() {
  Args args("verb FILE [--flags]", "About.", "finback verb x --count 3");
  args.flag("count", "N", "a number").flag("name", "TEXT", "a word").toggle("json", "a switch").repeatable("word", "TEXT", "several");
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

TEST(Args, BothSpellingsOfAValue) {
  const Args args = parsed({"a", "--count", "3", "--name=x=y", "b", "--json"});
  EXPECT_EQ(args.positional(), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(args.integer("count", 0, 0, 10), 3);
  EXPECT_EQ(args.get_or("name", ""), "x=y");
  EXPECT_TRUE(args.has("json"));
  EXPECT_EQ(parsed({}).integer("count", 7, 0, 10), 7);
}

TEST(Args, AValueMayLookLikeAFlag) { EXPECT_EQ(parsed({"--name", "--json"}).get_or("name", ""), "--json"); }

// The flags of every verb are flags like others: what stands where a value belongs is a value.
TEST(Args, AValueMayLookLikeAFlagOfEveryVerb) {
  for (const char* value :
       {"--poison", "--threads", "--threads=3", "--kernels", "--kernels=ref", "--failpoint", "--failpoint=write:1:full"}) {
    const Args args = parsed({"--name", value, "a"});
    EXPECT_EQ(args.get_or("name", ""), value);
    EXPECT_EQ(args.positional(), std::vector<std::string>{"a"}) << value;
    for (const char* flag : {"poison", "threads", "kernels", "failpoint"}) EXPECT_FALSE(args.has(flag)) << value;
  }
  EXPECT_EQ(parsed({"--name=--poison"}).get_or("name", ""), "--poison");
}

TEST(Args, BehindTwoDashesAllWordsArePositional) {
  const Args args = parsed({"a", "--json", "--", "--poison", "--threads", "0", "-x", "--help", "--"});
  EXPECT_TRUE(args.has("json"));
  EXPECT_FALSE(args.has("poison"));
  EXPECT_EQ(args.positional(), (std::vector<std::string>{"a", "--poison", "--threads", "0", "-x", "--help", "--"}));
}

TEST(Args, FlagsOfEveryVerbActOnTheProcessInBothSpellings) {
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"--threads", "3", "x", "--kernels", "ref"}, {"x", "--kernels=ref", "--threads=3"}}) {
    EXPECT_EQ(parsed(words).positional(), std::vector<std::string>{"x"});
    EXPECT_EQ(threads(), 3);
    EXPECT_EQ(kernel_label(), "ref");
    (void)parsed({});  // back to the defaults
    EXPECT_EQ(threads(), available_cores());
    EXPECT_NE(kernel_label(), "ref");
  }
  for (const char* bad : {"--threads=0", "--threads=2x", "--threads=1025", "--kernels=fast", "--failpoint=write"})
    EXPECT_THROW(parsed({bad}), Error) << bad;
  EXPECT_EQ(usage_error_of({"--threads"}), "--threads expects a value: N");
  EXPECT_EQ(usage_error_of({"--poison=1"}), "--poison takes no value, got \"1\"");
}

// --poison asks for all that --deterministic does.
TEST(Args, PoisonSetsTheWorkspaceOfCublas) {
  ::unsetenv("CUBLAS_WORKSPACE_CONFIG");
  (void)parsed({"--poison"});
  EXPECT_NE(std::getenv("CUBLAS_WORKSPACE_CONFIG"), nullptr);
}

TEST(Args, CountsTheFlagsInFront) {
  const auto leading = [](const std::vector<std::string>& words) { return declared().leading_flags(words); };
  EXPECT_EQ(leading({"--threads", "2", "--json", "--count=3", "step", "--poison"}), 4u);
  EXPECT_EQ(leading({"step", "--json"}), 0u);
  EXPECT_EQ(leading({"--name", "step"}), 2u);
  EXPECT_EQ(leading({"--name"}), 1u);
  EXPECT_EQ(leading({"--other", "step"}), 0u);
}

TEST(Args, RepeatableFlagsCollectAndOthersComeOnce) {
  EXPECT_EQ(parsed({"--word", "a", "--count=1", "--word=b"}).all("word"), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(parsed({}).all("word"), std::vector<std::string>{});
  EXPECT_EQ(usage_error_of({"--count", "3", "--name=a", "--count=4"}), "--count comes twice, first with \"3\". Hint: keep one");
  EXPECT_EQ(usage_error_of({"--json", "--json"}), "--json comes twice. Hint: keep one");
  EXPECT_NE(usage_error_of({"--threads=1", "--threads=1"}), "");  // of every verb
  EXPECT_EQ(parsed({"--name", "--name"}).get("name"), "--name");  // the second is a value
}

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

TEST(Args, FlagsOfAnotherModeAreUsageErrors) {
  Args args("verb train|encode", "About.", "verb train");
  args.flag("out", "DIR", "where to").only_of({"train"}).toggle("lines", "by line").only_of({"encode", "decode"}).toggle("json", "always");
  ASSERT_TRUE(args.parse(std::vector<std::string>{"train", "--out=x", "--json", "--threads=1"}));
  EXPECT_NO_THROW(args.check_mode("train"));
  try {
    args.check_mode("encode");
    FAIL() << "taken";
  } catch (const UsageError& e) {
    EXPECT_STREQ(e.what(), "--out belongs to verb train: it has no effect with verb encode");
  }
}

TEST(Args, OverridesAreKeptInOrderWhereAccepted) {
  Args args = declared();
  args.accept_overrides("keys");
  ASSERT_TRUE(args.parse(std::vector<std::string>{"--train.steps=3", "--count=1", "--a.b.c=x y"}));
  using Pairs = std::vector<std::pair<std::string, std::string>>;
  EXPECT_EQ(args.overrides(), (Pairs{{"train.steps", "3"}, {"a.b.c", "x y"}}));
  Args again = declared();
  again.accept_overrides("keys");
  EXPECT_THROW((void)again.parse(std::vector<std::string>{"--train.steps=3", "--a.b=1", "--train.steps=4"}), UsageError);
}

TEST(Args, HelpShowsFlagsAndTheExampleAndThoseForTestsWhenAsked) {
  const auto help = [](const char* flag) {
    Args args = declared();
    args.toggle("inner", "for developers").developer();
    testing::internal::CaptureStdout();
    EXPECT_FALSE(args.parse(std::vector<std::string>{"x", flag}));
    return testing::internal::GetCapturedStdout();
  };
  const std::string brief = help("--help"), all = help("--help-all");
  for (const char* text : {"usage: finback verb FILE", "--count N", "a number", "--threads N", "--kernels NAME", "--quiet", "--help-all",
                           "example\n  finback verb x --count 3"}) {
    EXPECT_NE(brief.find(text), std::string::npos) << text;
    EXPECT_NE(all.find(text), std::string::npos) << text;
  }
  for (const char* text : {"--poison", "--failpoint NAME:COUNT:WHAT", "--inner"}) {
    EXPECT_EQ(brief.find(text), std::string::npos) << text;
    EXPECT_NE(all.find(text), std::string::npos) << text;
  }
}

TEST(Args, ShellsGetTheTableWithoutParsing) {
  VerbFlags table;
  Args::collect_into(&table);
  Args args = declared();
  args.accept_overrides("keys", {"a.b"});
  EXPECT_FALSE(args.parse(std::vector<std::string>{"--no-such-flag"}));
  Args::collect_into(nullptr);
  EXPECT_EQ(table.override_keys, std::vector<std::string>{"a.b"});
  bool found = false;
  for (const FlagHelp& flag : table.flags) found |= flag.name == "count" && flag.value_name == "N";
  EXPECT_TRUE(found);
}

TEST(Args, AKeyWithoutItsSectionIsAskedFor) {
  Args args = declared();
  args.accept_overrides("keys", {"optimizer.lr", "train.steps", "run.name"});
  const std::vector<std::string> words = {"--lr", "1e-3"};
  try {
    (void)args.parse(words);
    FAIL() << "taken";
  } catch (const UsageError& e) {
    EXPECT_NE(std::string(e.what()).find("--optimizer.lr=VALUE"), std::string::npos) << e.what();
  }
}

}  // namespace
}  // namespace finback
