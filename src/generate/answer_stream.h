// An answer while its tokens come: which text is certain, why it ended, what it used. One object an answer, fed with that answer's TokenEvents
// by whoever runs the engine, so many stand side by side over one engine. Never calls the engine. One thread at a time.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "generate/usage.h"
#include "infer/request.h"
#include "tokenizer/stop_text.h"
#include "tokenizer/tokenizer.h"

namespace finback {

// What a request says about its text.
struct TextOptions {
  std::vector<std::string> stop = {};  // the text ends before the first of these (OpenAI's `stop`); several, or none
  bool skip_special_tokens = true;     // the text is without special tokens
  bool in_reasoning = false;           // the prompt ends inside <think> (chat format r1)
};

struct Answer {
  std::vector<int32_t> ids;  // new tokens, the one that ended it included
  std::vector<float> logprobs;
  std::vector<std::vector<TokenLogprob>> top_logprobs;  // of each new token, where the request asked for them
  std::string text;                                     // without the stop string; a stop id has no text
  FinishReason finish = FinishReason::kNone;            // kStop for stop ids and stop strings
  TokenUsage usage;
  CacheReceipt cache;
};
// "stop" or "length". REQUIRES: neither kNone nor kError.
std::string finish_reason_name(FinishReason reason);
// {"ids", "logprobs", "top_logprobs"?: [[{"id", "logprob"}]], "text", "finish_reason", "usage"}. REQUIRES: the answer has ended.
Json answer_json(const Answer& answer);

class AnswerStream {
 public:
  // tokenizer: outlives the stream; null: ids without text.
  AnswerStream(const Tokenizer* tokenizer, int64_t prompt_tokens, const TextOptions& options);
  // Takes the answer's next token. Returns the text that has become certain: whole UTF-8 sequences, nothing that may still turn out to be a
  // stop string. Tokens behind the answer's end (of a step that made several) are ignored. REQUIRES: a token, no failure.
  std::string push(const TokenEvent& event);
  // The last token has come. After a stop string the engine does not know it yet: the caller cancels the request.
  bool finished() const { return answer_.finish != FinishReason::kNone; }
  // What has come so far.
  const Answer& answer() const { return answer_; }

 private:
  std::string certain_text(const TokenEvent& event);
  void count(int32_t token);

  const Tokenizer* tokenizer_ = nullptr;
  std::optional<StreamDecoder> decoder_;
  StopText stop_;
  std::optional<int32_t> think_open_, think_close_;
  bool reasoning_ = false;
  Answer answer_;
};

}  // namespace finback
