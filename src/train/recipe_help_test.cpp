#include "train/recipe_help.h"

#include <gtest/gtest.h>

#include "base/field_list.h"
#include "train/train_config.h"

namespace finback {
namespace {

size_t count(const std::string& text, const std::string& word) {
  size_t found = 0;
  for (size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) ++found;
  return found;
}

TEST(RecipeHelp, NamesEveryKeyOnceWithItsHelp) {
  const std::string text = recipe_help();
  TrainConfig defaults;
  for (const FieldLine& line : field_lines(defaults)) {
    size_t lines = 0;
    for (const char* mark : {"\n  ", "\n* ", "\n~ "}) lines += count(text, mark + line.key + " ");
    EXPECT_EQ(lines, 1u) << line.key;
    EXPECT_NE(text.find(line.help), std::string::npos) << line.key;
  }
  EXPECT_EQ(recipe_keys().size(), field_lines(defaults).size());
}

TEST(RecipeHelp, MarksWhatAResumedRunMayChange) {
  const std::string text = recipe_help();
  for (const char* line : {"\n* eval.every ", "\n~ train.steps ", "\n  optimizer.lr "}) EXPECT_EQ(count(text, line), 1u) << line;
}

TEST(RecipeHelp, WhatMattersComesFirst) {
  const std::string text = recipe_help();
  const size_t second = text.find("\n\n");
  for (const char* key : {"data.corpora", "train.steps", "optimizer.lr"}) EXPECT_LT(text.find(key), second) << key;
  EXPECT_GT(text.find("optimizer.beta1"), second);
}

}  // namespace
}  // namespace finback
