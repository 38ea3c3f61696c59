// Validation: exact bits per raw UTF-8 byte over a fixed set of rows, and how often the MTP head's greedy token is the main head's. Reads weights,
// writes nothing, leaves gradients and loader positions alone.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "train/training_step.h"

namespace finback {

struct Validation {
  double bpb = 0;   // sum of -log2 p over the targets / bytes of the targets; end-of-text targets have 0 bytes and count
  double loss = 0;  // nats a target
  int64_t targets = 0, bytes = 0;
  std::vector<double> mtp_loss;        // nats a target, by depth
  std::vector<double> mtp_acceptance;  // share of the targets of a depth
};

// `next` gives the rows in their fixed order and nothing at the end. Every target of every batch counts once. Throws Error for rows without text.
Validation evaluate(Transformer& model, MlaAlgebra algebra, const std::function<std::optional<MicroBatch>()>& next);
// The same, left when `stop` says so before a batch: nothing then. `done` is told the targets so far behind each batch.
std::optional<Validation> evaluate_until(Transformer& model, MlaAlgebra algebra, const std::function<std::optional<MicroBatch>()>& next,
                                         const std::function<bool()>& stop, const std::function<void(int64_t)>& done);

}  // namespace finback
