#include "model/inherited_files.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"

namespace finback {
namespace {
namespace fs = std::filesystem;

class InheritedFilesTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / fmt::format("finback_inherited_files_test_{}", getpid());
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }
  void write(const char* name, const char* text) const { write_file_atomic(folder_ / name, text); }
  fs::path folder_;
};

TEST_F(InheritedFilesTest, AFolderWithoutThemHasNone) {
  write("tokenizer_config.json", R"({"eos_token": "</s>"})");
  EXPECT_TRUE(inherited_files(folder_).empty());
}

TEST_F(InheritedFilesTest, ATemplateIsTakenFromEitherPlace) {
  write("tokenizer_config.json", R"({"chat_template": "{{ inside }}"})");
  EXPECT_EQ(inherited_files(folder_).at("chat_template.jinja"), "{{ inside }}");
  write("chat_template.jinja", "{{ beside }}");
  EXPECT_EQ(inherited_files(folder_), (InheritedFiles{{"chat_template.jinja", "{{ beside }}"}}));
}

TEST_F(InheritedFilesTest, SamplingGoesAlongAndEndsOfTextJoin) {
  write("generation_config.json", R"({"temperature": 0.6, "top_p": 0.95, "bos_token_id": 7, "eos_token_id": [5, 1]})");
  const InheritedFiles files = inherited_files(folder_);
  ModelConfig config;
  config.bos_token_id = 0, config.eos_token_id = 1;
  const auto made = [&](const InheritedFiles& inherited) { return parse_json(generation_config_text(config, inherited), "made"); };
  EXPECT_EQ(made(files), parse_json(R"({"temperature": 0.6, "top_p": 0.95, "bos_token_id": 0, "eos_token_id": [5, 1]})", "expected"));
  EXPECT_EQ(made({{"generation_config.json", made(files).dump()}}), made(files)) << "a resumed run reads what it wrote";
  config.eos_token_id = 9;
  EXPECT_EQ(made(files)["eos_token_id"], Json({5, 1, 9}));
  config.other["eos_token_id"] = {9, 5};
  EXPECT_EQ(made(files)["eos_token_id"], Json({5, 1, 9}));
  EXPECT_EQ(made({{"generation_config.json", R"({"eos_token_id": null})"}})["eos_token_id"], Json({9, 5}));
  EXPECT_EQ(made({}), parse_json(R"({"do_sample": true, "bos_token_id": 0, "eos_token_id": [9, 5]})", "expected"));
  EXPECT_EQ(parse_json(generation_config_text(ModelConfig{}, files), "x")["eos_token_id"], Json({5, 1}));
}

TEST_F(InheritedFilesTest, ABrokenFileIsAnErrorThatNamesIt) {
  for (const char* text : {"", "[]", "{\"temperature\": 1, \"temperature\": 2}"}) {
    write("generation_config.json", text);
    try {
      inherited_files(folder_);
      ADD_FAILURE() << text;
    } catch (const Error& e) {
      EXPECT_NE(std::string(e.what()).find("generation_config.json"), std::string::npos) << e.what();
    }
  }
}

}  // namespace
}  // namespace finback
