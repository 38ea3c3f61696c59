// Bytes on one accelerator of each pipeline stage of a training run, by what they hold. Pure counting from shape and layout: layers are spread evenly, the
// first stage keeps most micro-batches in flight, the last holds the logits. Allocator slack is not counted: usable_memory leaves a share for it.
#pragma once
#include "plan/train_setup.h"

namespace finback {

struct StageMemory {
  double weights = 0, gradients = 0, optimizer = 0, activations = 0, buffers = 0;  // buffers: logits, the layer at work, gathered weights
  double total() const { return weights + gradients + optimizer + activations + buffers; }
};

// `recomputed`: share of the layers' activations that is dropped and recomputed (1: only each layer's input is kept). `stage`: 0 .. pp - 1.
StageMemory stage_memory(const TrainSetup& setup, double recomputed, int64_t stage = 0);
// The first or the last stage, whichever is fuller: those between hold less than the first.
StageMemory fullest_stage(const TrainSetup& setup, double recomputed);

// The smallest share in [0, 1] with which the run fits; above 1 when nothing does. What the setup's recompute says counts as the least.
double needed_recompute(const TrainSetup& setup);
// The part of the accelerator's memory that a run may fill.
double usable_memory(const Accelerator& gpu);

struct StoredParameters {
  double dense = 0, experts = 0;  // parameters of one rank's stages before data-parallel sharding
  double expert_ways = 1;         // ranks that hold copies of the same experts
};
StoredParameters stored_parameters(const TrainSetup& setup);

}  // namespace finback
