// The rows of a step as the one batch that the model knows. Pure.
#pragma once
#include <vector>

#include "infer/scheduler.h"
#include "model/batch.h"

namespace finback {

// Sequences in the step's order: keys are what is cached, then the rows themselves, drafts last. Tensors on `device`.
Batch step_batch(const std::vector<ScheduledRows>& step, at::Device device);

}  // namespace finback
