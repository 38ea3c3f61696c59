// A rehearsal: a few real steps, one part of an evaluation, one sample and one checkpoint of a recipe, on its own data and on a model of its
// own that is thrown away; what they took, and how often the run will do each, is the plan of the run (cost/local_plan.h). The run's bits do
// not depend on it: nothing of it is kept but figures.
#pragma once
#include <filesystem>
#include <functional>
#include <optional>

#include "cost/local_plan.h"
#include "train/train_config.h"
#include "train/train_options.h"

namespace finback {

// How often a run evaluates, samples, saves and audits, and over how many tokens, as the loop of train.cpp does it; no seconds yet.
LocalRun counted_run(const TrainConfig& config, int64_t validation_tokens, bool samples);

// Seconds that the run takes at a third of the machine's measured f32 peak: arithmetic, to tell whether a plan is worth its rehearsal.
double rough_seconds(const TrainConfig& config, const ModelConfig& shape, double fma_peak_gflops);

// Takes 2 % of `rough_s`, at least 3 and at most 8 seconds, and what a start, a checkpoint and a sample take. The checkpoint goes to `scratch`,
// which is removed again. `stop` is asked between two steps and before each other part; nothing is returned when it says yes. Throws Error for
// what would keep the run itself from starting. REQUIRES: run.device = cpu.
std::optional<LocalPlan> rehearse(const TrainConfig& config, const SampleText& sample, double rough_s, const std::filesystem::path& scratch,
                                  const std::function<bool()>& stop);

}  // namespace finback
