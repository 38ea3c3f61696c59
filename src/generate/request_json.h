// What a JSON object asks of a model: sampling fields under OpenAI's names, over the defaults of a folder and of flags. Ids, no text: who reads a
// body takes prompt or messages out of it. Pure functions, any thread.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"
#include "infer/request.h"

namespace finback {

struct AskedSampling {
  Request request;                // all but the prompt; stop_ids are those that the request names, key.a is the choice's
  std::vector<std::string> stop;  // texts that end an answer
  bool ignore_eos = false;        // the folder's stop ids do not end it; what the request names does
  bool seed_given = false;
  int64_t n = 1;  // answers
};

// The names that read_sampling knows: max_tokens, temperature, top_p, top_k, min_p, presence_penalty, frequency_penalty, repetition_penalty,
// logit_bias, seed, stop, stop_token_ids, ignore_eos, min_tokens, n, logprobs, top_logprobs.
bool is_sampling_field(const std::string& name);
std::string sampling_fields();  // their names, to be shown
// Fields of the object over `defaults`; others are not looked at, null is absent. Throws Error that names the field.
AskedSampling read_sampling(const Json& object, AskedSampling defaults);

}  // namespace finback
