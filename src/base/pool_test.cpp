#include "base/pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <thread>
#include <vector>

#include "base/error.h"

namespace finback {
namespace {

struct Pool : testing::Test {
  void TearDown() override { set_threads(1); }
};

TEST_F(Pool, RunsEveryChunkOnceAtAnyThreadCount) {
  for (const int count : {1, 2, 3, 7}) {
    set_threads(count);
    EXPECT_EQ(threads(), count);
    for (const int64_t chunks : {0, 1, 2, 63, 1000}) {
      std::vector<std::atomic<int>> runs(static_cast<size_t>(chunks));
      parallel_for(chunks, [&](int64_t chunk) { runs[size_t(chunk)]++; });
      for (const auto& times : runs) ASSERT_EQ(times, 1);
    }
  }
}

TEST_F(Pool, RangesCoverAllOfItInPiecesOfTheGrain) {
  set_threads(2);
  std::vector<std::atomic<int>> touched(1003);
  parallel_ranges(1003, 64, [&](int64_t begin, int64_t end) {
    EXPECT_EQ(begin % 64, 0);
    EXPECT_TRUE(end - begin == 64 || end == 1003);
    for (int64_t i = begin; i < end; ++i) touched[size_t(i)]++;
  });
  for (const auto& times : touched) ASSERT_EQ(times, 1);
  parallel_ranges(0, 64, [](int64_t, int64_t) { FAIL() << "an empty range has no piece"; });
}

// One chunk that waits for all others: handed out in fixed shares this would never end, handed out one by one it does.
TEST_F(Pool, ASlowChunkHoldsUpNoOther) {
  set_threads(2);
  std::atomic<int> others{0};
  bool all_done = false;
  parallel_for(100, [&](int64_t chunk) {
    if (chunk != 0) {
      others++;
      return;
    }
    const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (others < 99 && std::chrono::steady_clock::now() < give_up) std::this_thread::yield();
    all_done = others == 99;
  });
  EXPECT_TRUE(all_done);
}

TEST_F(Pool, ANestedLoopRunsOnTheThreadThatCallsIt) {
  set_threads(3);
  std::atomic<int> inner{0}, elsewhere{0};
  parallel_for(8, [&](int64_t) {
    const auto self = std::this_thread::get_id();
    parallel_for(5, [&](int64_t) {
      inner++;
      if (std::this_thread::get_id() != self) elsewhere++;
    });
  });
  EXPECT_EQ(inner, 40);
  EXPECT_EQ(elsewhere, 0);
}

TEST_F(Pool, TwoCallersAtOnceBothFinish) {
  set_threads(2);
  std::atomic<int64_t> sum{0};
  const auto caller = [&] {
    for (int round = 0; round < 200; ++round) parallel_for(20, [&](int64_t chunk) { sum += chunk; });
  };
  std::thread other(caller);
  caller();
  other.join();
  EXPECT_EQ(sum, 2 * 200 * 190);
}

TEST_F(Pool, AnExceptionComesOutHereAndThePoolGoesOn) {
  for (const int count : {1, 2}) {
    set_threads(count);
    std::atomic<int> running{0};
    const auto body = [&](int64_t chunk) {
      running++;
      const bool bad = chunk == 13;
      running--;
      if (bad) throw std::runtime_error("chunk 13");
    };
    EXPECT_THROW(parallel_for(64, body), std::runtime_error);
    EXPECT_EQ(running, 0);
    std::atomic<int> after{0};
    parallel_for(10, [&](int64_t) { after++; });
    EXPECT_EQ(after, 10);
  }
}

TEST_F(Pool, ManyShortLoopsNeitherHangNorLoseAChunk) {
  set_threads(2);
  int64_t total = 0;
  for (int round = 0; round < 5000; ++round) {
    std::atomic<int> done{0};
    parallel_for(3, [&](int64_t) { done++; });
    total += done;
  }
  EXPECT_EQ(total, 15'000);
}

TEST_F(Pool, RefusesAbsurdThreadCounts) {
  EXPECT_THROW(set_threads(0), Error);
  EXPECT_THROW(set_threads(1025), Error);
  EXPECT_GE(available_cores(), 1);
}

}  // namespace
}  // namespace finback
