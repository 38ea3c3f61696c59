// Token ids in, token ids out: continuous batching. Each step is one Transformer::forward over the rows that the scheduler chose, of many
// requests, over the latent cache; then one draw for each sequence that is up to date. Knows no text and no JSON. What a request answers does
// not depend on its neighbours, on how its prompt was cut into steps, on its pages, or on being preempted (docs/serving.md, Identity).
// One thread. Runs under NoGrad (not InferenceMode: latents of rollouts enter training later).
#pragma once
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "infer/scheduler.h"
#include "infer/speculation.h"
#include "model/transformer.h"

namespace finback {

struct EngineOptions {
  int64_t max_sequence_tokens = 0;       // prompt + new tokens; 0: the model's max_position_embeddings
  int64_t step_tokens = 512;             // as SchedulerOptions
  int64_t max_sequences = 16;            // as SchedulerOptions
  int64_t max_waiting = 0;               // as SchedulerOptions
  int64_t cache_bytes = 0;               // of the KV cache, the prefix cache included; 0: what one sequence of max_sequence_tokens takes
  bool prefix_cache = true;              // as SchedulerOptions
  DiskCache* disk_cache = nullptr;       // the tier behind the prefix cache, outlives the engine; may be null
  std::string weights_fingerprint = {};  // Transformer::fingerprint() of the model, for the disk tier; empty: the engine takes it
  int64_t speculative_tokens = 0;        // drafts of a sequence in a step; -1: as many as pay, up to the model's MTP modules
};

// What an engine has done and what it holds: plain counters.
struct EngineMetrics {
  int64_t steps = 0;
  int64_t prompt_tokens = 0, hit_tokens = 0;  // of requests that got their first token: all of their prompts, those found in the cache
  int64_t generated_tokens = 0, failed = 0;   // tokens drawn; requests that ended with kError
  int64_t preemptions = 0, running = 0, waiting = 0;
  int64_t pages = 0, pages_used = 0, pages_cached = 0;  // of the KV cache; those of sequences; those that the prefix cache knows
  double prefill_seconds = 0, decode_seconds = 0;       // in forward passes, shared by rows
  int64_t prefill_rows = 0;                             // computed, those after a preemption included
  std::vector<int64_t> drafted, accepted;  // by position behind the last token: drafts verified, and those of them that were drawn
};

class Engine {
 public:
  // `model` outlives the engine. Throws Error for options out of range and a cache without room for a page.
  Engine(Transformer& model, const EngineOptions& options);
  // Validates and queues; returns the request's id. max_tokens is cut to what fits behind the prompt. Throws Error for an empty prompt, ids
  // outside the vocabulary (stop_ids too), a bad parameter, or a prompt that leaves no room for a token in a sequence or in the cache; QueueFull.
  int64_t submit(Request request);
  // Weights that have changed since the last step (Parameters::touch) are those of the next: pages in the prefix cache are worthless then.
  // One forward pass; the new tokens it made, oldest request first (none while prompts are being read; several of one request where drafts were
  // accepted). Does nothing when idle. What fails for one
  // request is its last event (kError), and it alone ends. A forward pass that fails ends all that were in it, each with such an event.
  std::vector<TokenEvent> step();
  bool idle() const { return scheduler_.running() + scheduler_.waiting() == 0; }
  // Tokens of a request whose latents are in the cache: how much of its prompt is read. 0 when it waits or is unknown.
  int64_t cached_tokens(int64_t request_id) const;
  // Ends a request wherever it stands; its pages are free again, at once. Unknown ids are ignored.
  void cancel(int64_t request_id) { scheduler_.remove(request_id); }

  // For whoever watches.
  const Scheduler& scheduler() const { return scheduler_; }
  EngineMetrics metrics() const;

 private:
  // A sequence's part of a step: its pending rows, then those of its drafts.
  struct RowsOut {
    at::Tensor hidden_TD;  // of all of them
    at::Tensor ends_ED;    // on the CPU: of the last pending one and of those behind it
    at::Tensor logits_EW;  // on the CPU: of the same rows, where a token is drawn; else undefined
  };
  std::vector<RowsOut> forward(const std::vector<ScheduledRows>& step);
  void advance(const ScheduledRows& scheduled, const RowsOut& out, std::vector<TokenEvent>& events);
  void draw(const ScheduledRows& scheduled, const RowsOut& out, std::vector<TokenEvent>& events);
  double decoding_share(const std::vector<ScheduledRows>& step);
  void score_prompt(ActiveRequest& active, const at::Tensor& hidden_TD);
  TokenEvent sample_next(ActiveRequest& active, std::span<const float> logits_W);

  Transformer& model_;
  EngineOptions options_;
  KvCache cache_;
  std::unique_ptr<DiskTier> disk_;  // may be null
  Speculation speculation_;
  Scheduler scheduler_;
  EngineMetrics metrics_;  // the counters
  uint64_t weights_stamp_ = 0;
  int64_t next_id_ = 1;
};

// Runs one request to its end: the tokens it produced. Throws Error when it fails. REQUIRES: the engine is idle.
std::vector<TokenEvent> generate(Engine& engine, Request request);

}  // namespace finback
