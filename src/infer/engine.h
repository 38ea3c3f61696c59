// Token ids in, token ids out: admits requests, runs Transformer::forward over the latent cache, samples. Batch size 1 for now: requests
// wait in order of arrival and run one after the other; each step is one chunk of a prompt or one new token. Knows no text and no JSON.
// One thread. Runs under NoGrad (not InferenceMode: latents of rollouts enter training later).
#pragma once
#include <deque>
#include <memory>
#include <vector>

#include "infer/page_allocator.h"
#include "infer/request.h"
#include "model/transformer.h"

namespace finback {

struct EngineOptions {
  int64_t max_sequence_tokens = 0;  // prompt + new tokens; 0: the model's max_position_embeddings
  int64_t prefill_chunk = 512;      // prompt tokens a step
};

class Engine {
 public:
  // `model` outlives the engine.
  Engine(Transformer& model, const EngineOptions& options);
  // Validates and queues; returns the request's id. max_tokens is cut to what fits behind the prompt. Throws Error for an empty prompt, ids
  // outside the vocabulary (stop_ids too), a bad parameter, or a prompt that leaves no room for a token.
  int64_t submit(Request request);
  // One forward pass; the new tokens it made (none while a prompt is being read). Does nothing when idle. A throw fails the request that
  // was running, and it alone: it is dropped, its pages are free, and the next step goes on with the request behind it.
  std::vector<TokenEvent> step();
  bool idle() const { return waiting_.empty(); }
  // Tokens of the running request whose latents are in the cache: how much of its prompt is read. 0 when idle.
  int64_t cached_tokens() const { return waiting_.empty() ? 0 : waiting_.front().cached; }
  // Drops a request wherever it stands; its pages are free again. Unknown ids are ignored.
  void cancel(int64_t request_id);

 private:
  struct Running {
    int64_t id = 0;
    Request request;
    std::vector<int32_t> tokens;  // prompt, then new tokens
    std::vector<int32_t> pages;
    int64_t cached = 0;  // tokens whose latents are in the pages
    int64_t generated = 0;
  };
  std::vector<TokenEvent> advance(Running& running);
  Batch next_batch(Running& running);
  TokenEvent sample_next(Running& running, const at::Tensor& hidden_TD);
  void release(Running& running);
  void drop_front();

  Transformer& model_;
  EngineOptions options_;
  KvCache cache_;
  PageAllocator pages_;
  std::deque<Running> waiting_;  // the front one is running
  int64_t next_id_ = 1;
};

// Runs one request to its end: the tokens it produced. REQUIRES: the engine is idle.
std::vector<TokenEvent> generate(Engine& engine, Request request);

}  // namespace finback
