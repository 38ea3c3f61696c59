#include "model/tensor_memory.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <new>
#include <thread>
#include <vector>

namespace finback {
namespace {

constexpr size_t kMiB = size_t{1} << 20;

// Every float of every block is written by its owner alone.
TEST(TensorMemory, BlocksAreAlignedAndApart) {
  TensorMemory memory;
  std::vector<std::pair<float*, size_t>> blocks;
  for (size_t i = 0; i < 200; ++i) {
    const size_t floats = 20'000 + 977 * i;
    blocks.emplace_back(static_cast<float*>(memory.take(floats * sizeof(float))), floats);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(blocks.back().first) % TensorMemory::kAlign, 0u);
    std::fill_n(blocks.back().first, floats, float(i));
    if (i % 3 == 2) {  // a hole that a later block may take
      memory.give(blocks[blocks.size() / 2].first);
      blocks.erase(blocks.begin() + std::ptrdiff_t(blocks.size() / 2));
    }
  }
  for (const auto& [block, floats] : blocks) {
    for (size_t i = 0; i < floats; ++i) ASSERT_EQ(block[i], block[0]);
  }
}

TEST(TensorMemory, TheSameRequestsAgainNeedNothingFromTheSystem) {
  TensorMemory memory;
  size_t after_first = 0;
  for (int step = 0; step < 5; ++step) {
    std::vector<void*> blocks;
    for (size_t i = 1; i <= 40; ++i) blocks.push_back(memory.take(i * kMiB / 3));
    for (size_t i = 0; i < blocks.size(); ++i) memory.give(blocks[i * 7 % blocks.size()]);  // 7 and 40 share no divisor
    if (step == 0) after_first = memory.mapped();
    EXPECT_EQ(memory.mapped(), after_first);
  }
}

TEST(TensorMemory, FreedNeighboursBecomeOneBlock) {
  TensorMemory memory;
  std::vector<void*> blocks;
  for (int i = 0; i < 60; ++i) blocks.push_back(memory.take(kMiB));
  for (const size_t order : {1, 0, 2}) {
    for (size_t i = order; i < blocks.size(); i += 3) memory.give(blocks[i]);
  }
  const size_t mapped = memory.mapped();
  memory.give(memory.take(60 * kMiB));
  EXPECT_EQ(memory.mapped(), mapped);
}

TEST(TensorMemory, ThreadsMayTakeAndGiveAtOnce) {
  TensorMemory memory;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&memory, t] {
      for (int i = 0; i < 300; ++i) {
        auto* block = static_cast<int*>(memory.take(size_t(1000 + 100 * t) * sizeof(int)));
        std::fill_n(block, 1000, t);
        for (int j = 0; j < 1000; ++j) ASSERT_EQ(block[j], t);
        memory.give(block);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(TensorMemory, MoreThanThereIsThrows) {
  TensorMemory memory;
  EXPECT_THROW(memory.take(~size_t{0}), std::bad_alloc);
  EXPECT_THROW(memory.take(~size_t{0} / 2), std::bad_alloc);
  memory.give(memory.take(kMiB));
}

TEST(TensorMemoryDeathTest, GivingABlockTwiceAborts) {
  TensorMemory memory;
  void* block = memory.take(kMiB);
  memory.give(block);
  EXPECT_DEATH(memory.give(block), "given back once");
}

}  // namespace
}  // namespace finback
