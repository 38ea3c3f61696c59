#include "model/panel_folder.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "base/error.h"
#include "base/file.h"
#include "kernels/op_check.h"
#include "model/checkpoint.h"
#include "model/conversion.h"
#include "model/stored_model.h"
#include "model/stored_quantization.h"
#include "model/test_models.h"

namespace finback {
namespace {
namespace fs = std::filesystem;
using test::small_config;

class PanelFolderTest : public testing::Test {
 protected:
  void SetUp() override {
    root_ = fs::temp_directory_path() / fmt::format("finback_panel_folder_test_{}", getpid());
    fs::remove_all(root_);
    SaveOptions options;
    options.shard_bytes = 100'000;
    save_model(root_ / "f32", *test::lively_model(small_config(), false), options);
  }
  void TearDown() override { fs::remove_all(root_); }
  fs::path panels_of(const std::string& form) {
    if (form != "f32") convert_model(root_ / "f32", root_ / form, form);
    convert_model(root_ / form, root_ / ("panels-" + form), "int8");
    return root_ / ("panels-" + form);
  }
  std::string error_of(const std::function<void()>& run) {
    try {
      run();
    } catch (const Error& e) {
      return e.what();
    }
    return "";
  }
  fs::path root_;
};

at::Tensor panel_logits(Transformer& model) {
  const at::NoGradGuard no_grad;
  ForwardOptions options;
  options.algebra = MlaAlgebra::kAbsorbed;
  return model.logits(model.forward(test::documents({19, 1, 4}, model.config().vocab_size).batch, options));
}

// Written once, read by every kernel variant: the bits of encoding the folder's numbers under that variant.
TEST_F(PanelFolderTest, ServesTheBitsOfInt8MadeAtLoading) {
  for (const std::string form : {"f32", "bf16", "fp8"}) {
    const fs::path panels = panels_of(form);
    EXPECT_TRUE(is_panel_folder(panels) && !is_panel_folder(root_ / form));
    EXPECT_EQ(stored_form(panels), Precision::kInt8);
    check_panel_checksums(panels);
    for_each_variant([&] {
      const auto made = load_stored_model(root_ / form, Precision::kInt8), mapped = load_stored_model(panels, Precision::kInt8);
      EXPECT_TRUE(same_bits(panel_logits(*mapped), panel_logits(*made))) << form;
    });
  }
}

TEST_F(PanelFolderTest, IsServedAndNothingElse) {
  const fs::path panels = panels_of("f32");
  EXPECT_NE(error_of([&] { load_model(panels, at::kCPU, false); }).find("int8 panels are for serving"), std::string::npos);
  EXPECT_NE(error_of([&] { convert_model(panels, root_ / "back", "f32"); }).find("int8 panels are for serving"), std::string::npos);
  EXPECT_NE(error_of([&] { load_stored_model(panels, Precision::kBf16); }).find("expected int8"), std::string::npos);
}

TEST_F(PanelFolderTest, NamesWhatIsDamaged) {
  const fs::path panels = panels_of("f32");
  const fs::path file = panels / "model.safetensors";
  ASSERT_TRUE(fs::exists(file));
  {
    std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
    stream.seekp(-5, std::ios::end);
    stream.put('\x5a');
  }
  EXPECT_NE(error_of([&] { check_panel_checksums(panels); }).find("expected checksum"), std::string::npos);
  // The config of a deeper model: its matrices are not there.
  Json config = read_json(panels / "config.json");
  config["num_hidden_layers"] = config["num_hidden_layers"].get<int>() + 3;
  write_file_atomic(panels / "config.json", dump_json(config));
  EXPECT_NE(error_of([&] { load_stored_model(panels, Precision::kInt8); }).find("not there"), std::string::npos);
  config["quantization_config"]["format"] = 2;
  write_file_atomic(panels / "config.json", dump_json(config));
  EXPECT_NE(error_of([&] { load_stored_model(panels, Precision::kInt8); }).find("quantization_config: expected"), std::string::npos);
}

}  // namespace
}  // namespace finback
