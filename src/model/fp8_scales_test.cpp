#include "model/fp8_scales.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>

#include "base/error.h"
#include "base/file.h"
#include "model/safetensors.h"

namespace finback {
namespace {
namespace fs = std::filesystem;

class Fp8Scales : public testing::Test {
 protected:
  void SetUp() override {
    root_ = fs::temp_directory_path() / fmt::format("finback_fp8_scales_test_{}", getpid());
    fs::remove_all(root_);
    fs::create_directories(root_);
  }
  void TearDown() override { fs::remove_all(root_); }
  void write_config(const std::string& quantization) const {
    write_file_atomic(root_ / "config.json", "{\"quantization_config\": " + quantization + "}");
  }
  void write(const at::Tensor& values, const at::Tensor& scales) const {
    const uint64_t first = values.nbytes(), all = first + scales.nbytes();
    SafetensorsWriter writer(root_ / "model.safetensors",
                             {{"w", values.scalar_type(), values.sizes().vec(), 0, first},
                              {"w_scale_inv", scales.scalar_type(), scales.sizes().vec(), first, all}},
                             {});
    writer.write(values);
    writer.write(scales);
    writer.commit();
  }
  at::Tensor read() const { return read_fp8_weight(SafetensorsFolder(root_), "w", read_fp8_layout(root_)); }
  std::string problem(const std::vector<int64_t>& shape) const {
    return fp8_scale_problem(SafetensorsFolder(root_), "w", shape, read_fp8_layout(root_));
  }
  std::string layout_error() const {
    try {
      read_fp8_layout(root_);
    } catch (const Error& e) {
      return e.what();
    }
    return "";
  }
  fs::path root_;
};

// 3 x 2 blocks, cut short at both edges; written out element by element.
TEST_F(Fp8Scales, BlocksOfAnySizeAndExponentsOfEitherSpellingReadTheSame) {
  const at::Tensor values = (at::arange(75 * 50, at::kFloat).remainder(31) - 15).view({75, 50}).to(at::kFloat8_e4m3fn);
  const at::Tensor exponents = at::tensor({120, 127, 130, 125, 124, 128}, at::kInt).to(at::kByte).view({3, 2});
  at::Tensor expected = at::empty({75, 50}, at::kFloat);
  const at::Tensor plain = values.to(at::kFloat);
  for (int64_t i = 0; i < 75; ++i) {
    for (int64_t j = 0; j < 50; ++j) {
      const double scale = std::ldexp(1.0, exponents[i / 32][j / 32].item<int>() - 127);
      expected[i][j].fill_(plain[i][j].item<double>() * scale);
    }
  }
  write_config(R"({"quant_method": "fp8", "weight_block_size": [32, 32], "scale_fmt": "ue8m0"})");
  for (const at::Tensor& scales : {exponents, exponents.view(at::kFloat8_e8m0fnu), at::exp2(exponents.to(at::kFloat) - 127),
                                   at::exp2(exponents.to(at::kFloat) - 127).to(at::kBFloat16)}) {
    write(values, scales);
    EXPECT_EQ(problem({75, 50}), "");
    EXPECT_TRUE(read().equal(expected)) << scales.toString();
  }
}

TEST_F(Fp8Scales, TheEndsOfTheExponentRangeAreRight) {
  write(at::full({1, 3}, 1, at::kFloat).to(at::kFloat8_e4m3fn),
        at::tensor({0, 254, 255}, at::kInt).to(at::kByte).view(at::kFloat8_e8m0fnu).view({1, 3}));
  write_config(R"({"quant_method": "fp8", "weight_block_size": [1, 1]})");
  const at::Tensor read_13 = read();
  EXPECT_EQ(read_13[0][0].item<float>(), 0x1p-127f);
  EXPECT_EQ(read_13[0][1].item<float>(), 0x1p127f);
  EXPECT_TRUE(std::isnan(read_13[0][2].item<float>()));
}

TEST_F(Fp8Scales, BytesAreNeverTakenForNumbers) {
  const at::Tensor values = at::ones({4, 4}).to(at::kFloat8_e4m3fn);
  write_config(R"({"quant_method": "fp8", "weight_block_size": [128, 128]})");
  write(values, at::full({1, 1}, 127, at::kByte));
  EXPECT_NE(problem({4, 4}).find("expected F32 [1, 1], got U8 [1, 1]. Hint: scale_fmt"), std::string::npos) << problem({4, 4});
  write(values, at::full({1, 1}, 127, at::kChar));
  EXPECT_NE(problem({4, 4}).find("got I8"), std::string::npos);
  write(values, at::ones({1, 2}));
  EXPECT_NE(problem({4, 4}).find("expected F32 [1, 1], got F32 [1, 2]"), std::string::npos);
}

TEST_F(Fp8Scales, WhatIsNotReadIsRefusedByName) {
  const std::pair<const char*, const char*> cases[] = {{R"({"quant_method": "quark"})", "got \"quark\""},
                                                       {R"({"quant_method": "awq", "bits": 4})", "got \"awq\""},
                                                       {R"({"quant_method": "fp8", "fmt": "e5m2"})", "fmt: expected \"e4m3\""},
                                                       {R"({"quant_method": "fp8"})", "weight_block_size"},
                                                       {R"({"quant_method": "fp8", "weight_block_size": [0, 128]})", "got [0,128]"},
                                                       {R"({"quant_method": "fp8", "weight_block_size": 128})", "got 128"},
                                                       {R"({"quant_method": "fp8", "weight_block_size": [1.5, 2]})", "got [1.5,2]"}};
  for (const auto& [quantization, expected] : cases) {
    write_config(quantization);
    EXPECT_NE(layout_error().find(expected), std::string::npos) << quantization << ": " << layout_error();
  }
  write_config(R"({"quant_method": "fp8", "weight_block_size": [128, 1048577]})");
  EXPECT_NE(layout_error().find("weight_block_size"), std::string::npos) << layout_error();
  write_config(R"({}, "compression_config": {"quant_method": "fp8", "weight_block_size": [32, 64]})");  // the first asks for nothing
  EXPECT_EQ(read_fp8_layout(root_).block_columns, 64);
  write_file_atomic(root_ / "config.json", "{}");
  EXPECT_TRUE(read_fp8_layout(root_).is_deepseeks());
}

}  // namespace
}  // namespace finback
