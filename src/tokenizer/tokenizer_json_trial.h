// What the fuzz target and its replay do with a file: load it, encode and decode a little. Only Error may come out of it, and is the
// expected answer to most files. Not used by the program.
#pragma once
#include <string_view>

#include "base/error.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/tokenizer_json.h"

namespace finback {

inline void try_tokenizer_json(std::string_view text) {
  try {
    const Tokenizer tokenizer(parse_tokenizer_json(text, "file"), {}, "file");
    for (const std::string_view sample : {"", "ab  ba 12345 it's\r\n\n <x>", "e\u0301\u4F60\u3042 \U0001F642\xFF",
                                          "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab"}) {
      const std::vector<int32_t> ids = tokenizer.encode(sample, true);
      const std::string whole = tokenizer.decode(ids);
      StreamDecoder decoder(tokenizer, false);
      std::string streamed;
      for (const int32_t id : ids) streamed += decoder.push(id);
      FB_ASSERT(streamed + decoder.finish() == whole, "streaming decodes as decode() does");
    }
  } catch (const Error&) {
  }
}

}  // namespace finback
