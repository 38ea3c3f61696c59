#include "train/preflight.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <functional>

#include "base/error.h"
#include "base/fields.h"
#include "base/file.h"
#include "gemm/each_variant.h"
#include "kernels/backend.h"
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

}  // namespace
}  // namespace finback
