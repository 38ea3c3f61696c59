// libFuzzer target for tokenizer.json: loads a file, encodes and decodes a little. Only Error may come out of it, and is the expected answer
// to most files. Seeds, and what it finds: tests/golden/fuzz/tokenizer_json_fuzz.
#include <string_view>

#include "base/error.h"
#include "tokenizer/side_files.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/tokenizer_json.h"

namespace finback {
namespace {

void try_tokenizer_json(std::string_view text) {
  try {
    const Tokenizer tokenizer(parse_tokenizer_json(text, "file"), {}, "file");
    for (const std::string_view sample : {"", "ab  ba 12345 it's\r\n\n <x>", "e\u0301\u4F60\u3042 \U0001F642\xFF",
                                          "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab"}) {
      const std::vector<int32_t> ids = tokenizer.encode(sample, {.add_special = true, .control_tokens = sample.size() % 2 == 0});
      const std::string whole = tokenizer.decode(ids);
      StreamDecoder decoder(tokenizer, false);
      std::string streamed;
      for (const int32_t id : ids) streamed += decoder.push(id);
      FB_ASSERT(streamed + decoder.finish() == whole, "streaming decodes as decode() does");
    }
  } catch (const Error&) {
  }
}

}  // namespace
}  // namespace finback

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  finback::try_tokenizer_json({reinterpret_cast<const char*>(data), size});
  return 0;
}
