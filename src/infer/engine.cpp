#include "infer/engine.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "infer/sampler.h"

namespace finback {
namespace {

EngineOptions resolve(EngineOptions options, const ModelConfig& config) {
  const int64_t limit = config.max_position_embeddings;
  if (options.max_sequence_tokens <= 0) options.max_sequence_tokens = limit;
  FB_CHECK(options.max_sequence_tokens <= limit, "expected at most {} tokens per sequence (max_position_embeddings), got {}", limit,
           options.max_sequence_tokens);
  FB_CHECK(options.prefill_chunk > 0, "prefill_chunk: expected more than 0, got {}", options.prefill_chunk);
  return options;
}

int64_t pages_for(int64_t tokens) { return (tokens + kPageTokens - 1) / kPageTokens; }

}  // namespace

Engine::Engine(Transformer& model, const EngineOptions& options)
    : model_(model),
      options_(resolve(options, model.config())),
      cache_(model.config(), pages_for(options_.max_sequence_tokens), model.device()),
      pages_(pages_for(options_.max_sequence_tokens)) {}

int64_t Engine::submit(Request request) {
  check_sampling(request.sampling);
  FB_CHECK(!request.prompt.empty(), "expected a prompt of at least one token");
  const int64_t vocabulary = model_.config().vocab_size;
  for (const int32_t id : request.prompt) {
    FB_CHECK(id >= 0 && id < vocabulary, "expected token ids from 0 to {}, got {}", vocabulary - 1, id);
  }
  for (const int32_t id : request.stop_ids) {
    FB_CHECK(id >= 0 && id < vocabulary, "stop_ids: expected token ids from 0 to {}, got {}", vocabulary - 1, id);
  }
  const int64_t length = int64_t(request.prompt.size());
  FB_CHECK(length < options_.max_sequence_tokens, "expected a prompt shorter than {} tokens, got {}", options_.max_sequence_tokens, length);
  FB_CHECK(request.max_tokens >= 1, "max_tokens: expected at least 1, got {}", request.max_tokens);
  request.max_tokens = std::min(request.max_tokens, options_.max_sequence_tokens - length);
  Running running;
  running.id = next_id_++;
  running.tokens = request.prompt;
  running.request = std::move(request);
  waiting_.push_back(std::move(running));
  return waiting_.back().id;
}

std::vector<TokenEvent> Engine::step() {
  if (waiting_.empty()) return {};
  try {
    return advance(waiting_.front());
  } catch (...) {
    drop_front();
    throw;
  }
}

std::vector<TokenEvent> Engine::advance(Running& running) {
  const at::NoGradGuard no_grad;
  const Batch batch = next_batch(running);
  ForwardOptions forward;
  forward.algebra = MlaAlgebra::kAbsorbed;
  forward.cache = &cache_;
  const at::Tensor hidden_TD = model_.forward(batch, forward);
  running.cached += batch.tokens();
  if (running.cached < int64_t(running.tokens.size())) return {};  // more of the prompt to read
  const TokenEvent event = sample_next(running, hidden_TD);
  if (event.finish != FinishReason::kNone) drop_front();
  return {event};
}

// The next chunk of tokens that are not in the cache yet: keys are what is cached, then the chunk itself.
Batch Engine::next_batch(Running& running) {
  const int64_t rows = std::min(options_.prefill_chunk, int64_t(running.tokens.size()) - running.cached);
  while (int64_t(running.pages.size()) < pages_for(running.cached + rows)) {
    const auto page = pages_.allocate();
    FB_ASSERT(page.has_value(), "one sequence never needs more pages than the cache has");
    running.pages.push_back(*page);
  }
  Batch batch;
  const auto on_cpu = at::TensorOptions().dtype(at::kLong);
  at::Tensor tokens_T = at::empty({rows}, on_cpu), positions_T = at::empty({rows}, on_cpu);
  for (int64_t row = 0; row < rows; ++row) {
    tokens_T.mutable_data_ptr<int64_t>()[row] = running.tokens[size_t(running.cached + row)];
    positions_T.mutable_data_ptr<int64_t>()[row] = running.cached + row;
  }
  batch.tokens_T = tokens_T.to(model_.device());
  batch.positions_T = positions_T.to(model_.device());
  Sequence sequence;
  sequence.rows = rows;
  sequence.pages = running.pages;
  sequence.cached_tokens = running.cached;
  if (running.cached > 0) sequence.keys.push_back({KeySegment::Where::kCache, 0, running.cached});
  sequence.keys.push_back({KeySegment::Where::kBatch, 0, rows});
  batch.sequences.push_back(std::move(sequence));
  return batch;
}

TokenEvent Engine::sample_next(Running& running, const at::Tensor& hidden_TD) {
  const at::Tensor logits_1W = model_.logits(hidden_TD.slice(0, hidden_TD.size(0) - 1)).to(at::kCPU).contiguous();
  const std::span<const float> logits(logits_1W.const_data_ptr<float>(), size_t(logits_1W.size(1)));
  const SampledToken sampled = sample(logits, running.request.sampling, int64_t(running.tokens.size()));
  running.tokens.push_back(sampled.token);
  ++running.generated;
  TokenEvent event{running.id, sampled.token, sampled.logprob, FinishReason::kNone};
  const auto& stops = running.request.stop_ids;
  if (std::find(stops.begin(), stops.end(), sampled.token) != stops.end()) {
    event.finish = FinishReason::kStop;
  } else if (running.generated >= running.request.max_tokens) {
    event.finish = FinishReason::kLength;
  }
  return event;
}

void Engine::release(Running& running) {
  for (const int32_t page : running.pages) pages_.release(page);
  running.pages.clear();
}

void Engine::drop_front() {
  release(waiting_.front());
  waiting_.pop_front();
}

void Engine::cancel(int64_t request_id) {
  for (auto it = waiting_.begin(); it != waiting_.end(); ++it) {
    if (it->id != request_id) continue;
    release(*it);
    waiting_.erase(it);
    return;
  }
}

std::vector<TokenEvent> generate(Engine& engine, Request request) {
  FB_ASSERT(engine.idle(), "generate runs its request alone");
  std::vector<TokenEvent> events;
  const int64_t id = engine.submit(std::move(request));
  while (events.empty() || events.back().finish == FinishReason::kNone) {
    for (const TokenEvent& event : engine.step()) {
      if (event.request_id == id) events.push_back(event);
    }
  }
  return events;
}

}  // namespace finback
