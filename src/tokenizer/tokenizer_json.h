// tokenizer.json as plain data: everything that a byte-level BPE of the DeepSeek, Llama-3, Qwen and GPT-2 families can say. A component
// that is not supported is refused by its name; nothing is ignored that could change an id of a text.
// Knows nothing of encoding. Pure functions.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/added_tokens.h"
#include "tokenizer/bpe_model.h"
#include "tokenizer/normalizer.h"
#include "tokenizer/pre_tokenizer.h"

namespace finback {

struct TokenizerSpec {
  std::vector<AddedToken> added_tokens;
  std::vector<NormalForm> normalizer;
  std::vector<PreTokenizerStep> pre_tokenizer;
  // What encode(add_special) puts around the text: ids, kText where the text goes. One template a list, the first is the innermost.
  std::vector<std::vector<int32_t>> templates;
  BpeSpec model;
  // Settings of the file that concern how other programs make batches, and that nothing here follows: "truncation", "padding".
  std::vector<std::string> not_followed = {};
};
inline constexpr int32_t kText = -1;

// Reads the JSON text. `where` (a path) starts every message. Throws Error.
TokenizerSpec parse_tokenizer_json(std::string_view text, const std::string& where);

}  // namespace finback
