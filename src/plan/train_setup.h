// A training run as the planner sees it: the shape of the model, accelerators, precision, batch and layout. What follows from it is in step_time.h and
// stage_memory.h.
#pragma once
#include "cost/hardware.h"
#include "plan/layout.h"
#include "plan/matrix_precision.h"

namespace finback {

struct TrainSetup {
  ModelShape shape;
  Accelerator gpu;
  int64_t gpus = 1;
  MatrixPrecision precision = MatrixPrecision::k16;
  int64_t seq_len = 4096, batch_seqs = 1;
  Layout layout;
  double software_date = 2025;  // years
  bool sequence_parallel = true;
  double optimizer_bytes = 12;  // master weight and two moments of a parameter
};

}  // namespace finback
