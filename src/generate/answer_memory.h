// Which ids an answer was sampled as, by its text: a text can be cut into tokens in several ways, and encoding an own answer anew may give other ids than
// those that the model drew, so that a cached conversation would be computed again from there on. Ids are given only where they decode to the very text
// that is asked for. Bounded by bytes, the answer that was not used for longest goes first. One thread.
#pragma once
#include <cstdint>
#include <filesystem>
#include <list>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tokenizer/chat_format.h"

namespace finback {

class AnswerMemory {
 public:
  explicit AnswerMemory(int64_t most_bytes = int64_t{8} << 20) : most_bytes_(most_bytes) {}
  // An answer and the ids that were drawn for it; a stop id at the end is left out. Nothing is kept of ids that do not decode to the text (a stop string cut
  // it).
  void remember(const Tokenizer& tokenizer, std::string_view text, std::vector<int32_t> ids);
  // Null when the text is unknown, or the ids stand for another one.
  const std::vector<int32_t>* find(const Tokenizer& tokenizer, std::string_view text);
  // encode_chat, but with the ids of those answers of the assistant that are known.
  std::vector<int32_t> encode(const Tokenizer& tokenizer, const std::vector<ChatMessage>& messages, ChatFormat format);

  // A file of what is remembered: both join what is there. A file that is none of ours is as good as none; what cannot be read or written throws Error.
  void read(const std::filesystem::path& file);
  void write(const std::filesystem::path& file) const;
  int64_t size() const { return int64_t(by_use_.size()); }

 private:
  struct Remembered {
    uint64_t key = 0;
    std::vector<int32_t> ids;
  };
  void keep(uint64_t key, std::vector<int32_t> ids);

  int64_t most_bytes_, bytes_ = 0;
  std::list<Remembered> by_use_;  // the one that was not used for longest first
  std::unordered_map<uint64_t, std::list<Remembered>::iterator> by_key_;
};

}  // namespace finback
