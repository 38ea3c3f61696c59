// One optimizer step, the only one of the program: gradients of its micro-batches, clipping, AdamW, the experts' selection biases.
// Pretraining, its rehearsal and the bench call it. Knows no schedule, no data and no files.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "train/optimizer.h"
#include "train/training_step.h"

namespace finback {

struct StepSettings {
  int64_t step = 0;  // this step's number, from 1: AdamW's bias correction
  double lr = 0;
  double grad_clip = 0;          // largest global gradient norm; 0: no clipping
  double bias_update_speed = 0;  // gamma, V3 section 2.1.2; 0: the selection biases stay
  LossWeights loss;
};

struct StepRecord {
  StepSettings settings;
  StepResult result;
  double clip_scale = 1;
  // What is wrong, naming the first tensor; empty when loss and gradients are finite. Otherwise nothing was updated.
  std::string not_finite;
  double gradients_s = 0, update_s = 0;  // wall clock
};

// routes, where given, receives what the routers chose, one entry a micro-batch.
StepRecord optimizer_step(Transformer& model, Optimizer& optimizer, const std::vector<MicroBatch>& micro_batches,
                          const StepSettings& settings, std::vector<RouterLog>* routes = nullptr);

}  // namespace finback
