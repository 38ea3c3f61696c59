// Seconds of one layer for one micro-batch on one accelerator, forward and backward. step_time adds them up; overlap with other layers is not in them.
#pragma once
#include "plan/cost_parameters.h"
#include "plan/train_setup.h"

namespace finback {

// Forward and backward. `recompute`: the forward pass, which a full recompute runs once more.
struct LayerTime {
  double gemm = 0, attention = 0, traffic = 0, host = 0, recompute = 0;
  double tp = 0, cp = 0, ep = 0;  // exposed
  LayerTime& operator+=(const LayerTime& other);
  LayerTime operator*(double times) const;
};

enum class LayerKind { kAttention, kDenseFfn, kMoeFfn, kMixer };
LayerTime layer_time(const TrainSetup& setup, LayerKind kind, const CostParameters& p);
// Output head, loss and embedding of one micro-batch.
LayerTime head_time(const TrainSetup& setup, const CostParameters& p);

// FLOP/s that large matrix products reach.
double gemm_rate(const Accelerator& gpu, MatrixPrecision precision, const CostParameters& p);

}  // namespace finback
