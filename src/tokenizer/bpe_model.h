// Byte-level BPE: a vocabulary, ranked merges, and the encoding of one word (a piece of the pre-tokenizer's) into ids. Knows nothing of
// JSON, added tokens or how text is cut into words. Immutable after construction: any thread.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "tokenizer/byte_strings.h"
#include "tokenizer/pair_map.h"

namespace finback {

// What tokenizer.json says about the model. Tokens are in byte symbols (byte_symbols.h) where they stand for bytes.
struct BpeSpec {
  std::unordered_map<std::string, int32_t> vocab;
  std::vector<std::pair<std::string, std::string>> merges;  // by rank; of equal pairs the last one counts
  std::optional<std::string> unk_token;                     // for bytes without a symbol in the vocabulary; absent: they vanish
  bool fuse_unk = false;                                    // neighbouring unknown bytes become one
  bool byte_fallback = false;                               // <0x41> for bytes without a symbol: refused where one lacks it
  bool ignore_merges = false;                               // a word that is a token becomes that token, whatever the merges say
};

class BpeModel {
 public:
  // Throws Error for a merge whose parts or result are not in the vocabulary, and for two tokens with one id. `where` starts messages.
  BpeModel(BpeSpec spec, const std::string& where);
  BpeModel(BpeModel&&) = default;  // a copy's names would point into the original

  // From now on no word becomes one of these tokens, by merges or as a whole: a text may spell them and stays text.
  void keep_out(const std::unordered_set<int32_t>& ids);
  // Appends the ids of one word: the pair with the lowest rank is merged first, of equals the leftmost. O(n log n).
  void encode_word(std::string_view word, std::vector<int32_t>& ids) const;

  int64_t token_count() const { return int64_t(spec_.vocab.size()); }
  int32_t highest_id() const { return int32_t(names_.size()) - 1; }  // -1: no token
  // Tokens as the file spells them.
  std::optional<int32_t> id_of(const std::string& token) const;
  const std::string* token_of(int32_t id) const;

 private:
  struct Merge {
    int32_t rank = -1, id = -1;  // id -1: a merge that is kept out
  };
  void read_merges(const std::string& where);
  const Merge* merge_of(int32_t left, int32_t right) const;
  void find_direct_words();
  void initial_symbols(std::string_view word, std::vector<int32_t>& symbols) const;
  void merge_short(std::vector<int32_t>& symbols) const;
  void merge_long(std::vector<int32_t>& symbols) const;

  BpeSpec spec_;
  std::array<int32_t, 256> byte_ids_;      // -1: not in the vocabulary
  std::array<int32_t, 256> direct_bytes_;  // id of a word of one byte; -1: by the slow way
  std::unordered_set<int32_t> kept_out_;
  int32_t unk_id_ = -1;
  PairMap<Merge> merges_;
  std::vector<const std::string*> names_;  // by id; null: unused
  // Words that are one token with or without the merges: their ids, by number in the table. Most words of a text.
  ByteStrings direct_words_;
  std::vector<int32_t> direct_ids_;
};

}  // namespace finback
