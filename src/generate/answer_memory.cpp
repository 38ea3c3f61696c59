#include "generate/answer_memory.h"

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"

namespace finback {
namespace {

int64_t bytes_of_ids(const std::vector<int32_t>& ids) { return int64_t(ids.size() * sizeof(int32_t)) + 64; }

}  // namespace

void AnswerMemory::keep(uint64_t key, std::vector<int32_t> ids) {
  if (const auto found = by_key_.find(key); found != by_key_.end()) {
    bytes_ -= bytes_of_ids(found->second->ids);
    by_use_.erase(found->second);
    by_key_.erase(found);
  }
  bytes_ += bytes_of_ids(ids);
  by_key_[key] = by_use_.insert(by_use_.end(), {key, std::move(ids)});
  while (bytes_ > most_bytes_ && !by_use_.empty()) {
    bytes_ -= bytes_of_ids(by_use_.front().ids);
    by_key_.erase(by_use_.front().key);
    by_use_.pop_front();
  }
}

void AnswerMemory::remember(const Tokenizer& tokenizer, std::string_view text, std::vector<int32_t> ids) {
  if (!ids.empty() && tokenizer.is_special(ids.back())) ids.pop_back();
  if (ids.empty() || tokenizer.decode(ids) != text) return;
  // R1's format shows earlier answers without their reasoning, so what is behind it is an answer of its own.
  const auto close = tokenizer.token_id(kThinkClose);
  const auto tag = close ? std::find(ids.rbegin(), ids.rend(), *close) : ids.rend();
  if (tag != ids.rend() && tag != ids.rbegin()) remember(tokenizer, without_reasoning(std::string(text)), {tag.base(), ids.end()});
  keep(xxhash64(text), std::move(ids));
}

const std::vector<int32_t>* AnswerMemory::find(const Tokenizer& tokenizer, std::string_view text) {
  const auto found = by_key_.find(xxhash64(text));
  if (found == by_key_.end() || tokenizer.decode(found->second->ids) != text) return nullptr;
  by_use_.splice(by_use_.end(), by_use_, found->second);
  return &found->second->ids;
}

std::vector<int32_t> AnswerMemory::encode(const Tokenizer& tokenizer, const std::vector<ChatMessage>& messages, ChatFormat format) {
  const EncodedChat chat = encode_chat(tokenizer, messages, format);
  std::vector<int32_t> ids;
  int64_t copied = 0;
  size_t answer = 0;
  for (const ChatMessage& message : messages) {
    if (message.role != "assistant") continue;
    const TokenSpan span = chat.assistant[answer++];  // its text and the end of the sentence
    const std::vector<int32_t>* known = find(tokenizer, format == ChatFormat::kR1 ? without_reasoning(message.content) : message.content);
    if (!known) continue;
    ids.insert(ids.end(), chat.ids.begin() + copied, chat.ids.begin() + span.begin);
    ids.insert(ids.end(), known->begin(), known->end());
    copied = span.end - 1;
  }
  ids.insert(ids.end(), chat.ids.begin() + copied, chat.ids.end());
  return ids;
}

// {"format": 1, "answers": [["hash of the text", [ids]]]}, the one that was not used for longest first.
void AnswerMemory::write(const std::filesystem::path& file) const {
  AnswerMemory joined(most_bytes_);
  joined.read(file);
  for (const Remembered& known : by_use_) joined.keep(known.key, known.ids);
  Json answers = Json::array();
  for (const Remembered& known : joined.by_use_) answers.push_back({fmt::format("{:016x}", known.key), known.ids});
  write_file_atomic(file, dump_json_line({{"format", 1}, {"answers", answers}}) + "\n");
}

void AnswerMemory::read(const std::filesystem::path& file) {
  std::error_code absent;
  if (!std::filesystem::is_regular_file(file, absent)) return;
  const Json json = Json::parse(read_file(file), nullptr, false);
  const bool ours = json.is_object() && json.contains("format") && json["format"] == 1 && json.contains("answers");
  for (const Json& answer : ours ? json["answers"] : Json::array()) {
    if (!answer.is_array() || answer.size() != 2 || !answer[0].is_string() || !answer[1].is_array()) continue;
    std::vector<int32_t> ids;
    for (const Json& id : answer[1]) {
      if (id.is_number_unsigned() && id.get<uint64_t>() <= INT32_MAX) ids.push_back(id.get<int32_t>());
    }
    keep(std::strtoull(answer[0].get<std::string>().c_str(), nullptr, 16), std::move(ids));
  }
}

}  // namespace finback
