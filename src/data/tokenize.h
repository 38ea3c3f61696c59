// A corpus folder to token shards: the threads of the pool encode documents, one thread writes them in the corpus's order, so the output does not
// depend on the thread count.
//
// Note [Document ends]: a document is [begin-of-text] its tokens [end-of-text], as DeepSeek's tokenizer and chat formats have it: with a begin
// token every byte of text is predicted, with an end token the model learns to stop. What the tokenizer lacks is left out; one token that is
// both stands on both sides. Both have 0 bytes. No other control token is set: text that spells one out stays text, so what a document says
// about <｜User｜> does not begin a turn (Note [Control tokens] in tokenizer/added_tokens.h).
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>

#include "data/token_writer.h"

namespace finback {

struct TokenizeReport {
  TokenWriter::Count train, validation;
  std::string fingerprint;
};

// Writes shards, tokens.json, tokenizer_info.json and the tokenizer's own files into `out`. Throws Error for a folder that is no corpus, a tokenizer
// without begin and end tokens, a text it cannot read, one that is not its manifest's, and an `out` that another process writes into.
TokenizeReport tokenize_corpus(const std::filesystem::path& corpus, const std::filesystem::path& tokenizer_folder,
                               const std::filesystem::path& out);

}  // namespace finback
