#include "train/training_step.h"

#include <ATen/ATen.h>

#include <cmath>
#include <numbers>
#include <numeric>

#include "base/error.h"
#include "kernels/adamw.h"
#include "train/optimizer.h"

namespace finback {
namespace {

// Exact sums of a step before they are divided.
struct Totals {
  TickSum main, weighted, z, balance;
  int64_t targets = 0, bytes = 0, balance_rows = 0;
  std::vector<TickSum> mtp;
  std::vector<int64_t> mtp_targets, mtp_agree;
};

Totals denominators(const std::vector<MicroBatch>& micro_batches, int64_t n_mtp) {
  Totals totals;
  totals.mtp.resize(size_t(n_mtp));
  totals.mtp_targets.assign(size_t(n_mtp), 0);
  totals.mtp_agree.assign(size_t(n_mtp), 0);
  for (const MicroBatch& micro : micro_batches) {
    totals.targets += micro.valid_targets;
    totals.bytes += micro.target_bytes;
    totals.balance_rows += std::max<int64_t>(0, int64_t(micro.batch.balance_starts.size()) - 1);
    if (n_mtp == 0) continue;
    const std::vector<int64_t> counts = mtp_target_counts(micro.batch, micro.targets_T, n_mtp);
    for (size_t k = 0; k < counts.size(); ++k) totals.mtp_targets[k] += counts[k];
  }
  return totals;
}

void add(Totals& totals, const LossResult& part) {
  totals.main += part.main_nll;
  totals.weighted += part.weighted_nll;
  totals.z += part.z;
  totals.balance += part.balance;
  for (size_t k = 0; k < part.mtp_nll.size(); ++k) totals.mtp[k] += part.mtp_nll[k];
  for (size_t k = 0; k < part.mtp_agree.size(); ++k) totals.mtp_agree[k] += part.mtp_agree[k];
}

double ratio(double sum, int64_t count) { return count > 0 ? sum / double(count) : 0; }
double ratio(const TickSum& sum, int64_t count) { return ratio(sum.value(), count); }

void divide(const Totals& totals, const LossWeights& weights, StepResult& result) {
  result.valid_targets = totals.targets;
  result.main_loss = ratio(totals.main, totals.targets);
  result.bpb = ratio(totals.main.value() / std::numbers::ln2, totals.bytes);
  // Not computed when it has no weight: its sum alone may leave the ticks (2^39 at lse 93 in V3's batch), and 0 * NaN would end the run.
  result.z_loss = weights.z_loss == 0 ? 0 : weights.z_loss * ratio(totals.z, totals.targets);
  result.balance_loss = weights.balance_alpha * ratio(totals.balance, totals.balance_rows);
  for (size_t k = 0; k < totals.mtp.size(); ++k) {
    result.mtp_loss.push_back(ratio(totals.mtp[k], totals.mtp_targets[k]));
    result.mtp_acceptance.push_back(ratio(double(totals.mtp_agree[k]), totals.mtp_targets[k]));
  }
  result.loss = ratio(totals.weighted, totals.targets) + result.balance_loss + result.z_loss;
  for (const double mtp : result.mtp_loss) result.loss += weights.mtp_lambda * mtp / double(result.mtp_loss.size());  // V3 eq. 25
}

}  // namespace

MlaAlgebra parse_mla_algebra(const std::string& name) {
  FB_CHECK(name == "expanded" || name == "absorbed", "train.mla_algebra: expected expanded or absorbed, got \"{}\"", name);
  return name == "absorbed" ? MlaAlgebra::kAbsorbed : MlaAlgebra::kExpanded;
}

PrecisionPlan precision_plan(const TrainSection& train, const std::vector<std::string>& fallen_back) {
  const Precision precision = parse_precision(train.precision, "train.precision");
  return {precision, train.wgrad_precision.empty() ? precision : parse_precision(train.wgrad_precision, "train.wgrad_precision"),
          fallen_back};
}

StepResult accumulate_gradients(Transformer& model, const std::vector<MicroBatch>& micro_batches, const LossWeights& weights,
                                std::vector<RouterLog>* routes) {
  const int64_t n_mtp = weights.mtp_lambda > 0 ? model.config().num_nextn_predict_layers : 0;
  Totals totals = denominators(micro_batches, n_mtp);
  FB_CHECK(totals.targets > 0,
           "expected at least one target in a step, got only masked rows. Hint: documents of one token in a row of seq_len");
  model.parameters().grads_P().zero_();
  LossInputs inputs;
  inputs.main_denominator = double(totals.targets);
  inputs.mtp_denominators.assign(totals.mtp_targets.begin(), totals.mtp_targets.end());
  inputs.mtp_lambda = weights.mtp_lambda;
  inputs.z_loss = weights.z_loss;
  inputs.forward.algebra = weights.algebra;
  inputs.forward.balance_scale = totals.balance_rows > 0 ? weights.balance_alpha / double(totals.balance_rows) : 0;
  inputs.before_backward = weights.before_backward;
  inputs.gradients = true;
  StepResult result;
  for (size_t i = 0; i < micro_batches.size(); ++i) {
    inputs.targets_T = micro_batches[i].targets_T;
    inputs.weights_T = micro_batches[i].weights_T;
    inputs.forward.audit = i == 0 ? weights.audit : nullptr;
    inputs.last = i + 1 == micro_batches.size();
    const LossResult part = lm_loss(model, micro_batches[i].batch, inputs);
    add(totals, part);
    add_counts(result.loads, part.router);
    if (routes != nullptr) routes->push_back(part.router);
  }
  divide(totals, weights, result);
  for (const int64_t targets : totals.mtp_targets)
    result.mtp_trained += targets > 0;  // a depth's targets are some of those of the one before
  result.grad_norm = gradient_norm(model.parameters());
  return result;
}

std::string nonfinite_report(const Transformer& model, const StepResult& result) {
  if (std::isfinite(result.loss) && std::isfinite(result.grad_norm)) return "";
  const Parameters& parameters = model.parameters();
  const auto first = [&](const char* what, const at::Tensor& flat_P) -> std::string {
    const int64_t index = first_nonfinite(flat_P);
    if (index < 0) return "";
    return fmt::format("first in the {} of {}", what, parameter_at(parameters.specs(), index));
  };
  std::string place = first("weights", parameters.values_P());
  if (place.empty()) place = first("gradient", parameters.grads_P());
  return fmt::format("loss {}, gradient norm {}, {}", result.loss, result.grad_norm, place.empty() ? "every tensor finite" : place);
}

}  // namespace finback
