#include "cost/memory_parts.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "cost/serve_memory.h"
#include "cost/train_memory.h"

namespace finback {
namespace {

ModelConfig tiny() { return load_model_config("configs/models/tiny"); }

TEST(MemoryParts, AddUpToTheCountsOfTrainingAndServing) {
  for (const Precision precision : {Precision::kF32, Precision::kBf16, Precision::kFp8}) {
    EXPECT_DOUBLE_EQ(total_bytes(memory_parts(tiny(), {true, precision, 512})), train_memory(tiny(), 512, precision).total());
    EXPECT_DOUBLE_EQ(total_bytes(memory_parts(tiny(), {false, precision, 512})), serve_memory(tiny(), precision, 512));
  }
}

TEST(MemoryParts, TooMuchIsRefusedByItsLargestPartAndTheHint) {
  const std::vector<MemoryPart> parts = {{"weights", 3e9}, {"optimizer", 6e9}, {"program", 1e8}};
  check_memory(parts, 9.2e9, "this machine's free memory", "less");
  try {
    check_memory(parts, 9e9, "this machine's free memory", "less");
    FAIL() << "let through";
  } catch (const Error& e) {
    const std::string text = e.what();
    EXPECT_LT(text.find("optimizer 5.6 GiB"), text.find("weights 2.8 GiB")) << text;
    for (const char* word : {"8.5 GiB", "8.4 GiB", "this machine", "Hint: less"})
      EXPECT_NE(text.find(word), std::string::npos) << word << text;
  }
}

}  // namespace
}  // namespace finback
