// Seconds of one optimizer step from shape, hardware, layout and date: matrix products at size- and precision-dependent rates, attention, element-wise
// traffic, collectives less what is hidden, pipeline bubble, optimizer. Pure functions; milliseconds to evaluate; no per-model constants.
// docs/cost-model.md has the equations.
#pragma once
#include "plan/cost_parameters.h"
#include "plan/train_setup.h"

namespace finback {

// Of one accelerator and one step; the parts add up to `total`.
struct StepTime {
  double gemm = 0, attention = 0, traffic = 0;  // traffic: element-wise passes, casts, permutation, logits
  double recompute = 0;
  double host = 0;                                // waiting for kernels to be issued
  double tp = 0, cp = 0, ep = 0, dp = 0, pp = 0;  // exposed
  double bubble = 0, optimizer = 0, straggle = 0;
  double kernels() const { return gemm + attention + traffic; }
  double compute() const { return gemm + attention + traffic + recompute + host; }
  double total() const { return compute() + tp + cp + ep + dp + pp + bubble + optimizer + straggle; }
};

// REQUIRES: layout_fault is empty, or the caller accepts fractions (published rows do not always divide).
StepTime step_time(const TrainSetup& setup, const CostParameters& parameters);

double tokens_per_second(const TrainSetup& setup, const StepTime& time);  // of one accelerator

}  // namespace finback
