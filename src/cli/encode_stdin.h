// finback tokenizer encode and decode: standard input to standard output, with progress where either is long.
#pragma once
#include "tokenizer/tokenizer.h"

namespace finback {

// All of standard input as one text to one line of ids; jsonl: a JSON string a line to a list of ids a line. Throws Error for a line that is none.
void encode_stdin(const Tokenizer& tokenizer, const EncodeOptions& options, bool jsonl);
// Ids apart by blanks to a text; jsonl: a list of ids a line to a JSON string a line. Throws Error for an id without a token.
void decode_stdin(const Tokenizer& tokenizer, bool skip_special, bool jsonl);

}  // namespace finback
