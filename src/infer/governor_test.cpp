#include "infer/governor.h"

#include <gtest/gtest.h>

namespace finback {
namespace {

// A machine and a model with made-up costs: a step takes `plain` seconds and `draft` more for each draft; each draft is accepted with this share.
struct MadeUp {
  double plain = 1, draft = 0.2, acceptance = 0.8;
  double seconds(int64_t drafts) const { return plain + double(drafts) * draft; }
};

// The share of steps that drafted.
double run_steps(SpeculationGovernor& governor, const MadeUp& world, int64_t steps, int64_t sequences = 1) {
  int64_t drafting = 0;
  double owed = 0;  // tokens are whole
  for (int64_t step = 0; step < steps; ++step) {
    const int64_t drafts = governor.drafts(sequences);
    double tokens = 1, reached = 1;
    for (int64_t i = 0; i < drafts; ++i) tokens += reached *= world.acceptance;
    owed += tokens * double(sequences);
    const int64_t whole = int64_t(owed);
    owed -= double(whole);
    governor.learn(sequences, drafts, world.seconds(drafts), whole);
    drafting += drafts > 0;
  }
  return double(drafting) / double(steps);
}

TEST(SpeculationGovernor, DraftsWhereItPaysAndNotWhereItDoesNot) {
  SpeculationGovernor pays(1), does_not(1);
  EXPECT_GT(run_steps(pays, {.draft = 0.2, .acceptance = 0.8}, 1000), 0.95);
  EXPECT_EQ(pays.best(1), 1);
  EXPECT_LT(run_steps(does_not, {.draft = 0.5, .acceptance = 0.3}, 1000), 0.05);
  EXPECT_EQ(does_not.best(1), 0);
}

TEST(SpeculationGovernor, ChangesItsMindWhenAcceptanceDoes) {
  SpeculationGovernor governor(1);
  run_steps(governor, {.draft = 0.3, .acceptance = 0.9}, 100);
  EXPECT_EQ(governor.best(1), 1);
  run_steps(governor, {.draft = 0.3, .acceptance = 0}, 400);
  EXPECT_EQ(governor.best(1), 0);
  run_steps(governor, {.draft = 0.3, .acceptance = 0.9}, 2000);
  EXPECT_EQ(governor.best(1), 1);
}

// Verifying a row costs more when a step has few, so each size of a step has its own answer.
TEST(SpeculationGovernor, LearnsForEachNumberOfSequences) {
  SpeculationGovernor governor(1);
  for (int64_t turn = 0; turn < 100; ++turn) {
    run_steps(governor, {.draft = 0.7, .acceptance = 0.5}, 1, 1);
    run_steps(governor, {.draft = 0.1, .acceptance = 0.5}, 1, 8);
  }
  EXPECT_EQ(governor.best(1), 0);
  EXPECT_EQ(governor.best(8), 1);
}

TEST(SpeculationGovernor, TakesTheNumberOfDraftsThatPaysBest) {
  SpeculationGovernor governor(3);
  run_steps(governor, {.draft = 0.2, .acceptance = 0.9}, 300);
  EXPECT_EQ(governor.best(1), 3);
  run_steps(governor, {.draft = 0.3, .acceptance = 0.5}, 3000);
  EXPECT_EQ(governor.best(1), 1);
}

// A step that the machine was busy with something else is none to learn from.
TEST(SpeculationGovernor, APauseOfTheMachineDecidesNothing) {
  SpeculationGovernor governor(1);
  for (int64_t step = 0; step < 12; ++step) {
    const int64_t drafts = governor.drafts(1);
    governor.learn(1, drafts, drafts == 1 && step % 5 == 0 ? 50 : 1 + 0.1 * double(drafts), 1 + drafts);
  }
  EXPECT_EQ(governor.best(1), 1);
}

}  // namespace
}  // namespace finback
