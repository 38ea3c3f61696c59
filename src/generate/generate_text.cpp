#include "generate/generate_text.h"

#include <optional>
#include <utility>

#include "base/error.h"
#include "base/progress.h"
#include "base/timer.h"
#include "generate/conversation.h"

namespace finback {

namespace {

// Whatever ends an answer, also an error of who is given the text, leaves the engine idle.
struct CancelledAtTheEnd {
  Engine& engine;
  int64_t id;
  ~CancelledAtTheEnd() { engine.cancel(id); }
};

}  // namespace

TimedAnswer generate_text(Engine& engine, const Tokenizer* tokenizer, Request request, const TextOptions& options,
                          const std::function<void(std::string_view)>& on_text, const std::function<bool()>& stop) {
  FB_ASSERT(engine.idle(), "generate_text runs its request alone");
  TimedAnswer timed;
  AnswerStream stream(tokenizer, int64_t(request.prompt.size()), options);
  std::optional<Progress> progress;
  progress.emplace("reading the prompt", double(request.prompt.size()), "tokens");
  const double most = double(request.max_tokens);
  const CancelledAtTheEnd submitted{engine,
                                    engine.submit(std::move(request))};  // a stop string ends an answer that the engine would go on with
  while (!stream.finished() && !(stop && stop())) {
    const Timer timer;
    const std::vector<TokenEvent> events = engine.step();
    const bool first = stream.answer().ids.empty();
    (first ? timed.prefill_seconds : timed.decode_seconds) += timer.seconds();
    if (first && events.empty()) progress->update(double(engine.cached_tokens(submitted.id)));
    if (first && !events.empty()) {
      progress->vanish();
      progress.reset();
      if (!on_text) progress.emplace("answering", most, "tokens");
    }
    for (const TokenEvent& event : events) {
      if (stream.finished()) break;  // tokens behind a stop string, which a step without drafts would not have made
      if (event.finish == FinishReason::kError) throw Error(event.error);
      const std::string text = stream.push(event);
      if (on_text && !text.empty()) on_text(text);
    }
    if (progress && !events.empty()) progress->update(double(stream.answer().ids.size()));
  }
  if (progress) progress->vanish();
  timed.answer = stream.answer();
  return timed;
}

std::string continue_text(Transformer& model, const Tokenizer& tokenizer, std::string_view prompt, int64_t tokens,
                          const SamplingParams& sampling, const SampleKey& key) {
  Request request;
  request.prompt = text_prompt(tokenizer, prompt);
  const int64_t room = model.config().max_position_embeddings - tokens, surplus = int64_t(request.prompt.size()) - room;
  if (surplus > 0) request.prompt.erase(request.prompt.begin(), request.prompt.begin() + surplus);
  request.max_tokens = tokens;
  request.sampling = sampling;
  request.key = key;
  Engine engine(model, {.max_sequence_tokens = int64_t(request.prompt.size()) + tokens, .speculative_tokens = 0});
  return generate_text(engine, &tokenizer, std::move(request), {.skip_special_tokens = false}).answer.text;
}

}  // namespace finback
