#include "train/evaluation.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <numbers>

#include "base/error.h"

namespace finback {

Validation evaluate(Transformer& model, MlaAlgebra algebra, const std::function<std::optional<MicroBatch>()>& next) {
  return *evaluate_until(
      model, algebra, next, [] { return false; }, [](int64_t) {});
}

std::optional<Validation> evaluate_until(Transformer& model, MlaAlgebra algebra, const std::function<std::optional<MicroBatch>()>& next,
                                         const std::function<bool()>& stop, const std::function<void(int64_t)>& done) {
  const at::NoGradGuard no_grad;
  const size_t n_mtp = size_t(model.config().num_nextn_predict_layers);
  Validation result;
  TickSum nll;
  std::vector<TickSum> mtp_nll(n_mtp);
  std::vector<int64_t> mtp_count(n_mtp, 0), mtp_agree(n_mtp, 0);
  LossInputs inputs;
  inputs.mtp_denominators.assign(n_mtp, 1);
  inputs.forward.algebra = algebra;
  while (const std::optional<MicroBatch> micro = next()) {
    if (stop()) return std::nullopt;
    inputs.targets_T = micro->targets_T;
    const LossResult part = lm_loss(model, micro->batch, inputs);
    FB_ASSERT(part.main_count == micro->valid_targets, "the loader and the loss count the same targets");
    nll += part.main_nll;
    result.targets += part.main_count;
    result.bytes += micro->target_bytes;
    for (size_t k = 0; k < n_mtp; ++k) {
      mtp_nll[k] += part.mtp_nll[k];
      mtp_count[k] += part.mtp_count[k];
      mtp_agree[k] += part.mtp_agree[k];
    }
    done(result.targets);
  }
  FB_CHECK(result.bytes > 0, "validation: expected text in the validation split, got none. Hint: a larger share in the corpus recipe");
  result.loss = nll.value() / double(result.targets);
  result.bpb = nll.value() / std::numbers::ln2 / double(result.bytes);
  for (size_t k = 0; k < n_mtp; ++k) {
    const double count = double(std::max<int64_t>(1, mtp_count[k]));
    result.mtp_loss.push_back(mtp_nll[k].value() / count);
    result.mtp_acceptance.push_back(double(mtp_agree[k]) / count);
  }
  return result;
}

}  // namespace finback
