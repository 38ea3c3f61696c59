// One answer from an engine that has nothing else to do: `finback generate`, the samples of a training run. Whoever runs several answers in one
// engine has a loop of its own over Engine::step and an AnswerStream for each.
#pragma once
#include <functional>
#include <string>
#include <string_view>

#include "generate/answer_stream.h"
#include "infer/engine.h"

namespace finback {

struct TimedAnswer {
  Answer answer;
  double prefill_seconds = 0, decode_seconds = 0;  // in the engine; the step that makes the first token still reads the prompt
};

// Runs a request to its end; on_text gets the text as it becomes certain. tokenizer may be null: ids alone. Throws what Engine::submit
// throws, and Error for a request that failed; the engine is idle then, too. `stop` is asked before each step: when it says yes the answer ends where it is, without a finish reason. Reading
// the prompt shows its progress, and without on_text the whole does. REQUIRES: the engine is idle.
TimedAnswer generate_text(Engine& engine, const Tokenizer* tokenizer, Request request, const TextOptions& options,
                          const std::function<void(std::string_view)>& on_text = {}, const std::function<bool()>& stop = {});

// Continues a text for exactly `tokens` tokens, in an engine made for it: no stop ids, special tokens are shown. A prompt that leaves no room in
// the model's max_position_embeddings loses its beginning. REQUIRES: tokens below max_position_embeddings.
std::string continue_text(Transformer& model, const Tokenizer& tokenizer, std::string_view prompt, int64_t tokens,
                          const SamplingParams& sampling, const SampleKey& key);

}  // namespace finback
