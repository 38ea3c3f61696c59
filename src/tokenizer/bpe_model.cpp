#include "tokenizer/bpe_model.h"

#include <algorithm>
#include <queue>

#include "base/error.h"
#include "tokenizer/byte_symbols.h"

namespace finback {
namespace {

// Up to here scanning all pairs for the best one is faster than a heap. Both give the same tokens.
constexpr size_t kShortWord = 48;

// One possible merge of a long word: at `position` stood `left`, at `next` stood `right`.
struct MergeCandidate {
  int32_t rank, id;
  uint32_t position, next;
  int32_t left, right;
  bool operator<(const MergeCandidate& other) const {  // std::priority_queue keeps the greatest on top
    return rank != other.rank ? rank > other.rank : position > other.position;
  }
};

}  // namespace

BpeModel::BpeModel(BpeSpec spec, const std::string& where) : spec_(std::move(spec)), merges_(spec_.merges.size()) {
  int32_t highest = -1;
  for (const auto& [token, id] : spec_.vocab) highest = std::max(highest, id);
  names_.resize(size_t(highest + 1));
  for (const auto& [token, id] : spec_.vocab) {
    FB_CHECK(!names_[size_t(id)], "{}: expected one token an id, got two for id {}", where, id);
    names_[size_t(id)] = &token;
  }
  for (size_t b = 0; b < 256; ++b) {
    const char byte = char(b);
    byte_ids_[b] = id_of(to_byte_symbols({&byte, 1})).value_or(-1);
  }
  const bool needed = std::find(byte_ids_.begin(), byte_ids_.end(), -1) != byte_ids_.end();
  FB_CHECK(!needed || !spec_.byte_fallback, "{}: byte_fallback is not supported", where);
  if (spec_.unk_token) {
    unk_id_ = id_of(*spec_.unk_token).value_or(-1);
    FB_CHECK(unk_id_ >= 0 || !needed, "{}: expected unk_token in the vocabulary, got \"{}\"", where, *spec_.unk_token);
  }
  read_merges(where);
  find_direct_words();
}

void BpeModel::read_merges(const std::string& where) {
  for (size_t rank = 0; rank < spec_.merges.size(); ++rank) {
    const auto& [left, right] = spec_.merges[rank];
    const auto left_id = id_of(left), right_id = id_of(right), id = id_of(left + right);
    FB_CHECK(left_id && right_id && id, "{}: expected merge {} to be made of tokens, \"{}\" is not in the vocabulary", where, rank,
             !left_id    ? left
             : !right_id ? right
                         : left + right);
    merges_.at_or_new(*left_id, *right_id) = {int32_t(rank), *id};
  }
  spec_.merges = {};
}

void BpeModel::keep_out(const std::unordered_set<int32_t>& ids) {
  kept_out_ = ids;
  bool changed = false;  // seldom: what a text is made of has other names than control tokens
  merges_.for_each([&](Merge& merge) {
    if (!ids.count(merge.id)) return;
    merge.id = -1;
    changed = true;
  });
  for (const int32_t id : direct_ids_) changed |= ids.count(id) > 0;
  if (!changed) return;
  direct_words_ = {};
  direct_ids_.clear();
  find_direct_words();
}

const BpeModel::Merge* BpeModel::merge_of(int32_t left, int32_t right) const {
  const Merge* merge = merges_.find(left, right);
  return merge && merge->id >= 0 ? merge : nullptr;
}

// A token counts if the merges lead back to it, or if they are to be ignored.
void BpeModel::find_direct_words() {
  std::vector<int32_t> symbols;
  for (size_t id = 0; id < names_.size(); ++id) {
    if (!names_[id] || kept_out_.count(int32_t(id))) continue;
    const auto bytes = from_byte_symbols(*names_[id]);
    if (!bytes || bytes->empty()) continue;
    if (!spec_.ignore_merges) {
      initial_symbols(*bytes, symbols);
      bytes->size() <= kShortWord ? merge_short(symbols) : merge_long(symbols);
      if (symbols.size() != 1 || symbols[0] != int32_t(id)) continue;
    }
    direct_words_.insert(*bytes);
    direct_ids_.push_back(int32_t(id));
  }
  for (size_t b = 0; b < 256; ++b) {
    const char byte = char(b);
    const int64_t found = direct_words_.find({&byte, 1});
    direct_bytes_[b] = found < 0 ? -1 : direct_ids_[size_t(found)];
  }
}

std::optional<int32_t> BpeModel::id_of(const std::string& token) const {
  const auto found = spec_.vocab.find(token);
  return found == spec_.vocab.end() ? std::nullopt : std::optional<int32_t>(found->second);
}

const std::string* BpeModel::token_of(int32_t id) const { return id < 0 || size_t(id) >= names_.size() ? nullptr : names_[size_t(id)]; }

void BpeModel::initial_symbols(std::string_view word, std::vector<int32_t>& symbols) const {
  symbols.clear();
  bool after_unknown = false;
  for (const char c : word) {
    int32_t id = byte_ids_[uint8_t(c)];
    const bool unknown = id < 0;
    if (unknown) id = after_unknown && spec_.fuse_unk ? -1 : unk_id_;
    after_unknown = unknown;
    if (id >= 0) symbols.push_back(id);
  }
}

void BpeModel::encode_word(std::string_view word, std::vector<int32_t>& ids) const {
  if (word.size() == 1 && direct_bytes_[uint8_t(word[0])] >= 0) return ids.push_back(direct_bytes_[uint8_t(word[0])]);
  if (const int64_t found = direct_words_.find(word); found >= 0) return ids.push_back(direct_ids_[size_t(found)]);
  thread_local std::vector<int32_t> symbols;
  initial_symbols(word, symbols);
  symbols.size() <= kShortWord ? merge_short(symbols) : merge_long(symbols);
  ids.insert(ids.end(), symbols.begin(), symbols.end());
  if (symbols.capacity() > (1u << 20)) symbols = {};
}

void BpeModel::merge_short(std::vector<int32_t>& symbols) const {
  Merge possible[kShortWord];  // possible[i]: of symbols i and i + 1
  size_t count = symbols.size();
  const auto look_up = [&](size_t i) {
    const Merge* merge = i + 1 < count ? merge_of(symbols[i], symbols[i + 1]) : nullptr;
    possible[i] = merge ? *merge : Merge{INT32_MAX, -1};
  };
  for (size_t i = 0; i < count; ++i) look_up(i);
  while (count > 1) {
    size_t best = 0;
    for (size_t i = 1; i + 1 < count; ++i) {
      if (possible[i].rank < possible[best].rank) best = i;
    }
    if (possible[best].id < 0) break;
    symbols[best] = possible[best].id;
    --count;
    for (size_t i = best + 1; i < count; ++i) {
      symbols[i] = symbols[i + 1];
      possible[i] = possible[i + 1];
    }
    look_up(best);
    if (best > 0) look_up(best - 1);
  }
  symbols.resize(count);
}

// The symbols form a linked list; a heap holds the possible merges, those overtaken by others among them.
void BpeModel::merge_long(std::vector<int32_t>& symbols) const {
  const uint32_t count = uint32_t(symbols.size()), none = UINT32_MAX;
  std::vector<uint32_t> next(count), previous(count);
  std::vector<MergeCandidate> found;
  const auto candidate = [&](uint32_t at, uint32_t after) -> std::optional<MergeCandidate> {
    const Merge* merge = merge_of(symbols[at], symbols[after]);
    return merge ? std::optional(MergeCandidate{merge->rank, merge->id, at, after, symbols[at], symbols[after]}) : std::nullopt;
  };
  for (uint32_t i = 0; i < count; ++i) {
    next[i] = i + 1 < count ? i + 1 : none;
    previous[i] = i > 0 ? i - 1 : none;
    if (next[i] == none) continue;
    if (const auto pair = candidate(i, i + 1)) found.push_back(*pair);
  }
  std::priority_queue<MergeCandidate> heap(std::less<MergeCandidate>(), std::move(found));
  while (!heap.empty()) {
    const MergeCandidate top = heap.top();
    heap.pop();
    const bool stands = symbols[top.position] == top.left && next[top.position] == top.next && symbols[top.next] == top.right;
    if (!stands) continue;
    symbols[top.position] = top.id;
    symbols[top.next] = -1;
    const uint32_t after = next[top.position] = next[top.next], before = previous[top.position];
    if (after != none) {
      previous[after] = top.position;
      if (const auto pair = candidate(top.position, after)) heap.push(*pair);
    }
    if (before == none) continue;
    if (const auto pair = candidate(before, top.position)) heap.push(*pair);
  }
  std::erase(symbols, -1);
}

}  // namespace finback
