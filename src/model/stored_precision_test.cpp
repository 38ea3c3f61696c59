#include "model/stored_precision.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"

namespace finback {
namespace {
namespace fs = std::filesystem;

// What say_lost_precision() prints about tensors of these dtypes beside a config.json. A new folder each time: a line is said once.
std::string said(const std::string& config, const std::map<std::string, at::ScalarType>& tensors) {
  static int number = 0;
  const fs::path root = fs::temp_directory_path() / fmt::format("finback_stored_precision_test_{}_{}", getpid(), number++);
  fs::create_directories(root);
  write_file_atomic(root / "config.json", config);
  std::vector<TensorEntry> entries;
  uint64_t end = 0;
  for (const auto& [name, dtype] : tensors) {
    const uint64_t begin = end;
    end += 2 * c10::elementSize(dtype);
    entries.push_back({name, dtype, {2}, begin, end});
  }
  SafetensorsWriter writer(root / "model.safetensors", entries, {});
  for (const auto& [name, dtype] : tensors) writer.write(at::ones({2}).to(dtype));
  writer.commit();
  testing::internal::CaptureStderr();
  say_lost_precision(root, SafetensorsFolder(root));
  fs::remove_all(root);
  return testing::internal::GetCapturedStderr();
}

const std::string kBias = "model.layers.1.mlp.gate.e_score_correction_bias", kNorm = "model.norm.weight",
                  kEmbedding = "model.embed_tokens.weight";

TEST(StoredPrecision, NarrowTensorsAreNamedAndCounted) {
  const struct {
    const char* config;
    std::map<std::string, at::ScalarType> tensors;
    const char* expected;
  } cases[] = {
      {R"({"torch_dtype": "bfloat16"})",
       {{kBias, at::kBFloat16}, {kNorm, at::kBFloat16}},
       "1 expert bias tensors are stored in BF16 (first: \"model.layers.1"},
      {R"({"torch_dtype": "bfloat16"})", {{kBias, at::kHalf}}, "stored in F16"},
      {R"({"torch_dtype": "float32"})",
       {{kNorm, at::kHalf}, {kEmbedding, at::kFloat}},
       "1 tensors are stored in F16 (first: \"model.norm.weight\")"},
      {R"({"dtype": "float32"})", {{kNorm, at::kBFloat16}}, "stored in BF16"},
      {"{}", {{kNorm, at::kBFloat16}, {kEmbedding, at::kFloat}}, "say F32"},
      {R"({"torch_dtype": "bfloat16"})", {{kNorm, at::kHalf}, {kEmbedding, at::kBFloat16}}, "say BF16"},
      {R"({"torch_dtype": "float64"})",
       {{kNorm, at::kDouble}, {kEmbedding, at::kDouble}},
       "2 tensors are stored in F64 (first: \"model.embed_tokens.weight\"): rounded to f32"},
      {R"({"torch_dtype": "bfloat16"})", {{"model.layers.1.mlp.gate.weight", at::kFloat8_e4m3fn}}, "keeps embedding, head, router"},
      {R"({"torch_dtype": "bfloat16"})", {{"model.layers.1.mlp.up_proj.weight_scale_inv", at::kBFloat16}}, "FP8 scales"}};
  for (const auto& [config, tensors, expected] : cases) {
    const std::string line = said(config, tensors);
    EXPECT_NE(line.find(expected), std::string::npos) << expected << ": " << line;
    EXPECT_EQ(std::count(line.begin(), line.end(), '\n'), 1) << line;
  }
}

TEST(StoredPrecision, WhatIsAsPublishedIsNotMentioned) {
  EXPECT_EQ(said(R"({"torch_dtype": "bfloat16"})", {{kBias, at::kFloat}, {kNorm, at::kBFloat16}, {kEmbedding, at::kBFloat16}}), "");
  EXPECT_EQ(said(R"({"torch_dtype": "float32"})", {{kBias, at::kFloat}, {kNorm, at::kFloat}}), "");
  EXPECT_EQ(said("{}", {{kBias, at::kFloat}, {kNorm, at::kBFloat16}, {kEmbedding, at::kBFloat16}}), "");
}

}  // namespace
}  // namespace finback
