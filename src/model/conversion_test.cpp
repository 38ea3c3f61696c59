#include "model/conversion.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "model/checkpoint.h"
#include "model/random_model.h"
#include "model/safetensors.h"
#include "model/test_models.h"

namespace finback {
namespace {
namespace fs = std::filesystem;

class ConversionTest : public testing::Test {
 protected:
  void SetUp() override {
    root_ = fs::temp_directory_path() / fmt::format("finback_conversion_test_{}", getpid());
    fs::remove_all(root_);
    const auto model = test::lively_model(test::small_config(), false);
    SaveOptions options;
    options.shard_bytes = 20'000;
    save_model(root_ / "m", *model, options);
  }
  void TearDown() override { fs::remove_all(root_); }
  std::string error_of(const fs::path& to, const std::string& weights, const ConvertOptions& options = {}) const {
    try {
      convert_model(root_ / "m", to, weights, options);
    } catch (const Error& e) {
      return e.what();
    }
    return "";
  }
  std::map<std::string, uint64_t> contents(const char* folder) const {
    std::map<std::string, uint64_t> hashes;
    for (const auto& item : fs::directory_iterator(root_ / folder)) hashes[item.path().filename().string()] = hash_file(item.path());
    return hashes;
  }
  fs::path root_;
};

// What a kill leaves: the first shards, a temporary file, conversion.json, no config.json.
TEST_F(ConversionTest, GoesOnBehindTheShardsThatAreThere) {
  const Conversion whole = convert_model(root_ / "m", root_ / "whole", "bf16");
  ASSERT_GT(whole.shards, 3u);
  EXPECT_EQ(whole.kept_shards, 0u);
  arm_failpoint("write:60:full");  // the disk is full at the 60th tensor
  const std::string error = error_of(root_ / "cut", "bf16");
  ASSERT_NE(error.find("cannot write"), std::string::npos) << error;
  ASSERT_FALSE(fs::exists(root_ / "cut" / "config.json"));
  ASSERT_TRUE(fs::exists(root_ / "cut" / "conversion.json"));
  EXPECT_NE(error_of(root_ / "cut", "f32").find("--overwrite begins anew"), std::string::npos);
  const Conversion rest = convert_model(root_ / "m", root_ / "cut", "bf16");
  EXPECT_GT(rest.kept_shards, 0u);
  EXPECT_LT(rest.kept_shards, rest.shards);
  EXPECT_EQ(contents("cut"), contents("whole"));
}

TEST_F(ConversionTest, AShardThatWasCutOffIsWrittenAgain) {
  const size_t shards = convert_model(root_ / "m", root_ / "x", "bf16").shards;
  const auto whole = contents("x");
  arm_failpoint("write:60:full");
  ASSERT_NE(error_of(root_ / "y", "bf16"), "");
  fs::resize_file(root_ / "y" / fmt::format("model-00001-of-{:05}.safetensors", shards), 4000);
  convert_model(root_ / "m", root_ / "y", "bf16");
  EXPECT_EQ(contents("y"), whole);
}

TEST_F(ConversionTest, AFolderWithSomethingInItIsLeftAloneUnlessAsked) {
  convert_model(root_ / "m", root_ / "x", "bf16");
  write_file_atomic(root_ / "x" / "tokenizer.json", "{}");
  write_file_atomic(root_ / "x" / "mine.txt", "notes");
  const auto before = contents("x");
  EXPECT_NE(error_of(root_ / "x", "f32").find("expected a new folder, got one with config.json in it. Hint: --overwrite"),
            std::string::npos)
      << error_of(root_ / "x", "f32");
  EXPECT_EQ(contents("x"), before);
  EXPECT_EQ(error_of(root_ / "x", "f32", {.overwrite = true, .card = {}}), "");
  EXPECT_FALSE(fs::exists(root_ / "x" / "tokenizer.json")) << "another model's tokenizer stayed";
  EXPECT_EQ(read_file(root_ / "x" / "mine.txt"), "notes");
  EXPECT_EQ(load_model_config(root_ / "x").torch_dtype, "float32");
  write_file_atomic(root_ / "x" / "trainer.json", "{}");
  EXPECT_NE(error_of(root_ / "x", "bf16", {.overwrite = true, .card = {}}).find("got a run's (trainer.json"), std::string::npos);
}

TEST_F(ConversionTest, KeepsWhatItDoesNotUnderstandAndLeavesTheTrainerBehind) {
  Json config = read_json(root_ / "m" / "config.json");
  config["custom"] = {{"nested", {1, 2, nullptr}}};
  config["transformers_version"] = "9.9";
  write_file_atomic(root_ / "m" / "config.json", dump_json(config));
  const char* kept[] = {"generation_config.json", "tokenizer.model", "chat_template.jinja", "LICENSE", "modeling_custom.py", "vocab.json"};
  const char* left[] = {"trainer.safetensors", "trainer.json", "DONE", "pytorch_model.bin", ".hidden"};
  for (const char* name : kept) write_file_atomic(root_ / "m" / name, fmt::format("{{\"{}\": [1]}}", name));
  for (const char* name : left) write_file_atomic(root_ / "m" / name, "x");
  fs::create_directories(root_ / "m" / "figures");
  const Conversion done = convert_model(root_ / "m", root_ / "x", "bf16");
  for (const char* name : kept) EXPECT_EQ(read_file(root_ / "x" / name), read_file(root_ / "m" / name)) << name;
  for (const char* name : left) EXPECT_FALSE(fs::exists(root_ / "x" / name)) << name;
  EXPECT_EQ(done.left_out,
            (std::vector<std::string>{".hidden", "DONE", "figures/", "pytorch_model.bin", "trainer.json", "trainer.safetensors"}));
  config["torch_dtype"] = "bfloat16";
  EXPECT_EQ(read_json(root_ / "x" / "config.json"), config);
  EXPECT_FALSE(fs::exists(root_ / "x" / "conversion.json"));
}

TEST_F(ConversionTest, KeepsTheFormOfFp8Scales) {
  convert_model(root_ / "m", root_ / "fp8", "fp8");
  Json config = read_json(root_ / "fp8" / "config.json");
  EXPECT_EQ(config["quantization_config"]["weight_block_size"], Json({128, 128}));
  config["quantization_config"]["scale_fmt"] = "ue8m0";
  config["quantization_config"]["modules_to_not_convert"] = {"lm_head"};
  write_file_atomic(root_ / "fp8" / "config.json", dump_json(config));
  convert_model(root_ / "fp8", root_ / "again", "fp8");
  EXPECT_EQ(read_json(root_ / "again" / "config.json"), config);
  convert_model(root_ / "fp8", root_ / "bf16", "bf16");
  EXPECT_FALSE(read_json(root_ / "bf16" / "config.json").contains("quantization_config"));
}

TEST_F(ConversionTest, SaysWhatBlocksOfAnotherSizeKeepOutOfFp8) {
  EXPECT_EQ(convert_model(root_ / "m", root_ / "fp8", "fp8").fp8_remark, "");
  Json config = read_json(root_ / "fp8" / "config.json");
  config["quantization_config"]["weight_block_size"] = {256, 256};  // all matrices are smaller than a block: the same scales
  write_file_atomic(root_ / "fp8" / "config.json", dump_json(config));
  EXPECT_EQ(convert_model(root_ / "fp8", root_ / "again", "fp8").fp8_remark, "FP8 in blocks of 256 x 256 is copied as it is");
  EXPECT_EQ(convert_model(root_ / "fp8", root_ / "bf16", "bf16").fp8_remark, "");
  Json wide = read_json(root_ / "m" / "config.json");
  wide["quantization_config"] = config["quantization_config"];
  write_file_atomic(root_ / "m" / "config.json", dump_json(wide));
  int64_t linears = 0;
  const SafetensorsFolder fp8(root_ / "fp8");
  for (const std::string& name : fp8.names()) linears += fp8.entry(name).dtype == at::kFloat8_e4m3fn;
  EXPECT_EQ(
      convert_model(root_ / "m", root_ / "wide", "fp8").fp8_remark,
      fmt::format("FP8 in blocks of 256 x 256 is copied as it is; {} linears in more bits stay BF16, as only blocks of 128 x 128 are made",
                  linears));
}

TEST_F(ConversionTest, TheCardIsMadeBeforeAShardIsWritten) {
  ConvertOptions options;
  options.card = [&](const Conversion& done) {
    // The folder is held already, and what the card reads may be broken.
    for (const auto& item : fs::directory_iterator(root_ / "x")) EXPECT_NE(item.path().extension(), ".safetensors");
    EXPECT_EQ(done.weights, "bf16");
    uint64_t data = 0;
    for (const std::string& shard : SafetensorsFolder(root_ / "m").shards()) data += fs::file_size(root_ / "m" / shard);
    EXPECT_LT(done.bytes_after, done.bytes_before);
    EXPECT_LT(done.bytes_before, data);
    EXPECT_GT(done.bytes_before, data / 2);
    return std::string("a card");
  };
  write_file_atomic(root_ / "m" / "README.md", "an older card");
  convert_model(root_ / "m", root_ / "x", "bf16", options);
  EXPECT_EQ(read_file(root_ / "x" / "README.md"), "a card");
}

// Written tensor by tensor, the numbers are those of a model that is initialized at once, whatever the shards; what was cut short goes on.
TEST_F(ConversionTest, ARandomModelIsTheInitializedOne) {
  const ModelConfig config = test::small_config(R"({"hidden_size": 136, "num_nextn_predict_layers": 2})");
  Transformer initialized(config, at::kCPU, false);
  initialized.parameters().initialize(7, config.initializer_range);
  save_model(root_ / "whole", initialized, {});
  const RandomModel random{root_ / "whole", 7, 30'000};
  const auto tensors = [](const fs::path& folder) {
    std::map<std::string, at::Tensor> all;
    const SafetensorsFolder files(folder);
    for (const std::string& name : files.names()) all[name] = files.tensor(name).clone();
    return all;
  };
  for (const std::string weights : {"f32", "bf16", "fp8", "int8"}) {
    SCOPED_TRACE(weights);
    const fs::path expected = root_ / ("whole-" + weights), to = root_ / ("random-" + weights);
    convert_model(root_ / "whole", expected, weights);
    arm_failpoint("write:30:full");
    EXPECT_THROW(write_random_model(random, to, weights), Error);
    EXPECT_FALSE(fs::exists(to / "config.json"));
    const Conversion done = write_random_model(random, to, weights);
    EXPECT_GT(done.kept_shards, 0u);
    EXPECT_LT(done.kept_shards, done.shards);
    EXPECT_EQ(read_json(to / "config.json"), read_json(expected / "config.json"));
    const auto a = tensors(to), b = tensors(expected);
    ASSERT_EQ(a.size(), b.size());
    for (const auto& [name, tensor] : a) {
      ASSERT_TRUE(b.contains(name)) << name;
      EXPECT_TRUE(tensor.scalar_type() == b.at(name).scalar_type() && tensor.contiguous().view(at::kByte).equal(b.at(name).view(at::kByte)))
          << name;
    }
  }
}

}  // namespace
}  // namespace finback
