// The files beside tokenizer.json that name tokens: tokenizer_config.json (bos_token, eos_token and every other ..._token, lists of special
// tokens, added_tokens_decoder), special_tokens_map.json, added_tokens.json. Read whole: a token that only they know joins the vocabulary, as
// in transformers, and a token of which two files say different things is an error. Pure functions.
#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/added_tokens.h"
#include "tokenizer/bpe_model.h"

namespace finback {

// A token that a file gives an id.
struct NumberedToken {
  AddedToken token;  // its id is set
  bool flags_given;  // added_tokens.json has ids alone
  std::string file;
};

struct TokenizerConfig {
  std::optional<std::string> bos_token, eos_token;
  bool add_bos_token = false, add_eos_token = false;
  std::vector<NumberedToken> numbered = {};
  std::vector<AddedToken> special = {};  // named as special, in the order of the files; without an id, which they may have elsewhere
};

// Each reads one file's text into `config`; `file` (a path) starts every message. Throws Error.
void read_tokenizer_config(std::string_view text, const std::string& file, TokenizerConfig& config);
void read_special_tokens_map(std::string_view text, const std::string& file, TokenizerConfig& config);
void read_added_tokens_file(std::string_view text, const std::string& file, TokenizerConfig& config);
// Those of the folder that exist.
TokenizerConfig read_side_files(const std::filesystem::path& folder);
// Their names, and tokenizer.json's: what a copy of a tokenizer consists of.
const std::vector<std::string>& tokenizer_file_names();

// What the side files add to tokenizer.json's tokens: new ones in the order of their ids, those without one last; known ones that another file
// calls special. Throws Error where a file contradicts tokenizer.json (`where`) or another file.
std::vector<AddedToken> tokens_beside(const TokenizerConfig& config, const AddedTokens& known, const BpeModel& model,
                                      const std::string& where);

}  // namespace finback
