#include "cli/sample_text.h"

#include "generate/generate_text.h"

namespace finback {

std::string sample_text(const SampleRequest& ask) {
  const Tokenizer tokenizer = Tokenizer::load(ask.tokenizer_folder);
  return continue_text(ask.model, tokenizer, ask.prompt, ask.tokens, {.temperature = 0.8, .top_p = 0.95}, {.seed = ask.seed});
}

}  // namespace finback
