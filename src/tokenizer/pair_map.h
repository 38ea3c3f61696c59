// From a pair of token ids to a value: open addressing over one array, so that a lookup is one cache line. The innermost loop of encoding
// and of training. Concurrent lookups are safe, inserts are not.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace finback {

template <class Value>
class PairMap {
 public:
  explicit PairMap(size_t expected = 0) {
    size_t capacity = 16;
    while (capacity < expected * 2) capacity *= 2;
    resize(capacity);
  }
  size_t size() const { return size_; }

  const Value* find(int32_t left, int32_t right) const {
    const uint64_t key = key_of(left, right);
    for (size_t at = slot_of(key);; at = (at + 1) & mask_) {
      if (slots_[at].key == key) return &slots_[at].value;
      if (slots_[at].key == kEmpty) return nullptr;
    }
  }
  // The value of a pair, made by default if it is new. The reference lives until the next insertion. REQUIRES: left >= 0.
  Value& at_or_new(int32_t left, int32_t right) {
    if (size_ * 2 >= slots_.size()) grow();
    const uint64_t key = key_of(left, right);
    size_t at = slot_of(key);
    for (; slots_[at].key != key; at = (at + 1) & mask_) {
      if (slots_[at].key != kEmpty) continue;
      slots_[at].key = key;
      ++size_;
      break;
    }
    return slots_[at].value;
  }
  // change(value) for every pair, in no order.
  template <class Change>
  void for_each(const Change& change) {
    for (Slot& slot : slots_) {
      if (slot.key != kEmpty) change(slot.value);
    }
  }

 private:
  struct Slot {
    uint64_t key = kEmpty;
    Value value{};
  };
  static constexpr uint64_t kEmpty = ~uint64_t{0};  // would be the pair (-1, -1)
  static uint64_t key_of(int32_t left, int32_t right) { return uint64_t(uint32_t(left)) << 32 | uint32_t(right); }
  // Fibonacci hashing: the high bits of the product depend on all bits of the key.
  size_t slot_of(uint64_t key) const { return size_t((key ^ key >> 29) * 0x9E3779B97F4A7C15u >> shift_); }
  void resize(size_t capacity) {
    slots_.assign(capacity, Slot{});
    mask_ = capacity - 1;
    shift_ = 64 - __builtin_ctzll(capacity);
  }
  void grow() {
    std::vector<Slot> old = std::move(slots_);
    resize(old.size() * 2);
    for (Slot& slot : old) {
      if (slot.key == kEmpty) continue;
      size_t at = slot_of(slot.key);
      while (slots_[at].key != kEmpty) at = (at + 1) & mask_;
      slots_[at] = std::move(slot);
    }
  }
  std::vector<Slot> slots_;
  size_t mask_ = 0, size_ = 0;
  int shift_ = 60;
};

}  // namespace finback
