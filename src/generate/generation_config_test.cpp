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
  EXPECT_EQ(loaded(R"({"do_sample": false, "temperature": 0.6, "top_k": 7})").sampling.temperature, 0);
  EXPECT_EQ(loaded(R"({"do_sample": false, "temperature": 0.6, "top_k": 7})").sampling.top_k, 7);  // for who asks for a temperature
  EXPECT_EQ(load_generation_config(test::fresh("no_generation_config")).sampling.temperature, 1);
}

TEST(GenerationConfig, EosIsANumberAListOrAbsent) {
  EXPECT_EQ(loaded(R"({"eos_token_id": [7, 3, 7]})").eos_token_ids, (std::vector<int32_t>{7, 3, 7}));
  EXPECT_EQ(loaded(R"({"eos_token_id": []})").eos_token_ids, std::vector<int32_t>{});
  EXPECT_EQ(loaded(R"({"eos_token_id": null})").eos_token_ids, std::vector<int32_t>{});
  EXPECT_EQ(loaded("{}").eos_token_ids, std::vector<int32_t>{});
}

TEST(GenerationConfig, ReadsLengthsAndStopStrings) {
  EXPECT_EQ(loaded("{}").new_tokens(5, 256), 256);
  EXPECT_EQ(loaded(R"({"max_new_tokens": 2})").new_tokens(5, 256), 2);
  EXPECT_EQ(loaded(R"({"max_length": 20})").new_tokens(5, 256), 15);
  EXPECT_EQ(loaded(R"({"max_length": 20})").new_tokens(20, 256), 256);  // a prompt that is too long for it already
  EXPECT_EQ(loaded(R"({"max_length": 20, "max_new_tokens": 3})").new_tokens(5, 256), 3);
  EXPECT_EQ(loaded(R"({"max_length": null, "max_new_tokens": null})").new_tokens(5, 256), 256);
  EXPECT_EQ(loaded(R"({"stop_strings": ["a", "b"]})").stop_strings, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(loaded(R"({"stop_strings": "a"})").stop_strings, std::vector<std::string>{"a"});
}

TEST(GenerationConfig, NamesTheKeysThatAskForWhatIsNotBuilt) {
  using Names = std::vector<std::string>;
  EXPECT_EQ(loaded(R"({"repetition_penalty": 1.05, "no_repeat_ngram_size": 3, "num_beams": 4, "suppress_tokens": [1], "frobnicate": "x"})")
                .not_followed,
            (Names{"repetition_penalty", "no_repeat_ngram_size", "num_beams", "suppress_tokens", "frobnicate"}));
  // As transformers writes them when nothing is asked for.
  EXPECT_EQ(loaded(R"({"repetition_penalty": 1.0, "no_repeat_ngram_size": 0, "num_beams": 1, "suppress_tokens": null, "bad_words_ids": [],
    "length_penalty": 1, "typical_p": 1.0, "epsilon_cutoff": 0.0, "early_stopping": false, "guidance_scale": null, "use_cache": true,
    "_from_model_config": true, "transformers_version": "5.0", "bos_token_id": 0, "pad_token_id": 1, "output_scores": true,
    "cache_implementation": "static", "temperature": 0.5, "do_sample": true, "max_length": 20})")
                .not_followed,
            Names{});
}

TEST(GenerationConfig, RefusesOtherTypesAndNamesTheFile) {
  for (const char* text : {"[]", R"({"temperature": "warm"})", R"({"do_sample": 3})", R"({"top_k": 1.5})", R"({"top_k": -1})",
                           R"({"eos_token_id": "1"})", R"({"eos_token_id": 1.5})", R"({"eos_token_id": 4294967297})",
                           R"({"eos_token_id": 18446744073709551615})", R"({"eos_token_id": [[1]]})", R"({"eos_token_id": true})",
                           R"({"max_new_tokens": 0})", R"({"max_length": "20"})", R"({"stop_strings": [1]})"}) {
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

TEST(StopIds, AListInConfigJsonCountsWhole) {
  const ModelConfig model = test::small_config(R"({"vocab_size": 700, "eos_token_id": [5, 94, 7]})");
  EXPECT_EQ(model.eos_token_id, 5);
  EXPECT_EQ(stop_ids(model, {}, nullptr), (std::vector<int32_t>{5, 94, 7}));
  EXPECT_EQ(dump_model_config(model)["eos_token_id"], Json::array({5, 94, 7}));
  EXPECT_EQ(stop_ids(test::small_config(R"({"vocab_size": 700, "eos_token_id": [6]})"), {}, nullptr), std::vector<int32_t>{6});
  EXPECT_EQ(stop_ids(test::small_config(R"({"vocab_size": 700, "eos_token_id": []})"), {}, nullptr), std::vector<int32_t>{});
  EXPECT_THROW(test::small_config(R"({"vocab_size": 700, "eos_token_id": [5, "x"]})"), Error);
  EXPECT_EQ(stop_ids(test::small_config(R"({"vocab_size": 700, "eos_token_id": [5, 700]})"), {}, nullptr), std::vector<int32_t>{5})
      << "never drawn";
}

TEST(StopIds, TheTokenizersEndIsOneOfThem) {
  const Tokenizer tokenizer = Tokenizer::load(FINBACK_SOURCE_DIR "/tests/golden/tokenizer/deepseek.json");
  ModelConfig model = test::small_config(R"({"vocab_size": 700})");
  model.eos_token_id.reset();
  EXPECT_EQ(stop_ids(model, {}, &tokenizer), std::vector<int32_t>{*tokenizer.eos_id()});
  EXPECT_EQ(stop_ids(model, {}, nullptr), std::vector<int32_t>{});
  model.eos_token_id = 8;
  EXPECT_EQ(stop_ids(model, {}, &tokenizer), (std::vector<int32_t>{8, *tokenizer.eos_id()}));
}

TEST(StopIds, OutsideTheVocabularyEndNothingAndInARequestAreRefused) {
  const ModelConfig model = test::small_config(R"({"vocab_size": 700})");
  GenerationConfig generation;
  generation.eos_token_ids = {700};
  EXPECT_EQ(stop_ids(model, generation, nullptr), stop_ids(model, {}, nullptr));
  EXPECT_THROW(stop_ids(model, {}, nullptr, std::vector<int32_t>{-1}), Error);
}

}  // namespace
}  // namespace finback
