// main of the <name>_replay tests: every committed fuzz input through the target's function, one test case a file. A case fails by crashing.
#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

class Replay : public testing::Test {
 public:
  explicit Replay(std::filesystem::path file) : file_(std::move(file)) {}
  void TestBody() override {
    std::ifstream in(file_, std::ios::binary);
    ASSERT_TRUE(in) << file_;
    const std::string bytes{std::istreambuf_iterator<char>(in), {}};
    EXPECT_EQ(LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()), 0);
  }

 private:
  std::filesystem::path file_;
};

}  // namespace

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(FINBACK_FUZZ_CORPUS)) {
    const std::filesystem::path file = entry.path();
    const std::string name = file.filename().string();
    testing::RegisterTest("FuzzCorpus", name.c_str(), nullptr, nullptr, __FILE__, __LINE__,
                          [=]() -> testing::Test* { return new Replay(file); });
    ++files;
  }
  if (files == 0) {
    std::fprintf(stderr, "%s: expected at least one committed input, got none\n", FINBACK_FUZZ_CORPUS);
    return 1;
  }
  return RUN_ALL_TESTS();
}
