#include "base/program_name.h"

#include <gtest/gtest.h>

namespace finback {
namespace {

TEST(ProgramName, CommandsAloneAreShownAsTyped) {
  const std::string plain = "Hint: finback train X";
  EXPECT_EQ(as_typed(plain), plain) << "nothing was set";
  set_program("build/finback", {"train", "tokenize"});
  const std::pair<const char*, const char*> cases[] = {
      {"Hint: finback train X", "Hint: build/finback train X"},
      {"finback train", "build/finback train"},
      {"finback --help, finback tokenize.", "build/finback --help, build/finback tokenize."},
      {"finback: expected", "finback: expected"},
      {"which finback trains on", "which finback trains on"},
      {"finback tokenizer", "finback tokenizer"},
      {"build/finback train", "build/finback train"},
      {"(`finback train`) finback ", "(`build/finback train`) finback "},
  };
  for (const auto& [text, shown] : cases) EXPECT_EQ(as_typed(text), shown);
  set_program("/my programs/it's", {"train"});
  EXPECT_EQ(shell_word("runs/a b/latest"), "'runs/a b/latest'");
  EXPECT_EQ(shell_word("runs/a"), "runs/a");
  EXPECT_EQ(as_typed("finback train"), "'/my programs/it'\\''s' train");
  set_program("", {});
  EXPECT_EQ(as_typed(plain), plain);
}

}  // namespace
}  // namespace finback
