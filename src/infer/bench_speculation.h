// Times decoding with and without drafts of the MTP modules, the ways in turns: so many tokens a second, and how many drafts are accepted. For
// `finback bench decode --speculative-tokens LIST`.
#pragma once
#include <cstdint>
#include <vector>

#include "base/json.h"
#include "model/transformer.h"

namespace finback {

struct SpeculationBench {
  std::vector<int64_t> ways = {0};  // EngineOptions::speculative_tokens, each a way; the first is what the others are compared with
  std::vector<int32_t> text;        // prompts are pieces of it
  int64_t prompt_tokens = 128, new_tokens = 128;
  int64_t batch = 1;    // requests side by side
  int64_t repeats = 5;  // of each way, each with prompts of its own
  double temperature = 0;
};
// {"figure": "speculation", "ways": [{"speculative_tokens", "decode_tokens_per_s", "share_of_first", "prefill_tokens_per_s", "tokens_per_step",
// "acceptance": by position, ...}], ...}. Rates are medians over the repeats, share_of_first that of the quotients within each. One engine a way
// serves all its repeats, so a governor keeps what it learned; its prefix cache is off. Throws Error for a text too short for a prompt, and where two
// ways draw different tokens.
Json bench_speculation(Transformer& model, const SpeculationBench& options);

}  // namespace finback
