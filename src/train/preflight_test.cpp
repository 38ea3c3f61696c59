#include "train/preflight.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <functional>

#include "base/error.h"
#include "base/fields.h"
#include "base/file.h"
#include "gemm/each_variant.h"
#include "kernels/backend.h"
#include "model/checkpoint.h"
#include "train/run_folder.h"

namespace finback {
namespace {

namespace fs = std::filesystem;

struct Preflight : testing::Test {
  fs::path root = fs::temp_directory_path() / fmt::format("finback-preflight-{}", ::getpid());
  TrainConfig config;
  ModelConfig shape = load_model_config(FINBACK_SOURCE_DIR "/configs/models/nano");

  void SetUp() override {
    fs::remove_all(root);
    fs::create_directories(root / step_name(0));
    write_file_atomic(root / step_name(0) / "config.json", dump_json(dump_model_config(shape)));
  }
  void TearDown() override { fs::remove_all(root); }

  // What resuming a run of `config` answers when its checkpoint's kernels were `kernels`.
  std::string refusal(const std::string& device, const std::string& kernels, bool allow_other_kernels = false) {
    config.run.device = device;
    TrainConfig copy = config;
    TrainerState saved;
    saved.kernels = kernels, saved.device = device, saved.recipe = dump_fields(copy);
    try {
      check_resumable(saved, config, shape, allow_other_kernels, root);
    } catch (const Error& e) {
      return e.what();
    }
    return "";
  }
};

TEST_F(Preflight, ARunOnTheCpuResumesUnderItsOwnKernelsOnly) {
  for_each_variant([&] {
    EXPECT_EQ(refusal("cpu", kernel_label()), "");
    EXPECT_NE(refusal("cpu", "another").find("expected kernels another"), std::string::npos);
    EXPECT_EQ(refusal("cpu", "another", /*allow_other_kernels=*/true), "");
  });
}

// The label says what ran on the GPU; older programs wrote the variant of the processor beside it.
TEST_F(Preflight, ARunOnAGpuResumesBesideAnotherProcessor) {
  const std::string saved = kernel_label_on(at::kCUDA);
  for_each_variant([&] {
    for (const std::string& kernels : {saved, std::string("avx2"), std::string("avx512_fp16")}) EXPECT_EQ(refusal("cuda", kernels), "");
  });
}

TEST_F(Preflight, ARunIsNotResumedOnAnotherDevice) {
  TrainConfig copy = config;
  TrainerState saved;
  saved.recipe = dump_fields(copy), saved.kernels = "ref";
  config.run.device = "cuda";
  EXPECT_THROW(check_resumable(saved, config, shape, /*allow_other_kernels=*/true, root), Error);
}

// --overwrite would remove it before it is read a second time, or leave a recipe that names what is gone.
TEST_F(Preflight, WeightsInTheFolderOfTheRunAreRefused) {
  const auto refused = [&](const fs::path& init) -> std::string {
    try {
      check_init(init.string(), shape, root);
    } catch (const Error& e) {
      return e.what();
    }
    return "";
  };
  fs::create_directory_symlink(step_name(0), root / "latest");
  for (const fs::path& init : {root / "latest", root / step_name(0), root / "latest" / ".", root / step_name(0) / ".." / "latest"})
    EXPECT_NE(refused(init).find("outside"), std::string::npos) << init << refused(init);
  EXPECT_NE(refused(root).find("outside"), std::string::npos) << refused(root);
  EXPECT_NE(refused(root / "typo").find("nothing is at"), std::string::npos);
  // A neighbour whose name begins the same is outside.
  const fs::path other = fs::path(root.string() + "-other");
  fs::create_directories(other);
  write_file_atomic(other / "config.json", dump_json(dump_model_config(shape)));
  EXPECT_EQ(refused(other).find("outside"), std::string::npos);
  EXPECT_NE(refused(other), "") << "it has no weights";
  fs::remove_all(other);
}

// Ids of another tokenizer of the same size would train in silence on what the weights take for other tokens.
TEST_F(Preflight, TokensOfAnotherVocabAreRefused) {
  const fs::path model = fs::path(root.string() + "-model"), tokens = fs::path(root.string() + "-tokens");
  const auto refused = [&](const char* vocab) -> std::string {
    for (const fs::path& folder : {model, tokens}) fs::create_directories(folder);
    write_file_atomic(model / "config.json", dump_json(dump_model_config(shape)));
    write_file_atomic(model / "tokenizer.json", R"({"model": {"vocab": {"a": 0, "b": 1}}})");
    write_file_atomic(tokens / "tokenizer.json", vocab);
    try {
      check_init(model.string(), shape, root, tokens);
    } catch (const Error& e) {
      return e.what();
    }
    return "";
  };
  EXPECT_NE(refused(R"({"model": {"vocab": {"a": 1, "b": 0}}})").find("vocab differs"), std::string::npos);
  EXPECT_EQ(refused(R"({"version": "1.0", "model": {"vocab": {"b": 1, "a": 0}}})").find("vocab differs"), std::string::npos);
  for (const fs::path& folder : {model, tokens}) fs::remove_all(folder);
}

// All that differs at once, each with what to set.
TEST_F(Preflight, WeightsOfAnotherShapeAreRefusedWithAllThatDiffers) {
  const fs::path model = fs::path(root.string() + "-model");
  ModelConfig there = shape;
  there.vocab_size = shape.vocab_size / 2, there.kv_lora_rank = 2 * shape.kv_lora_rank, there.num_nextn_predict_layers = 0;
  there.bos_token_id = 3;
  const Parameters weights(there, at::kCPU, false);
  save_parameters(model, there, weights, {});
  const auto refused = [&](const ModelConfig& asked, const std::string& base = {}) -> std::string {
    try {
      check_init(model.string(), asked, root, {}, base);
    } catch (const Error& e) {
      return e.what();
    }
    return "";
  };
  const std::string all = refused(shape), no_mtp = "--model.num_nextn_predict_layers=0", config_of = "--model.config=" + model.string();
  for (const std::string& part : {fmt::format("vocab_size = {} and not {}", there.vocab_size, shape.vocab_size),
                                  fmt::format("kv_lora_rank = {} and not {}", there.kv_lora_rank, shape.kv_lora_rank),
                                  fmt::format("num_nextn_predict_layers = 0 and not {}", shape.num_nextn_predict_layers), no_mtp, config_of,
                                  "finback tokenize CORPUS --tokenizer " + model.string()})
    EXPECT_NE(all.find(part), std::string::npos) << part << ": " << all;
  EXPECT_EQ(all.find("Hint: "), all.rfind("Hint: ")) << "one hint: " << all;
  EXPECT_EQ(all.find("bos_token_id"), all.npos) << all;
  EXPECT_NE(refused(shape, model.string()).find("leave out --model.kv_lora_rank;"), std::string::npos) << refused(shape, model.string());
  // config.json counts a module that the weights lack, as transformers leaves it.
  ModelConfig counted = there;
  counted.num_nextn_predict_layers = 1;
  write_file_atomic(model / "config.json", dump_json(dump_model_config(counted)));
  const std::string absent = refused(counted);
  EXPECT_NE(absent.find(no_mtp), std::string::npos) << absent;
  EXPECT_EQ(absent.find("--model.config"), absent.npos) << absent;
  EXPECT_EQ(refused(there), "");
  fs::remove_all(model);
}

TEST_F(Preflight, ALongerRunGoesOnWhereItsStepsSoFarWouldBeTheSame) {
  config.train.steps = 100, config.train.batch_tokens = 256, config.schedule.kind = "wsd", config.schedule.warmup_steps = 1;
  config.train.mtp_lambda_late = config.train.mtp_lambda, config.train.bias_update_stop = 1;
  const auto refused = [&](int64_t step, int64_t steps) -> std::string {
    fs::create_directories(root / step_name(step));
    write_file_atomic(root / step_name(step) / "config.json", dump_json(dump_model_config(shape)));
    TrainConfig copy = config, asked = config;
    asked.train.steps = steps;
    TrainerState saved;
    saved.step = step, saved.tokens = 256 * step, saved.kernels = kernel_label(), saved.recipe = dump_fields(copy);
    try {
      check_resumable(saved, asked, shape, false, root);
    } catch (const Error& e) {
      return e.what();
    }
    return "";
  };
  EXPECT_EQ(refused(60, 200), "");
  EXPECT_EQ(refused(60, 80), "");
  EXPECT_NE(refused(60, 50).find("at least the 60 steps"), std::string::npos);
  write_file_atomic(root / step_name(60) / "DONE", "x");
  const std::string late = refused(95, 200);
  for (const char* word : {"step 82", "--train.init=", "step-000060"}) EXPECT_NE(late.find(word), std::string::npos) << late;
}

}  // namespace
}  // namespace finback
