// What the engine is asked for: token ids in, sampling parameters, a token budget. Plain data; knows no text, no JSON.
#pragma once
#include <cstdint>
#include <vector>

namespace finback {

struct SamplingParams {
  double temperature = 1.0;  // 0: greedy, the lowest id wins a tie
  int64_t top_k = 0;         // 0: off
  double top_p = 1.0;        // smallest set whose probability reaches top_p
  double min_p = 0.0;        // keep tokens with p >= min_p * p_max
  uint64_t seed = 0;         // with the position it keys the draw: same request, same tokens, in any batch
};
// Throws Error for a value out of range (negative temperature, top_p outside (0, 1], ...).
void check_sampling(const SamplingParams& params);

struct Request {
  std::vector<int32_t> prompt;    // at least one token
  int64_t max_tokens = 256;       // new tokens
  std::vector<int32_t> stop_ids;  // generation ends after one of these (it is reported)
  SamplingParams sampling;
};

enum class FinishReason { kNone, kStop, kLength };

// One new token of a request.
struct TokenEvent {
  int64_t request_id = 0;
  int32_t token = 0;
  float logprob = 0;  // log softmax of the model's raw logits (temperature 1, nothing cut)
  FinishReason finish = FinishReason::kNone;
};

}  // namespace finback
