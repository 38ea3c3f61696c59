#include "generate/generation_config.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "data/test_folder.h"
#include "model/test_models.h"

namespace finback {
namespace {

GenerationConfig loaded(const std::string& text) {
  const std::filesystem::path folder = test::fresh("generation_config");
  test::spill(folder / "generation_config.json", text);
  return load_generation_config(folder);
}

TEST(GenerationConfig, ReadsSamplingAsTransformersDoes) {
  // DeepSeek-V3's file.
  const GenerationConfig v3 =
      loaded(R"({"_from_model_config": true, "bos_token_id": 0, "eos_token_id": 1, "do_sample": true, "temperature": 0.6, "top_p": 0.95})");
  EXPECT_EQ(v3.sampling.temperature, 0.6);
  EXPECT_EQ(v3.sampling.top_p, 0.95);
  EXPECT_EQ(v3.sampling.top_k, 0);
  EXPECT_EQ(v3.sampling.min_p, 0);
  EXPECT_EQ(v3.eos_token_ids, std::vector<int32_t>{1});
  const GenerationConfig more = loaded(R"({"top_k": 20, "min_p": 0.1, "temperature": null})");
  EXPECT_EQ(more.sampling.top_k, 20);
  EXPECT_EQ(more.sampling.min_p, 0.1);
  EXPECT_EQ(more.sampling.temperature, 1);
  EXPECT_EQ(loaded(R"({"do_sample": false, "temperature": 0.6})").sampling.temperature, 0);
  EXPECT_EQ(load_generation_config(test::fresh("no_generation_config")).sampling.temperature, 1);
}

TEST(GenerationConfig, EosIsANumberAListOrAbsent) {
  EXPECT_EQ(loaded(R"({"eos_token_id": [7, 3, 7]})").eos_token_ids, (std::vector<int32_t>{7, 3, 7}));
  EXPECT_EQ(loaded(R"({"eos_token_id": []})").eos_token_ids, std::vector<int32_t>{});
  EXPECT_EQ(loaded(R"({"eos_token_id": null})").eos_token_ids, std::vector<int32_t>{});
  EXPECT_EQ(loaded("{}").eos_token_ids, std::vector<int32_t>{});
}

TEST(GenerationConfig, RefusesOtherTypesAndNamesTheFile) {
  for (const char* text :
       {"[]", R"({"temperature": "warm"})", R"({"do_sample": 3})", R"({"top_k": 1.5})", R"({"top_k": -1})", R"({"eos_token_id": "1"})",
        R"({"eos_token_id": [1, -2]})", R"({"eos_token_id": 1.5})", R"({"eos_token_id": 4294967297})",
        R"({"eos_token_id": 18446744073709551615})", R"({"eos_token_id": [[1]]})", R"({"eos_token_id": true})"}) {
    const std::string message = test::failure([&] { loaded(text); });
    EXPECT_NE(message.find("generation_config.json"), std::string::npos) << text << ": " << message;
  }
}

TEST(StopIds, AreTheUnionOfModelGenerationConfigAndRequest) {
  ModelConfig model = test::small_config(R"({"vocab_size": 700})");
  model.eos_token_id = 5;
  GenerationConfig generation;
  generation.eos_token_ids = {5, 9, 5};
  EXPECT_EQ(stop_ids(model, generation, nullptr), (std::vector<int32_t>{5, 9}));
  EXPECT_EQ(stop_ids(model, generation, nullptr, std::vector<int32_t>{9, 2}), (std::vector<int32_t>{5, 9, 2}));
  model.eos_token_id.reset();
  EXPECT_EQ(stop_ids(model, generation, nullptr), (std::vector<int32_t>{5, 9}));
}

TEST(StopIds, TheTokenizersEndCountsWhereNoFileNamesOne) {
  const Tokenizer tokenizer = Tokenizer::load(FINBACK_SOURCE_DIR "/tests/golden/tokenizer/deepseek.json");
  ModelConfig model = test::small_config(R"({"vocab_size": 700})");
  model.eos_token_id.reset();
  EXPECT_EQ(stop_ids(model, {}, &tokenizer), std::vector<int32_t>{*tokenizer.eos_id()});
  EXPECT_EQ(stop_ids(model, {}, nullptr), std::vector<int32_t>{});
  model.eos_token_id = 8;
  EXPECT_EQ(stop_ids(model, {}, &tokenizer), std::vector<int32_t>{8});
}

TEST(StopIds, OutsideTheVocabularyAreRefused) {
  const ModelConfig model = test::small_config(R"({"vocab_size": 700})");
  GenerationConfig generation;
  generation.eos_token_ids = {700};
  EXPECT_NE(test::failure([&] { stop_ids(model, generation, nullptr); }).find("generation_config.json"), std::string::npos);
  EXPECT_THROW(stop_ids(model, {}, nullptr, std::vector<int32_t>{-1}), Error);
}

}  // namespace
}  // namespace finback
