// What a model folder says about sampling and about where an answer ends: generation_config.json beside config.json, read as transformers reads
// it. Defaults only: what a request asks for comes on top. Knows no flags and no requests. Pure functions, any thread.
#pragma once
#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include "infer/request.h"
#include "model/model_config.h"
#include "tokenizer/tokenizer.h"

namespace finback {

struct GenerationConfig {
  SamplingParams sampling;             // temperature, top_p, top_k, min_p; greedy when do_sample is false
  std::vector<int32_t> eos_token_ids;  // "eos_token_id": a number or a list
};

// A folder without the file has the defaults above; a key that is absent or null has its own. Throws Error for another type than transformers
// writes.
GenerationConfig load_generation_config(const std::filesystem::path& folder);

// Ids that end an answer: the union of config.json's, generation_config.json's and those that the request names, each once. The tokenizer's
// end-of-text token counts where neither file names one. tokenizer may be null. Throws Error for an id outside the vocabulary.
std::vector<int32_t> stop_ids(const ModelConfig& model, const GenerationConfig& generation, const Tokenizer* tokenizer,
                              std::span<const int32_t> requested = {});

}  // namespace finback
