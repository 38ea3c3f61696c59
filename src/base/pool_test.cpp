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

struct PoolTest : testing::Test {
  void TearDown() override { set_threads(1); }
};

// Waits, for half a minute at most: a test that would hang fails instead.
bool comes_true(const auto& condition) {
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > give_up) return false;
    std::this_thread::yield();
  }
  return true;
}

TEST_F(PoolTest, RunsEveryChunkOnceAtAnyThreadCount) {
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

TEST_F(PoolTest, RangesCoverAllOfItInPiecesOfTheGrain) {
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
TEST_F(PoolTest, ASlowChunkHoldsUpNoOther) {
  set_threads(2);
  std::atomic<int> others{0};
  bool all_done = false;
  parallel_for(100, [&](int64_t chunk) {
    if (chunk != 0) {
      others++;
      return;
    }
    all_done = comes_true([&] { return others == 99; });
  });
  EXPECT_TRUE(all_done);
}

TEST_F(PoolTest, ANestedLoopRunsOnTheThreadThatCallsIt) {
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

TEST_F(PoolTest, TwoCallersAtOnceBothFinish) {
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

// Both chunks of a loop wait for each other, so each loop ends only where two threads run it at once; and each waits for the other loop to
// have begun, so both are in flight together.
TEST_F(PoolTest, LoopsOfTwoThreadsEachRunOnSeveralThreads) {
  for (const int count : {2, 3}) {
    set_threads(count);
    std::atomic<int> begun[2] = {0, 0}, met{0};
    const auto caller = [&](int self) {
      parallel_for(2, [&](int64_t) {
        begun[self]++;
        met += comes_true([&] { return begun[self] == 2 && begun[1 - self] > 0; });
      });
    };
    std::thread other(caller, 1);
    caller(0);
    other.join();
    EXPECT_EQ(met, 4) << count << " threads";
  }
}

// As a long text that is tokenised beside an engine: the long loop ends only after the others, whose chunks need the one worker.
TEST_F(PoolTest, ALongLoopDoesNotKeepTheWorkerFromOthers) {
  set_threads(2);
  std::atomic<bool> enough{false}, long_one_runs{false};
  std::atomic<int64_t> long_chunks{0};
  std::thread other([&] {
    parallel_for(1'000'000, [&](int64_t) {
      long_one_runs = true;
      long_chunks++;
      if (!enough) std::this_thread::yield();
    });
  });
  EXPECT_TRUE(comes_true([&] { return long_one_runs.load(); }));
  int met = 0;
  for (int round = 0; round < 50; ++round) {
    std::atomic<int> begun{0}, together{0};
    parallel_for(2, [&](int64_t) {
      begun++;
      together += met == round && comes_true([&] { return begun == 2; });
    });
    met += together == 2;
  }
  EXPECT_EQ(met, 50);
  enough = true;
  other.join();
  EXPECT_EQ(long_chunks, 1'000'000);
}

// Plain memory: what a body wrote is seen by its caller when the loop returns, whoever else runs loops (under ThreadSanitizer: without a race).
TEST_F(PoolTest, ResultsOfManyCallersAreWhole) {
  set_threads(4);
  std::atomic<int> wrong{0};
  const auto caller = [&](int64_t self) {
    for (int64_t round = 0; round < 300; ++round) {
      std::vector<int64_t> squares(50);
      parallel_for(50, [&](int64_t chunk) {
        squares[size_t(chunk)] = chunk * chunk + self;
        if (chunk % 16 == 0) std::this_thread::yield();
      });
      for (int64_t chunk = 0; chunk < 50; ++chunk) wrong += squares[size_t(chunk)] != chunk * chunk + self;
    }
  };
  std::thread first(caller, 1), second(caller, 2);
  caller(3);
  first.join(), second.join();
  EXPECT_EQ(wrong, 0);
}

TEST_F(PoolTest, AnExceptionComesOutHereAndThePoolGoesOn) {
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

TEST_F(PoolTest, ManyShortLoopsNeitherHangNorLoseAChunk) {
  set_threads(2);
  int64_t total = 0;
  for (int round = 0; round < 5000; ++round) {
    std::atomic<int> done{0};
    parallel_for(3, [&](int64_t) { done++; });
    total += done;
  }
  EXPECT_EQ(total, 15'000);
}

TEST_F(PoolTest, RefusesAbsurdThreadCounts) {
  EXPECT_THROW(set_threads(0), Error);
  EXPECT_THROW(set_threads(1025), Error);
  EXPECT_GE(available_cores(), 1);
}

}  // namespace
}  // namespace finback
