// What the engine is asked for and what it answers: token ids, sampling parameters, a token budget; events. Plain data; knows no text, no JSON.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace finback {

// Applied in this order: logit_bias, repetition_penalty, frequency_penalty and presence_penalty, min_tokens, then the filters of
// kernels/token_sampling.h. Names and ranges are OpenAI's where it has the field.
struct SamplingParams {
  double temperature = 1.0;         // 0: greedy, the lowest id wins a tie
  int64_t top_k = 0;                // 0: off
  double top_p = 1.0;               // smallest set whose probability reaches top_p
  double min_p = 0.0;               // keep tokens with p >= min_p * p_max
  double repetition_penalty = 1.0;  // CTRL's: logits of tokens of prompt and answer are divided by it, negative ones multiplied; 1: off
  double frequency_penalty = 0.0;   // subtracted for each time that the answer has the token, -2 to 2
  double presence_penalty = 0.0;    // subtracted once when the answer has the token, -2 to 2
  int64_t min_tokens = 0;           // stop ids cannot be drawn before the answer has so many
  std::vector<std::pair<int32_t, double>> logit_bias = {};  // id, what is added to its logit (-100 to 100); each id once
};
// Throws Error for a value out of range (negative temperature, top_p outside (0, 1], ...).
void check_sampling(const SamplingParams& params);

// With the position of the token it keys each draw, and nothing else does: same request, same tokens, in any batch. a and b are the caller's:
// (choice, 0) of a server, (step, sample) of reinforcement learning.
struct SampleKey {
  uint64_t seed = 0;
  uint32_t a = 0, b = 0;
};

// Constrained decoding: narrows the ids that may come behind the new tokens so far. allowed_W is all ones; whoever sets an entry to zero forbids
// the id. Called on the engine's thread; a throw fails its request alone, and so does a row of zeros. With drafts it is also asked behind tokens that
// are then not drawn, and twice behind one: it is a function of `generated` alone.
using TokenMask = std::function<void(std::span<const int32_t> generated, std::span<uint8_t> allowed_W)>;

struct Request {
  std::vector<int32_t> prompt = {};    // at least one token
  int64_t max_tokens = 256;            // new tokens
  std::vector<int32_t> stop_ids = {};  // generation ends after one of these (it is reported)
  SamplingParams sampling = {};
  SampleKey key = {};
  int64_t top_logprobs = 0;      // 0 to 20: so many of the best tokens beside each one that is reported
  bool prompt_logprobs = false;  // score the prompt, too
  TokenMask mask = {};           // may be empty
  // Requests of one namespace share what they have in common; no request can tell what another namespace holds.
  std::string cache_namespace = {};
};

enum class FinishReason { kNone, kStop, kLength, kError };

// Log softmax of the model's raw logits (temperature 1, nothing adjusted, nothing cut).
struct TokenLogprob {
  int32_t token = 0;
  float logprob = 0;
};
// A token of the prompt given those before it.
struct PromptLogprob {
  TokenLogprob token;
  std::vector<TokenLogprob> top = {};  // the best tokens of its place, best first
};

// Why not more of a prompt was found in the prefix cache.
enum class MissReason { kNone, kFirstSeen, kDiverged, kEvicted, kOtherWeights, kTooShort };
struct CacheMiss {
  MissReason reason = MissReason::kNone;  // kNone: all was found that can be
  int64_t at = 0;                         // first token of the prompt that was not; diverged: the first that differs
};
// What the prefix cache did for a request. memory_tokens + disk_tokens + computed_tokens is the prompt.
struct CacheReceipt {
  int64_t memory_tokens = 0, disk_tokens = 0, computed_tokens = 0;
  int64_t bytes_read = 0;    // from the disk
  double seconds_saved = 0;  // at the rate at which this engine has read prompts so far
  CacheMiss miss;
};

// One new token of a request, or its failure.
struct TokenEvent {
  int64_t request_id = 0;
  int32_t token = -1;  // -1: none, with kError
  float logprob = 0;   // as in TokenLogprob
  FinishReason finish = FinishReason::kNone;
  std::string error = {};                           // what failed, in one line, with kError
  std::vector<TokenLogprob> top_logprobs = {};      // best first
  std::vector<PromptLogprob> prompt_logprobs = {};  // with the first new token: of prompt tokens 1, 2, ... (nothing stands before token 0)
  std::optional<CacheReceipt> cache = {};           // with the first new token
};

}  // namespace finback
