// Replays what Hugging Face tokenizers said: tests/golden/tokenizer, written by tools/parity_tokenizer --write-goldens.
#include <gtest/gtest.h>

#include <filesystem>
#include <sstream>

#include "base/file.h"
#include "base/json.h"
#include "tokenizer/tokenizer.h"

namespace finback {
namespace {
namespace fs = std::filesystem;

void replay(const fs::path& file, int& cases) {
  const Tokenizer tokenizer = Tokenizer::load(file);
  fs::path answers = file;
  std::istringstream lines(read_file(answers.replace_extension(".jsonl")));
  for (std::string line; std::getline(lines, line); ++cases) {
    const Json json = parse_json(line, answers.string());
    const std::string text = json["text"];
    const std::vector<int32_t> ids = json["ids"];
    const std::string shown = file.stem().string() + ": " + dump_json_line(json["text"]);
    ASSERT_EQ(tokenizer.encode(text, {.control_tokens = true}), ids) << shown;
    ASSERT_EQ(tokenizer.encode(text, {.add_special = true, .control_tokens = true}), json.value("special", ids)) << shown;
    ASSERT_EQ(tokenizer.encode(text), json.value("as_text", ids)) << shown;
    ASSERT_EQ(tokenizer.decode(ids), json.value("decoded", text)) << shown;
  }
}

TEST(TokenizerGolden, EveryIdAgrees) {
  int files = 0, cases = 0;
  for (const auto& entry : fs::directory_iterator(FINBACK_SOURCE_DIR "/tests/golden/tokenizer")) {
    if (entry.path().extension() != ".json") continue;
    replay(entry.path(), cases);
    ++files;
  }
  EXPECT_EQ(files, 24);
  EXPECT_GT(cases, 1500);
}

}  // namespace
}  // namespace finback
