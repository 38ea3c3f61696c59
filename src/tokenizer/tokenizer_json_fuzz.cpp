// libFuzzer target for tokenizer.json. Seeds and what it found: tests/golden/fuzz/tokenizer_json.
#include "tokenizer/tokenizer_json_trial.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  finback::try_tokenizer_json({reinterpret_cast<const char*>(data), size});
  return 0;
}
