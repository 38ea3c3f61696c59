#include "generate/answer_stream.h"

#include "base/error.h"
#include "tokenizer/chat_format.h"

namespace finback {

std::string finish_reason_name(FinishReason reason) {
  FB_ASSERT(reason != FinishReason::kNone, "an answer that goes on has no finish reason");
  FB_ASSERT(reason != FinishReason::kError, "a request that failed has no answer");
  return reason == FinishReason::kStop ? "stop" : "length";
}

Json answer_json(const Answer& answer) {
  Json json = {{"ids", answer.ids}, {"logprobs", answer.logprobs}};
  for (const std::vector<TokenLogprob>& of_token : answer.top_logprobs) {
    Json list = Json::array();
    for (const auto& [id, logprob] : of_token) list.push_back({{"id", id}, {"logprob", logprob}});
    json["top_logprobs"].push_back(std::move(list));
  }
  json["text"] = answer.text;
  json["finish_reason"] = finish_reason_name(answer.finish);
  json["usage"] = usage_json(answer.usage);
  return json;
}

AnswerStream::AnswerStream(const Tokenizer* tokenizer, int64_t prompt_tokens, const TextOptions& options) : stop_(options.stop) {
  answer_.usage.prompt_tokens = prompt_tokens;
  tokenizer_ = tokenizer;
  if (!tokenizer) return;
  decoder_.emplace(*tokenizer, options.skip_special_tokens);
  think_open_ = tokenizer->token_id(kThinkOpen);
  think_close_ = tokenizer->token_id(kThinkClose);
  reasoning_ = options.in_reasoning && think_close_;  // without the closing tag nobody could say where it ends
}

std::string AnswerStream::push(const TokenEvent& event) {
  if (finished()) return "";
  FB_ASSERT(event.finish != FinishReason::kError, "who reads the events takes failures out");
  if (event.cache) {
    answer_.cache = *event.cache;
    answer_.usage.prompt_cache_hit_tokens = event.cache->memory_tokens + event.cache->disk_tokens;
  }
  answer_.ids.push_back(event.token);
  answer_.logprobs.push_back(event.logprob);
  if (!event.top_logprobs.empty()) answer_.top_logprobs.push_back(event.top_logprobs);
  count(event.token);
  answer_.finish = event.finish;
  if (!decoder_) return "";
  const std::string text = certain_text(event);
  if (stop_.found()) answer_.finish = FinishReason::kStop;
  answer_.text += text;
  return text;
}

std::string AnswerStream::certain_text(const TokenEvent& event) {
  std::string text;
  if (event.finish != FinishReason::kStop || !tokenizer_->is_special(event.token)) text = stop_.push(decoder_->push(event.token));
  if (event.finish == FinishReason::kNone) return text;
  text += stop_.push(decoder_->finish());
  if (!stop_.found()) text += stop_.finish();
  return text;
}

void AnswerStream::count(int32_t token) {
  ++answer_.usage.completion_tokens;
  if (think_close_ && token == think_open_) reasoning_ = true;
  answer_.usage.reasoning_tokens += reasoning_;
  if (token == think_close_) reasoning_ = false;
}

}  // namespace finback
