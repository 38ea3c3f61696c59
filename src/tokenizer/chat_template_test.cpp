#include "tokenizer/chat_template.h"

#include <gtest/gtest.h>

#include <fstream>

#include "tokenizer/bpe_trainer.h"

namespace finback {
namespace {

namespace fs = std::filesystem;

TEST(ChatTemplate, RecognisesWhatItsOwnTokenizerWrites) {
  const fs::path folder = fs::path(testing::TempDir()) / "chat_template_own";
  write_tokenizer(folder, {}, minimum_vocab_size());
  const ChatTemplate found = read_chat_template(folder);
  EXPECT_EQ(found.format, ChatFormat::kV3);
  EXPECT_TRUE(found.of_finback);
  fs::remove_all(folder);
}

TEST(ChatTemplate, TellsDeepSeeksFormatsApart) {
  const std::string v3 = "{{ '<｜User｜>' + message['content'] }}{{ '<｜Assistant｜>' }}";
  EXPECT_EQ(recognise_chat_template(v3).format, ChatFormat::kV3);
  EXPECT_FALSE(recognise_chat_template(v3).of_finback);
  EXPECT_EQ(recognise_chat_template(v3 + "{% if add_generation_prompt %}{{'<｜Assistant｜><think>\\n'}}{% endif %}").format,
            ChatFormat::kR1);
  EXPECT_EQ(recognise_chat_template(v3 + "{{'<｜Assistant｜></think>'}}{{'<｜Assistant｜><think>\\n'}}").format, std::nullopt);
  EXPECT_EQ(recognise_chat_template(v3 + "{% if thinking %}").format, std::nullopt);
}

// V3's but for a detail: its prompts would be other texts.
TEST(ChatTemplate, WhatChangesMessagesIsAnother) {
  const std::string end = "{{ '<｜Assistant｜>' }}", user = "{{ '<｜User｜>' + message['content'] }}";
  EXPECT_EQ(recognise_chat_template("{% set ns = namespace(system_prompt='') %}" + user + end).format, ChatFormat::kV3);
  EXPECT_EQ(recognise_chat_template("{{ '<｜User｜>' + message['content'] + '<｜end▁of▁sentence｜>' }}" + end).format, ChatFormat::kV3);
  for (const std::string& text : {"{{ '<｜User｜>' + message['content']|trim }}" + end, "{{ '<｜User｜> ' + message['content'] }}" + end,
                                  "{{ '<｜User｜>\\n' + message['content'] }}" + end, "{{ '<｜User｜>' + message['content'] + ' ' }}" + end,
                                  "{% set ns = namespace(system_prompt='You are a pirate.') %}" + user + end,
                                  "{{ '<｜User｜>' + message['content'].strip() }}" + end}) {
    EXPECT_EQ(recognise_chat_template(text).format, std::nullopt) << text;
  }
}

TEST(ChatTemplate, OthersAreNotRecognised) {
  for (const char* text : {"", "<|im_start|>user\n", "[INST] {{ m }} [/INST]", "<｜User｜>{{ m }}"}) {
    EXPECT_EQ(recognise_chat_template(text).format, std::nullopt) << text;
  }
}

TEST(ChatTemplate, IsReadFromEitherFile) {
  const fs::path folder = fs::path(testing::TempDir()) / "chat_template_files";
  fs::create_directories(folder);
  EXPECT_EQ(read_chat_template(folder).text, "");
  std::ofstream(folder / "tokenizer_config.json")
      << R"({"chat_template": [{"name": "tool_use", "template": "x"}, {"name": "default", "template": "y"}]})";
  EXPECT_EQ(read_chat_template(folder).text, "y");
  std::ofstream(folder / "chat_template.jinja") << "z";
  EXPECT_EQ(read_chat_template(folder).text, "z");
  fs::remove_all(folder);
}

}  // namespace
}  // namespace finback
