// How fast a tokenizer encodes and decodes.
#pragma once
#include <string>
#include <vector>

#include "base/json.h"
#include "tokenizer/tokenizer.h"

namespace finback {

// Rates of encoding the texts side by side, all of them as one, and of decoding; whether text and ids round-trip. REQUIRES: some text.
Json bench_tokenizer(const Tokenizer& tokenizer, const std::vector<std::string>& texts);

}  // namespace finback
