// What a model folder says about sampling and about where an answer ends: generation_config.json beside config.json, read whole. Keys mean what
// they mean to transformers, but for do_sample: without it answers are sampled here (DeepSeek's own files say true) and greedy there. Defaults
// only: what a request asks for comes on top. Knows no flags and no requests. Pure functions, any thread.
#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "infer/request.h"
#include "model/model_config.h"
#include "tokenizer/tokenizer.h"

namespace finback {

struct GenerationConfig {
  SamplingParams sampling;                // temperature, top_p, top_k, min_p; temperature 0 when do_sample is false
  std::vector<int32_t> eos_token_ids;     // "eos_token_id": a number or a list
  std::optional<int64_t> max_new_tokens;  // of an answer
  std::optional<int64_t> max_length;      // of prompt and answer together; max_new_tokens comes first
  std::vector<std::string> stop_strings;  // "stop_strings": a text or a list
  bool do_sample_is_absent = false;       // of a file that is there
  std::vector<std::string> not_followed;  // keys that ask for what is not built: penalties, beams, ...
  // New tokens for a prompt of this length, when the request says nothing: `fallback` where the file says nothing, or a length that the prompt
  // already has.
  int64_t new_tokens(int64_t prompt_tokens, int64_t fallback) const;
};

// A folder without the file has the defaults above; a key that is absent or null has its own. Throws Error for another type than transformers
// writes.
GenerationConfig load_generation_config(const std::filesystem::path& folder);

// Ids that end an answer: the union of config.json's, generation_config.json's, the tokenizer's end-of-text token and those that the request
// names, each once. tokenizer may be null. Throws Error for an id outside the vocabulary; the tokenizer's then cannot come and is left out.
std::vector<int32_t> stop_ids(const ModelConfig& model, const GenerationConfig& generation, const Tokenizer* tokenizer,
                              std::span<const int32_t> requested = {});

}  // namespace finback
