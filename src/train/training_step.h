// One optimizer step's losses and gradients from its micro-batches. The only place that computes loss denominators: valid targets of the
// whole step, apart for each MTP depth, so any cut into micro-batches gives the numbers of one big batch. Updates no weight.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "model/lm_loss.h"
#include "train/expert_balance.h"
#include "train/train_config.h"

namespace finback {

// Rows of one forward pass, on the model's device.
struct MicroBatch {
  Batch batch;
  at::Tensor targets_T;       // i64, -1 = masked
  int64_t valid_targets = 0;  // those that are not masked
  int64_t target_bytes = 0;   // raw UTF-8 bytes of the valid targets
  at::Tensor weights_T{};     // f32, a factor on each target's loss; undefined: 1. Denominators count targets, whatever they weigh
};

// What a step's loss is made of: V3 eq. 25 and 17, and the z-loss.
struct LossWeights {
  MlaAlgebra algebra = MlaAlgebra::kExpanded;
  double mtp_lambda = 0;  // 0: MTP is not run
  double balance_alpha = 0;
  double z_loss = 0;
  PrecisionAudit* audit = nullptr;          // sees the first micro-batch; may be null
  std::function<void()> before_backward{};  // called when a micro-batch's forward pass is done; may be empty
};

// Means over the step, in nats a target where not said otherwise.
struct StepResult {
  double loss = 0;                      // what was differentiated: weighted main + lambda * mean(mtp) + balance + z
  double main_loss = 0;                 // unweighted
  std::vector<double> mtp_loss;         // by depth, unweighted
  double balance_loss = 0, z_loss = 0;  // weighted
  double bpb = 0;                       // main loss in bits a byte of the batch
  std::vector<double> mtp_acceptance;   // share of the MTP head's greedy tokens that are the main head's
  int64_t valid_targets = 0;
  double grad_norm = 0;     // before clipping; 0 without gradients
  int64_t mtp_trained = 0;  // MTP modules that the loss was differentiated through; those behind them have no gradient
  std::vector<LayerLoad> loads;
};

// "expanded" or "absorbed", the values of train.mla_algebra.
MlaAlgebra parse_mla_algebra(const std::string& name);

// Precisions of a run's linears, those of the sub-layers that fell back included.
PrecisionPlan precision_plan(const TrainSection& train, const std::vector<std::string>& fallen_back);

// Clears the gradients, then adds those of all micro-batches. Throws nothing for non-finite numbers: see nonfinite_report.
// routes, where given, receives what the routers chose, one entry a micro-batch.
StepResult accumulate_gradients(Transformer& model, const std::vector<MicroBatch>& micro_batches, const LossWeights& weights,
                                std::vector<RouterLog>* routes = nullptr);

// What is wrong with the step, naming the first tensor in checkpoint order ("gradient of model.layers.3...: nan"); empty when all is finite.
std::string nonfinite_report(const Transformer& model, const StepResult& result);

}  // namespace finback
