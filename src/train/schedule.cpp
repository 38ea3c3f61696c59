#include "train/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace finback {
namespace {

// From `high` at 0 to `low` at 1 along half a cosine.
double cosine_fall(double high, double low, double progress) {
  return low + (high - low) * 0.5 * (1 + std::cos(std::numbers::pi * std::clamp(progress, 0.0, 1.0)));
}

double v3_rate(const ScheduleSection& s, double peak, double share) {
  if (share < s.constant_until) return peak;
  if (share < s.cosine_until)
    return cosine_fall(peak, peak * s.min_share, (share - s.constant_until) / (s.cosine_until - s.constant_until));
  return share < s.floor_until ? peak * s.min_share : peak * s.last_share;
}

}  // namespace

double learning_rate(const ScheduleSection& schedule, double peak, const Age& age, int64_t warmup_tokens) {
  if (age.step < schedule.warmup_steps) return peak * double(age.step + 1) / double(schedule.warmup_steps);
  const double share = age.share();
  if (schedule.kind == "v3") return v3_rate(schedule, peak, share);
  if (schedule.kind == "cosine") {
    const double rest = double(age.total_tokens - warmup_tokens);
    return cosine_fall(peak, peak * schedule.min_share, rest > 0 ? double(age.tokens - warmup_tokens) / rest : 1);
  }
  if (schedule.kind == "wsd" && schedule.decay_share > 0) {
    const double fallen = std::clamp((share - (1 - schedule.decay_share)) / schedule.decay_share, 0.0, 1.0);
    return peak * (1 - (1 - schedule.min_share) * fallen);
  }
  return peak;
}

int64_t batch_tokens(const TrainSection& train, int64_t seq_len, int64_t tokens_seen) {
  if (train.ramp_tokens <= 0 || tokens_seen >= train.ramp_tokens) return train.batch_tokens;
  const double grown = double(train.batch_tokens - train.ramp_from_tokens) * (double(tokens_seen) / double(train.ramp_tokens));
  const int64_t rows = (train.ramp_from_tokens + int64_t(grown)) / seq_len;
  return std::min(train.batch_tokens, std::max<int64_t>(1, rows) * seq_len);
}

int64_t tokens_of_steps(const TrainSection& train, int64_t seq_len, int64_t steps) {
  int64_t tokens = 0, done = 0;
  for (; done < steps && tokens < train.ramp_tokens; ++done) tokens += batch_tokens(train, seq_len, tokens);
  return tokens + (steps - done) * train.batch_tokens;
}

RunLength run_length(const TrainSection& train, int64_t seq_len) {
  if (train.steps > 0) return {train.steps, tokens_of_steps(train, seq_len, train.steps)};
  RunLength length;
  for (; length.tokens < train.tokens && length.tokens < train.ramp_tokens; ++length.steps) {
    length.tokens += batch_tokens(train, seq_len, length.tokens);
  }
  const int64_t missing = std::max<int64_t>(0, train.tokens - length.tokens);
  const int64_t full_steps = (missing + train.batch_tokens - 1) / train.batch_tokens;
  return {length.steps + full_steps, length.tokens + full_steps * train.batch_tokens};
}

double mtp_lambda(const TrainSection& train, const Age& age) {
  return age.share() < train.mtp_switch ? train.mtp_lambda : train.mtp_lambda_late;
}

double bias_update_speed(const TrainSection& train, const Age& age) {
  return age.share() < train.bias_update_stop ? train.bias_update_speed : 0;
}

StepSettings scheduled_step(const TrainConfig& config, const ModelConfig& shape, const Age& age, int64_t warmup_tokens) {
  const TrainSection& train = config.train;
  StepSettings settings;
  settings.step = age.step + 1;
  settings.lr = learning_rate(config.schedule, config.optimizer.lr, age, warmup_tokens);
  settings.grad_clip = train.grad_clip;
  settings.bias_update_speed = shape.has_expert_bias() ? bias_update_speed(train, age) : 0;
  settings.loss = {parse_mla_algebra(train.mla_algebra), shape.num_nextn_predict_layers > 0 ? mtp_lambda(train, age) : 0,
                   train.balance_alpha, train.z_loss};
  return settings;
}

std::optional<int64_t> first_step_apart(const TrainConfig& a, const TrainConfig& b, const ModelConfig& shape, int64_t steps) {
  const int64_t seq_len = a.data.seq_len;
  struct Run {
    const TrainConfig& config;
    int64_t total, warmup, tokens = 0;
    explicit Run(const TrainConfig& c)
        : config(c),
          total(run_length(c.train, c.data.seq_len).tokens),
          warmup(tokens_of_steps(c.train, c.data.seq_len, c.schedule.warmup_steps)) {}
  } x(a), y(b);
  for (int64_t step = 0; step < steps; ++step) {
    const StepSettings s = scheduled_step(a, shape, {step, x.tokens, x.total}, x.warmup);
    const StepSettings t = scheduled_step(b, shape, {step, y.tokens, y.total}, y.warmup);
    const int64_t batch = batch_tokens(a.train, seq_len, x.tokens), other_batch = batch_tokens(b.train, seq_len, y.tokens);
    const bool same = s.lr == t.lr && s.loss.mtp_lambda == t.loss.mtp_lambda && s.bias_update_speed == t.bias_update_speed;
    if (!same || batch != other_batch) return step + 1;
    x.tokens += batch, y.tokens += other_batch;
  }
  return std::nullopt;
}

}  // namespace finback
