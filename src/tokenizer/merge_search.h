// The learning half of BPE: from words and how often each occurs to a ranked list of merges. Knows no text, files or special tokens.
// The result is a function of the multiset of words alone: neither their order nor the thread count shows in it.
#pragma once
#include <array>
#include <cstdint>
#include <functional>
#include <vector>

#include "tokenizer/byte_strings.h"

namespace finback {

struct WordCounts {
  ByteStrings words;
  std::vector<int64_t> counts;  // by number in `words`
  void add(std::string_view word, int64_t count) {
    const size_t index = words.insert(word);
    if (index == counts.size()) counts.push_back(0);
    counts[index] += count;
  }
  // Once the words have more bytes together than `most`: keeps the most frequent ones, of equal counts those with the smaller hash (so neither
  // their order nor where they begin in the alphabet shows), up to half of it. Returns the bytes of text that no longer count.
  int64_t trim(size_t most);
};

struct MergePair {
  int32_t left, right;
  bool operator==(const MergePair&) const = default;
};

// At most `limit` merges; merge r makes the token first_id + r. Each takes the pair with the highest count at that moment; of equal counts
// the one with the smaller left id, then the smaller right id. Ends early when no pair is left. Time and memory are linear in the
// distinct words' bytes, up to logarithms: a word of a megabyte costs no more than its bytes in short words.
// byte_ids: the token of each byte. on_progress(merges found) comes at least every second or so, also before the first is found. Memory: about
// 25 bytes a byte of the words. REQUIRES: less than 4 GiB of distinct words.
std::vector<MergePair> find_merges(WordCounts words, const std::array<int32_t, 256>& byte_ids, int32_t first_id, int64_t limit,
                                   const std::function<void(int64_t)>& on_progress = {});

}  // namespace finback
