// A growing table of distinct byte strings, numbered from 0 in the order of arrival: the words of a corpus, the tokens of a vocabulary.
// The bytes lie in one block. Concurrent lookups are safe, inserts are not.
#pragma once
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace finback {

class ByteStrings {
 public:
  ByteStrings() : slots_(16), mask_(15) {}
  size_t size() const { return ends_.size(); }
  size_t bytes() const { return bytes_.size(); }  // of all strings together
  std::string_view operator[](size_t index) const {
    const size_t begin = index == 0 ? 0 : ends_[index - 1];
    return std::string_view(bytes_).substr(begin, ends_[index] - begin);
  }
  // Number of a string, -1 if it is not in the table.
  int64_t find(std::string_view text) const {
    const uint32_t hash = hash_of(text);
    for (size_t at = hash & mask_;; at = (at + 1) & mask_) {
      const Slot& slot = slots_[at];
      if (slot.index < 0) return -1;
      if (slot.hash == hash && (*this)[size_t(slot.index)] == text) return slot.index;
    }
  }
  // Number of a string, which joins the table if it is new.
  size_t insert(std::string_view text) {
    const uint32_t hash = hash_of(text);
    size_t at = hash & mask_;
    for (; slots_[at].index >= 0; at = (at + 1) & mask_) {
      if (slots_[at].hash == hash && (*this)[size_t(slots_[at].index)] == text) return size_t(slots_[at].index);
    }
    slots_[at] = {hash, int32_t(ends_.size())};
    bytes_ += text;
    ends_.push_back(bytes_.size());
    if (ends_.size() * 2 > slots_.size()) grow();
    return ends_.size() - 1;
  }

 private:
  struct Slot {
    uint32_t hash = 0;
    int32_t index = -1;
  };
  // Words are short: eight bytes a step, inlined, is several times faster than a call into a hash library.
  static uint32_t hash_of(std::string_view text) {
    constexpr uint64_t kOdd = 0x9E3779B97F4A7C15u;
    uint64_t hash = text.size() * kOdd, word = 0;
    const char* p = text.data();
    size_t left = text.size();
    for (; left >= 8; p += 8, left -= 8) {
      std::memcpy(&word, p, 8);
      hash = (hash ^ word) * kOdd;
      hash ^= hash >> 32;
    }
    word = 0;
    for (size_t i = 0; i < left; ++i) word |= uint64_t(uint8_t(p[i])) << (8 * i);
    hash = (hash ^ word) * kOdd;
    return uint32_t(hash >> 32);
  }
  void grow() {
    std::vector<Slot> old = std::move(slots_);
    slots_.assign(old.size() * 2, Slot{});
    mask_ = slots_.size() - 1;
    for (const Slot& slot : old) {
      if (slot.index < 0) continue;
      size_t at = slot.hash & mask_;
      while (slots_[at].index >= 0) at = (at + 1) & mask_;
      slots_[at] = slot;
    }
  }
  std::string bytes_;
  std::vector<size_t> ends_;
  std::vector<Slot> slots_;
  size_t mask_;
};

}  // namespace finback
