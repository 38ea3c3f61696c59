#include "infer/scheduler.h"

#include <gtest/gtest.h>

#include "model/kv_cache.h"

namespace finback {
namespace {

using Step = std::vector<std::pair<int64_t, int64_t>>;  // id, rows

// Does what an engine does with a step, without a model: every draw gives token 0.
class Scheduled : public testing::Test {
 protected:
  void add(Scheduler& scheduler, int64_t prompt) {
    ActiveRequest active;
    active.id = ++ids_;
    active.tokens.assign(size_t(prompt), 1);
    scheduler.add(std::move(active));
  }
  static Step step(Scheduler& scheduler) {
    Step said;
    for (const ScheduledRows& scheduled : scheduler.next_step()) {
      said.emplace_back(scheduled.active->id, scheduled.rows);
      const bool draws = scheduled.draws();
      scheduled.active->cached += scheduled.rows;
      if (draws) scheduled.active->tokens.push_back(0);
    }
    return said;
  }
  int64_t ids_ = 0;
};

TEST_F(Scheduled, OneRowForWhoDecodesTheRestOfTheStepForPromptsByAge) {
  Scheduler scheduler({.step_tokens = 10}, 100);
  add(scheduler, 3), add(scheduler, 20), add(scheduler, 5);
  EXPECT_EQ(step(scheduler), (Step{{1, 3}, {2, 7}}));
  EXPECT_EQ(step(scheduler), (Step{{1, 1}, {2, 9}}));
  EXPECT_EQ(step(scheduler), (Step{{1, 1}, {2, 4}, {3, 5}}));
  EXPECT_EQ(step(scheduler), (Step{{1, 1}, {2, 1}, {3, 1}}));
}

TEST_F(Scheduled, PromptsGoOnHoweverManyDecode) {
  Scheduler scheduler({.step_tokens = 2}, 100);
  add(scheduler, 1), add(scheduler, 1), add(scheduler, 2);
  EXPECT_EQ(step(scheduler), (Step{{1, 1}, {2, 1}, {3, 1}}));
  EXPECT_EQ(step(scheduler), (Step{{1, 1}, {2, 1}, {3, 1}}));
}

TEST_F(Scheduled, AtMostMaxSequencesRunTheOthersWaitByAge) {
  Scheduler scheduler({.max_sequences = 2}, 100);
  add(scheduler, 1), add(scheduler, 1), add(scheduler, 1);
  EXPECT_EQ(step(scheduler), (Step{{1, 1}, {2, 1}}));
  EXPECT_EQ(scheduler.waiting(), 1);
  EXPECT_TRUE(scheduler.remove(1));
  EXPECT_FALSE(scheduler.remove(1));
  EXPECT_EQ(step(scheduler), (Step{{2, 1}, {3, 1}}));
}

// A prompt whose pages are not there yet waits, also where a shorter one behind it would fit: by age.
TEST_F(Scheduled, AdmitsWhenTheTokensFitBesideThoseThatRun) {
  Scheduler scheduler({.step_tokens = 64}, 4);
  add(scheduler, 3 * kPageTokens), add(scheduler, 2 * kPageTokens), add(scheduler, 1);
  EXPECT_EQ(step(scheduler), (Step{{1, 64}}));  // two pages are free, and promised to the first
  scheduler.remove(1);
  EXPECT_EQ(step(scheduler), (Step{{2, 63}, {3, 1}}));
}

TEST_F(Scheduled, TheYoungestMakesRoomAndComesBackWithAllItsTokens) {
  Scheduler scheduler({}, 3);
  add(scheduler, kPageTokens), add(scheduler, kPageTokens - 1);
  EXPECT_EQ(step(scheduler), (Step{{1, 64}, {2, 63}}));
  EXPECT_EQ(step(scheduler), (Step{{1, 1}, {2, 1}}));  // the first takes the last page
  EXPECT_EQ(step(scheduler), (Step{{1, 1}}));          // the second has none for its 65th token
  EXPECT_EQ(scheduler.preemptions(), 1);
  EXPECT_EQ(scheduler.waiting(), 1);
  EXPECT_EQ(scheduler.pages_used(), 2);
  EXPECT_EQ(step(scheduler), (Step{{1, 1}}));
  scheduler.remove(1);
  EXPECT_EQ(step(scheduler), (Step{{2, 65}}));  // 63 of the prompt, two that were drawn
}

TEST_F(Scheduled, AnOlderOneTakesThePagesOfTheYoungest) {
  Scheduler scheduler({}, 2);
  add(scheduler, kPageTokens), add(scheduler, 1);
  EXPECT_EQ(step(scheduler), (Step{{1, 64}, {2, 1}}));
  EXPECT_EQ(step(scheduler), (Step{{1, 1}}));
  EXPECT_EQ(scheduler.preemptions(), 1);
  EXPECT_EQ(scheduler.pages_used(), 2);
}

TEST_F(Scheduled, HoldsNoMoreThanItMay) {
  Scheduler scheduler({.max_sequences = 1, .max_waiting = 1}, 2);
  add(scheduler, 1), add(scheduler, 1);
  EXPECT_THROW(add(scheduler, 1), QueueFull);
  EXPECT_EQ(scheduler.waiting(), 2);
}

}  // namespace
}  // namespace finback
