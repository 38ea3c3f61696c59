#include "train/odd_settings.h"

#include "base/timer.h"
#include "train/schedule.h"

namespace finback {
namespace {

struct Remarks {
  std::vector<std::string> lines;
  template <class... T>
  void add_if(bool odd, fmt::format_string<T...> text, T&&... values) {
    if (odd) lines.push_back(fmt::format(text, std::forward<T>(values)...));
  }
};

// A key that the chosen kind of schedule never reads, where it is not as it was born.
void unread_keys(const ScheduleSection& s, Remarks& remarks) {
  const ScheduleSection born;
  const auto unread = [&](const char* key, double value, double usual, const char* reader) {
    remarks.add_if(value != usual && s.kind != reader, "schedule.{} = {} is read by schedule.kind = {} alone, not by {}", key, value,
                   reader, s.kind);
  };
  unread("decay_share", s.decay_share, born.decay_share, "wsd");
  unread("constant_until", s.constant_until, born.constant_until, "v3");
  unread("cosine_until", s.cosine_until, born.cosine_until, "v3");
  unread("floor_until", s.floor_until, born.floor_until, "v3");
  unread("last_share", s.last_share, born.last_share, "v3");
  remarks.add_if(s.kind == "constant" && s.min_share != born.min_share, "schedule.min_share = {} is not read by schedule.kind = constant",
                 s.min_share);
}

// Dropout under the keys of other architectures, which DeepSeek's do not read.
void unread_dropout(const ModelConfig& shape, Remarks& remarks) {
  for (const auto& [key, value] : shape.other.items()) {
    const bool dropout = key.find("dropout") != key.npos || key.ends_with("_pdrop");
    remarks.add_if(dropout && value.is_number() && value != 0, "{} = {} of the model's config: training drops nothing", key.substr(0, 60),
                   dump_json_line(value));
  }
}

}  // namespace

std::vector<std::string> odd_settings(const TrainConfig& c, const ModelConfig& shape, int64_t epoch_tokens) {
  const RunLength length = run_length(c.train, c.data.seq_len);
  const TrainSection& t = c.train;
  Remarks remarks;
  remarks.add_if(c.schedule.warmup_steps >= length.steps && length.steps > 1,
                 "schedule.warmup_steps = {} of {} steps: the learning rate never reaches optimizer.lr", c.schedule.warmup_steps,
                 length.steps);
  remarks.add_if(c.optimizer.lr == 0, "optimizer.lr = 0: nothing is learned");
  remarks.add_if(c.optimizer.lr > 0.1, "optimizer.lr = {}: AdamW hardly learns above 0.1", c.optimizer.lr);
  remarks.add_if(c.optimizer.weight_decay * c.optimizer.lr >= 1,
                 "optimizer.weight_decay = {} times the learning rate takes all of a weight in a step", c.optimizer.weight_decay);
  remarks.add_if(t.grad_clip > 0 && t.grad_clip < 1e-3, "train.grad_clip = {}: nearly every gradient is cut to it", t.grad_clip);
  remarks.add_if(c.eval.every > length.steps, "eval.every = {} of {} steps: evaluated before the first step and at the end only",
                 c.eval.every, length.steps);
  remarks.add_if(c.eval.sample_tokens > 0 && c.eval.sample_every > length.steps,
                 "eval.sample_every = {} of {} steps: a sample at the end only", c.eval.sample_every, length.steps);
  remarks.add_if(c.eval.tokens > 0 && c.eval.tokens < c.data.seq_len, "eval.tokens = {} is less than a row: one row of {} is evaluated",
                 c.eval.tokens, c.data.seq_len);
  const int64_t every = c.checkpoint.every, milestones = c.checkpoint.keep_every;
  remarks.add_if(milestones > 0 && every > 0 && milestones % every != 0 && every % milestones != 0,
                 "checkpoint.keep_every = {} is no multiple of checkpoint.every = {}: only steps that are multiples of both are kept",
                 milestones, every);
  remarks.add_if(milestones > 0 && every == 0,
                 "checkpoint.keep_every = {} keeps nothing on the way: checkpoint.every = 0 saves at the end only", milestones);
  remarks.add_if(t.ramp_tokens >= length.tokens, "train.ramp_tokens = {} of {}: the batch never reaches train.batch_tokens", t.ramp_tokens,
                 length.tokens);
  const double epochs = epoch_tokens > 0 ? double(length.tokens) / double(epoch_tokens) : 1;
  remarks.add_if(epochs > 10,
                 "the run reads its {} tokens of text {:.0f} times: it will know them by heart. Hint: more text, or fewer train.steps",
                 human_count(double(epoch_tokens)), epochs);
  remarks.add_if(epochs < 0.1, "the run reads {:.2g} % of its {} tokens of text. Hint: more train.steps", 100 * epochs,
                 human_count(double(epoch_tokens)));
  const TrainSection usual;
  remarks.add_if(t.precision != "fp8" && (t.audit_every != usual.audit_every || t.snr_forward_db != usual.snr_forward_db ||
                                          t.snr_gradient_db != usual.snr_gradient_db),
                 "train.audit_every and train.snr_*_db are read by train.precision = fp8 alone, not by {}", t.precision);
  remarks.add_if(shape.num_nextn_predict_layers == 0 && (t.mtp_lambda != usual.mtp_lambda || t.mtp_lambda_late != usual.mtp_lambda_late) &&
                     (t.mtp_lambda > 0 || t.mtp_lambda_late > 0),
                 "train.mtp_lambda: this model has no MTP modules (model.num_nextn_predict_layers = 0)");
  unread_keys(c.schedule, remarks);
  unread_dropout(shape, remarks);
  return remarks.lines;
}

}  // namespace finback
