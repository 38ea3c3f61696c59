#include "generate/generate_text.h"

#include <utility>

#include "base/error.h"
#include "base/timer.h"
#include "generate/conversation.h"

namespace finback {

TimedAnswer generate_text(Engine& engine, const Tokenizer* tokenizer, Request request, const TextOptions& options,
                          const std::function<void(std::string_view)>& on_text) {
  FB_ASSERT(engine.idle(), "generate_text runs its request alone");
  TimedAnswer timed;
  AnswerStream stream(tokenizer, int64_t(request.prompt.size()), options);
  const int64_t id = engine.submit(std::move(request));
  while (!stream.finished()) {
    const Timer timer;
    const std::vector<TokenEvent> events = engine.step();
    (stream.answer().ids.empty() ? timed.prefill_seconds : timed.decode_seconds) += timer.seconds();
    for (const TokenEvent& event : events) {
      const std::string text = stream.push(event);
      if (on_text && !text.empty()) on_text(text);
    }
  }
  engine.cancel(id);  // a stop string ends an answer that the engine would go on with
  timed.answer = stream.answer();
  return timed;
}

std::string continue_text(Transformer& model, const Tokenizer& tokenizer, std::string_view prompt, int64_t tokens,
                          const SamplingParams& sampling) {
  Request request;
  request.prompt = text_prompt(tokenizer, prompt);
  const int64_t room = model.config().max_position_embeddings - tokens, surplus = int64_t(request.prompt.size()) - room;
  if (surplus > 0) request.prompt.erase(request.prompt.begin(), request.prompt.begin() + surplus);
  request.max_tokens = tokens;
  request.sampling = sampling;
  Engine engine(model, {.max_sequence_tokens = int64_t(request.prompt.size()) + tokens});
  return generate_text(engine, &tokenizer, std::move(request), {.skip_special_tokens = false}).answer.text;
}

}  // namespace finback
