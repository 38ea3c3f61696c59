// What changes with the age of a run, as pure functions of (steps done, tokens seen): learning rate, batch size, MTP weight, bias speed.
// There is no schedule state to save. Phases are shares of all tokens of the run, so a recipe keeps its form at any length.
#pragma once
#include <cstdint>
#include <optional>

#include "train/optimizer_step.h"
#include "train/train_config.h"

namespace finback {

// Where a run stands before a step.
struct Age {
  int64_t step = 0;          // optimizer steps done
  int64_t tokens = 0;        // tokens seen by them
  int64_t total_tokens = 0;  // tokens of the whole run
  double share() const { return total_tokens > 0 ? double(tokens) / double(total_tokens) : 0; }
};

// Learning rate of the next step. Warm-up is linear, step s (from 1) of warmup_steps gets peak * s / warmup_steps. Then, V3 section 4.2:
// constant, cosine to min_share, constant, constant at last_share; wsd: constant, then linear to min_share over decay_share; cosine: from
// the end of the warm-up (in tokens, `warmup_tokens`) to min_share at the end.
double learning_rate(const ScheduleSection& schedule, double peak, const Age& age, int64_t warmup_tokens = 0);

// Tokens of the next step: the full batch, or, inside the ramp, linear in the tokens seen (V3 says "gradually"), in whole rows of
// seq_len: how a step is cut into micro-batches never decides what it is made of.
int64_t batch_tokens(const TrainSection& train, int64_t seq_len, int64_t tokens_seen);
// Tokens of the first `steps` steps: the sum of batch_tokens.
int64_t tokens_of_steps(const TrainSection& train, int64_t seq_len, int64_t steps);
// The whole run; train.tokens is rounded up to a whole step.
struct RunLength {
  int64_t steps = 0, tokens = 0;
};
RunLength run_length(const TrainSection& train, int64_t seq_len);

// V3 section 4.2: 0.3 for the first 10T of 14.8T tokens, then 0.1; gamma 0.001 up to 14.3T, then 0.
double mtp_lambda(const TrainSection& train, const Age& age);
double bias_update_speed(const TrainSection& train, const Age& age);

// Everything above for the next step of a model of this shape; no audit.
StepSettings scheduled_step(const TrainConfig& config, const ModelConfig& shape, const Age& age, int64_t warmup_tokens);

// Of the first `steps` steps the first (from 1) that a run like `a` but for its length would have trained otherwise: another learning rate, batch,
// MTP weight or bias speed; nothing when it cannot be told from `b` so far, so that one may go on as the other, to the bit.
std::optional<int64_t> first_step_apart(const TrainConfig& a, const TrainConfig& b, const ModelConfig& shape, int64_t steps);

}  // namespace finback
