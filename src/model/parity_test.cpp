#include "model/parity.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/error.h"
#include "gemm/variant.h"
#include "model/checkpoint.h"
#include "model/safetensors.h"
#include "model/test_models.h"

namespace finback {
namespace {

namespace fs = std::filesystem;
const fs::path kGoldens = fs::path(FINBACK_SOURCE_DIR) / "tests/golden/parity";

class ScratchFolder {
 public:
  ScratchFolder() : path_(fs::temp_directory_path() / fmt::format("finback-parity-{}", ::getpid())) { fs::create_directories(path_); }
  ~ScratchFolder() { fs::remove_all(path_); }
  fs::path write(const std::string& name, const std::string& text) const {
    std::ofstream(path_ / name) << text;
    return path_ / name;
  }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

std::vector<std::string> golden_names() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(kGoldens)) names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

void expect_near(const SafetensorsFile& ours, const SafetensorsFile& golden) {
  EXPECT_EQ(ours.entries().size(), golden.entries().size());
  for (const auto& [name, entry] : golden.entries()) {
    ASSERT_TRUE(ours.has(name)) << name;
    ASSERT_EQ(ours.entries().at(name).shape, entry.shape) << name;
    const double limit = name.starts_with("grad.") ? 1e-4 : 1e-5;
    EXPECT_LT(test::relative_l2(ours.tensor(name), golden.tensor(name)), limit) << name << ", kernels " << kernel_label();
  }
}

class Goldens : public testing::TestWithParam<std::string> {};

// What tools/parity --goldens wrote with transformers: config, weights, ids, and every number of the parity file.
TEST_P(Goldens, AreWhatTransformersComputes) {
  const fs::path folder = kGoldens / GetParam();
  const SafetensorsFile golden(folder / "golden.safetensors");
  const ScratchFolder scratch;
  const std::string kernels = kernel_label();
  for (const std::string& variant : {kernels, std::string("ref")}) {
    select_kernels(variant);
    for (const MlaAlgebra algebra : {MlaAlgebra::kExpanded, MlaAlgebra::kAbsorbed}) {
      const auto model = load_model(folder, at::kCPU, /*trainable=*/true);
      write_parity(*model, read_parity_ids(folder / "ids.json", model->config().vocab_size), {algebra, true, 0.3},
                   scratch.path() / "ours.safetensors");
      expect_near(SafetensorsFile(scratch.path() / "ours.safetensors"), golden);
    }
  }
  select_kernels(kernels);
}

INSTANTIATE_TEST_SUITE_P(Models, Goldens, testing::ValuesIn(golden_names()));

TEST(ParityIds, AreOneRowOrRowsOfOneLength) {
  const ScratchFolder scratch;
  EXPECT_EQ(read_parity_ids(scratch.write("a", "[3, 1, 2]"), 4), (std::vector<std::vector<int64_t>>{{3, 1, 2}}));
  EXPECT_EQ(read_parity_ids(scratch.write("b", "[[0, 1], [2, 3]]"), 4).size(), 2u);
  for (const char* bad : {"[]", "{}", "[[1, 2], [3]]", "[1]", "[1, 4]", "[1, -1]", "[1, 2.5]", "[[1, 2], 3]", "[\"a\", 1]", "[[]]"}) {
    EXPECT_THROW(read_parity_ids(scratch.write("c", bad), 4), Error) << bad;
  }
}

}  // namespace
}  // namespace finback
