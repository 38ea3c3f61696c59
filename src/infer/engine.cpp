#include "infer/engine.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <exception>
#include <utility>

#include "base/timer.h"
#include "infer/cache_fingerprint.h"
#include "infer/logit_adjustment.h"
#include "infer/sampler.h"
#include "infer/step_batch.h"
#include "kernels/head_loss.h"

namespace finback {
namespace {

constexpr int64_t kMostTopLogprobs = 20;  // OpenAI's limit
constexpr int64_t kScoredRows = 32;       // whose logits stand in memory at a time: 16 MB for a vocab of 128k

int64_t cache_pages(const EngineOptions& options, const ModelConfig& config) {
  if (options.cache_bytes == 0) return pages_for(options.max_sequence_tokens);
  const int64_t page = KvCache::page_bytes(config, mtp_depths_of(options.speculative_tokens, config)), pages = options.cache_bytes / page;
  FB_CHECK(pages > 0, "cache_bytes: expected room for a page, {} bytes, got {}", page, options.cache_bytes);
  return pages;
}

// A sequence is no longer than the cache.
EngineOptions resolve(EngineOptions options, const ModelConfig& config) {
  const int64_t limit = config.max_position_embeddings;
  if (options.max_sequence_tokens <= 0) options.max_sequence_tokens = limit;
  FB_CHECK(options.max_sequence_tokens <= limit, "expected at most {} tokens per sequence (max_position_embeddings), got {}", limit,
           options.max_sequence_tokens);
  options.max_sequence_tokens = std::min(options.max_sequence_tokens, cache_pages(options, config) * kPageTokens);
  return options;
}

void check_ids(std::span<const int32_t> ids, int64_t vocabulary, const char* where) {
  for (const int32_t id : ids) FB_CHECK(id >= 0 && id < vocabulary, "{}expected token ids from 0 to {}, got {}", where, vocabulary - 1, id);
}

TokenEvent failed(int64_t request_id, const std::exception& e) {
  TokenEvent event;
  event.request_id = request_id, event.finish = FinishReason::kError;
  const std::string what = e.what();  // ATen's has many lines
  event.error = what.substr(0, what.find('\n'));
  return event;
}

std::unique_ptr<DiskTier> disk_tier(Transformer& model, KvCache& cache, const EngineOptions& options) {
  if (!options.disk_cache || !options.prefix_cache) return nullptr;
  const std::string weights = options.weights_fingerprint.empty() ? model.fingerprint() : options.weights_fingerprint;
  return std::make_unique<DiskTier>(cache, *options.disk_cache, cache_fingerprint(model, cache, weights));
}

std::span<const float> row_of(const at::Tensor& logits_SW, int64_t row) {
  return {logits_SW.const_data_ptr<float>() + row * logits_SW.size(1), size_t(logits_SW.size(1))};
}

// A sequence's hidden states are finite where its last one is: that has seen them all.
void check_finite(std::span<const float> hidden_D) {
  FB_CHECK(std::all_of(hidden_D.begin(), hidden_D.end(), [](float x) { return std::isfinite(x); }),
           "the model's hidden states are not finite. Hint: the checkpoint may be damaged or diverged");
}

float finite_logprob(std::span<const float> logits_W, int32_t token) {
  const float logprob = token_logprob(logits_W, token);
  FB_CHECK(std::isfinite(logprob), "the model's logits are not finite. Hint: the checkpoint may be damaged or diverged");
  return logprob;
}

}  // namespace

Engine::Engine(Transformer& model, const EngineOptions& options)
    : model_(model),
      options_(resolve(options, model.config())),
      cache_(model.config(), cache_pages(options_, model.config()), model.device(),
             mtp_depths_of(options.speculative_tokens, model.config())),
      disk_(disk_tier(model, cache_, options_)),
      speculation_(model, cache_, mtp_depths_of(options.speculative_tokens, model.config()), /*governed=*/options.speculative_tokens < 0),
      scheduler_({options.step_tokens, options.max_sequences, options.max_waiting, options.prefix_cache}, cache_.pages_XLPY.size(0),
                 disk_.get()),
      weights_stamp_(*model.parameters().stamp()) {}

int64_t Engine::submit(Request request) {
  check_sampling(request.sampling);
  FB_CHECK(!request.prompt.empty(), "expected a prompt of at least one token");
  const int64_t vocabulary = model_.config().vocab_size;
  check_ids(request.prompt, vocabulary, "");
  check_ids(request.stop_ids, vocabulary, "stop_ids: ");
  for (const auto& [id, bias] : request.sampling.logit_bias) check_ids({&id, 1}, vocabulary, "logit_bias: ");
  const int64_t length = int64_t(request.prompt.size());
  FB_CHECK(length < options_.max_sequence_tokens, "expected a prompt shorter than {} tokens, got {}", options_.max_sequence_tokens, length);
  FB_CHECK(request.max_tokens >= 1, "max_tokens: expected at least 1, got {}", request.max_tokens);
  FB_CHECK(request.sampling.min_tokens <= request.max_tokens, "min_tokens: expected at most max_tokens {}, got {}", request.max_tokens,
           request.sampling.min_tokens);
  FB_CHECK(request.top_logprobs >= 0 && request.top_logprobs <= kMostTopLogprobs, "top_logprobs: expected 0 to {}, got {}",
           kMostTopLogprobs, request.top_logprobs);
  request.max_tokens = std::min(request.max_tokens, options_.max_sequence_tokens - length);
  ActiveRequest active;
  active.id = next_id_;
  active.tokens = request.prompt;
  active.request = std::move(request);
  scheduler_.add(std::move(active));
  return next_id_++;
}

int64_t Engine::cached_tokens(int64_t request_id) const {
  const ActiveRequest* active = scheduler_.find(request_id);
  return active ? active->cached : 0;
}

std::vector<TokenEvent> Engine::step() {
  const at::NoGradGuard no_grad;
  if (std::exchange(weights_stamp_, *model_.parameters().stamp()) != *model_.parameters().stamp()) {
    if (disk_) disk_->set_fingerprint(cache_fingerprint(model_, cache_, model_.fingerprint()));
    scheduler_.weights_changed();
  }
  std::vector<ScheduledRows> step = scheduler_.next_step(speculation_.wanted(scheduler_.decoding()));
  std::vector<TokenEvent> events;
  if (step.empty()) return events;
  try {
    const Timer timer;
    const double decoding = decoding_share(step);
    const auto count_seconds = [&](double seconds) {
      metrics_.decode_seconds += seconds * decoding, metrics_.prefill_seconds += seconds * (1 - decoding);
    };
    speculation_.draft(step);
    const std::vector<RowsOut> out = forward(step);
    count_seconds(timer.seconds());
    for (size_t b = 0; b < step.size(); ++b) advance(step[b], out[b], events);
    speculation_.learn(step, timer.seconds(), int64_t(events.size()));
    const Timer filling;
    speculation_.fill_pages(step);
    for (const ScheduledRows& scheduled : step) scheduler_.keep(*scheduled.active);
    count_seconds(filling.seconds());
  } catch (const std::exception& e) {
    events.clear();
    for (const ScheduledRows& scheduled : step) events.push_back(failed(scheduled.active->id, e));
  }
  for (const TokenEvent& event : events) {
    if (event.finish != FinishReason::kNone) scheduler_.remove(event.request_id);
    metrics_.generated_tokens += event.token >= 0;
    metrics_.failed += event.finish == FinishReason::kError;
  }
  return events;
}

// Counts a step; the share of its seconds that sequences took which decode, as their tokens will be.
double Engine::decoding_share(const std::vector<ScheduledRows>& step) {
  int64_t rows = 0, decoding = 0;
  for (const ScheduledRows& scheduled : step) {
    const int64_t all = scheduled.rows + scheduled.draft_room;
    rows += all;
    if (scheduled.active->generated > 0 && scheduled.rows == 1) decoding += all;
  }
  ++metrics_.steps;
  metrics_.prefill_rows += rows - decoding;
  return double(decoding) / double(rows);
}

EngineMetrics Engine::metrics() const {
  EngineMetrics now = metrics_;
  now.preemptions = scheduler_.preemptions(), now.running = scheduler_.running(), now.waiting = scheduler_.waiting();
  now.drafted = speculation_.drafted(), now.accepted = speculation_.accepted();
  now.pages = scheduler_.pages(), now.pages_used = scheduler_.pages_used(), now.pages_cached = scheduler_.pages_cached();
  return now;
}

std::vector<Engine::RowsOut> Engine::forward(const std::vector<ScheduledRows>& step) {
  ForwardOptions options;
  options.algebra = MlaAlgebra::kAbsorbed;
  options.cache = &cache_;
  const at::Tensor hidden_TD = model_.forward(step_batch(step, model_.device()), options);
  const auto rows_of_step = [&](const std::vector<int64_t>& rows) {
    return hidden_TD.index_select(0, at::tensor(rows, at::kLong).to(hidden_TD.device()));
  };
  std::vector<int64_t> ends, drawing;
  for (int64_t first = 0; const ScheduledRows& scheduled : step) {
    const int64_t next = first + scheduled.all_rows();
    for (int64_t row = first + scheduled.rows - 1; row < next; ++row) {
      ends.push_back(row);
      if (scheduled.draws()) drawing.push_back(row);
    }
    first = next;
  }
  const at::Tensor ends_ED = rows_of_step(ends).to(at::kCPU).contiguous();
  at::Tensor logits_EW;
  if (!drawing.empty()) logits_EW = model_.logits(rows_of_step(drawing)).to(at::kCPU).contiguous();
  std::vector<RowsOut> out;
  for (int64_t row = 0, end = 0, drawn = 0; const ScheduledRows& scheduled : step) {
    const int64_t all = scheduled.all_rows(), count = all - scheduled.rows + 1;
    out.push_back({hidden_TD.narrow(0, row, all), ends_ED.narrow(0, end, count), {}});
    if (scheduled.draws()) out.back().logits_EW = logits_EW.narrow(0, drawn, count), drawn += count;
    row += all, end += count;
  }
  return out;
}

// What a sequence's rows of the step bring it; an error of its own is its last event.
void Engine::advance(const ScheduledRows& scheduled, const RowsOut& out, std::vector<TokenEvent>& events) {
  ActiveRequest& active = *scheduled.active;
  try {
    check_finite(row_of(out.ends_ED, 0));
    const at::Tensor hidden_TD = out.hidden_TD.narrow(0, 0, scheduled.rows);
    if (active.request.prompt_logprobs) score_prompt(active, hidden_TD);
    speculation_.record(active, hidden_TD);
    active.cached += scheduled.rows;
    if (out.logits_EW.defined()) draw(scheduled, out, events);
  } catch (const std::exception& e) {
    events.push_back(failed(active.id, e));
  }
}

// A token, and one more behind each draft that equals the token before it: then the row of that draft is the one that a step without drafts would
// have computed next.
void Engine::draw(const ScheduledRows& scheduled, const RowsOut& out, std::vector<TokenEvent>& events) {
  ActiveRequest& active = *scheduled.active;
  const int64_t drafts = int64_t(scheduled.drafts.size());
  int64_t accepted = 0;
  bool finished = false;
  for (int64_t row = 0; row <= drafts && accepted == row && !finished; ++row) {
    if (row > 0) check_finite(row_of(out.ends_ED, row));
    events.push_back(sample_next(active, row_of(out.logits_EW, row)));
    finished = events.back().finish != FinishReason::kNone;
    accepted += row < drafts && events.back().token == scheduled.drafts[size_t(row)];
  }
  speculation_.count(drafts, accepted);
  // The last token is not computed, as without drafts: what is cached of a finished answer does not depend on them.
  const int64_t verified = std::min(accepted, int64_t(active.tokens.size()) - active.cached - 1);
  speculation_.record(active, out.hidden_TD.narrow(0, scheduled.rows, verified));
  active.cached += verified;
}

// Rows of the prompt whose next token is not scored yet: those that are computed again after a preemption are.
void Engine::score_prompt(ActiveRequest& active, const at::Tensor& hidden_TD) {
  const std::vector<int32_t>& prompt = active.request.prompt;
  const int64_t end = std::min(active.cached + hidden_TD.size(0), int64_t(prompt.size()) - 1);
  while (active.scored < end) {
    const int64_t first = active.scored, rows = std::min(kScoredRows, end - first);
    const at::Tensor logits_SW = model_.logits(hidden_TD.narrow(0, first - active.cached, rows)).to(at::kCPU).contiguous();
    for (int64_t row = 0; row < rows; ++row) {
      const std::span<const float> logits = row_of(logits_SW, row);
      const int32_t token = prompt[size_t(first + row + 1)];
      active.prompt_logprobs.push_back({{token, finite_logprob(logits, token)}, top_logprobs(logits, active.request.top_logprobs)});
      ++active.scored;
    }
  }
}

TokenEvent Engine::sample_next(ActiveRequest& active, std::span<const float> logits) {
  const Request& request = active.request;
  const int64_t position = int64_t(active.tokens.size());
  TokenEvent event;
  event.request_id = active.id;
  if (adjusts_logits(request, active.generated)) {
    std::vector<float> adjusted(logits.begin(), logits.end());
    adjust_logits(adjusted, request, active.tokens, active.generated);
    event.token = sample(adjusted, request.sampling, request.key, position).token;
    event.logprob = finite_logprob(logits, event.token);
  } else {
    const SampledToken sampled = sample(logits, request.sampling, request.key, position);
    event.token = sampled.token, event.logprob = sampled.logprob;
  }
  if (request.top_logprobs > 0) event.top_logprobs = top_logprobs(logits, request.top_logprobs);
  event.prompt_logprobs = std::exchange(active.prompt_logprobs, {});
  if (active.generated == 0) {
    event.cache = active.receipt;
    const int64_t found = event.cache->memory_tokens + event.cache->disk_tokens;
    event.cache->seconds_saved = double(found) * metrics_.prefill_seconds / double(std::max<int64_t>(metrics_.prefill_rows, 1));
    metrics_.prompt_tokens += int64_t(request.prompt.size()), metrics_.hit_tokens += found;
  }
  active.tokens.push_back(event.token);
  ++active.generated;
  if (std::find(request.stop_ids.begin(), request.stop_ids.end(), event.token) != request.stop_ids.end()) {
    event.finish = FinishReason::kStop;
  } else if (active.generated >= request.max_tokens) {
    event.finish = FinishReason::kLength;
  }
  return event;
}

std::vector<TokenEvent> generate(Engine& engine, Request request) {
  FB_ASSERT(engine.idle(), "generate runs its request alone");
  std::vector<TokenEvent> events;
  engine.submit(std::move(request));
  while (!engine.idle()) {
    for (TokenEvent& event : engine.step()) {
      if (event.finish == FinishReason::kError) throw Error(event.error);
      events.push_back(std::move(event));
    }
  }
  return events;
}

}  // namespace finback
