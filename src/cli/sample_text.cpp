#include "cli/sample_text.h"

#include "infer/engine.h"
#include "tokenizer/tokenizer.h"

namespace finback {

std::string sample_text(const SampleRequest& ask) {
  const Tokenizer tokenizer = Tokenizer::load(ask.tokenizer_folder);
  Request request;
  request.prompt = tokenizer.encode(ask.prompt, /*add_special=*/true);
  // A long prompt gives way to the sample: its end is kept.
  const int64_t limit = ask.model.config().max_position_embeddings, room = limit - ask.tokens;
  if (const int64_t length = int64_t(request.prompt.size()); length > room)
    request.prompt.erase(request.prompt.begin(), request.prompt.begin() + (length - room));
  request.max_tokens = ask.tokens;
  request.sampling = {.temperature = 0.8, .top_p = 0.95, .seed = ask.seed};
  EngineOptions options;
  options.max_sequence_tokens = int64_t(request.prompt.size()) + ask.tokens;
  Engine engine(ask.model, options);
  std::vector<int32_t> ids;
  for (const TokenEvent& event : generate(engine, request)) ids.push_back(event.token);
  return tokenizer.decode(ids);
}

}  // namespace finback
