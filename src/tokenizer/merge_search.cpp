#include "tokenizer/merge_search.h"

#include <algorithm>
#include <queue>

#include "base/error.h"
#include "base/file.h"
#include "tokenizer/pair_map.h"

// Note [Positions]
// All words lie one behind the other in one array of positions, a byte each, with a wall between two words. A symbol stands at its first
// byte; its length says where the next one starts, and an entry at its last byte where it starts itself, so a merge changes three entries
// and looks at two neighbours, however long the word is. Each pair keeps the positions where it arose; those where something else stands
// by now are recognised when the pair's turn comes.
namespace finback {
namespace {

constexpr int32_t kWall = -1;
constexpr uint32_t kPositionsBetweenProgress = 1 << 20;

struct Pair {
  int32_t left, right;
  int64_t count = 0;
  std::vector<uint32_t> positions;
};

struct Entry {
  int64_t count;
  int32_t left, right;
  int32_t pair;
  bool operator<(const Entry& other) const {  // std::priority_queue keeps the greatest on top
    if (count != other.count) return count < other.count;
    return left != other.left ? left > other.left : right > other.right;
  }
};

class MergeSearch {
 public:
  MergeSearch(WordCounts words, const std::array<int32_t, 256>& byte_ids, int32_t first_id, int64_t limit,
              const std::function<void(int64_t)>& on_progress)
      : counts_(std::move(words.counts)), lengths_(size_t(first_id) + size_t(limit), 1), on_progress_(on_progress) {
    lay_out(words.words, byte_ids);
    words.words = {};
    // Counted before they are written down: lists that grow would take twice the memory.
    std::vector<uint32_t> sizes;
    for_each_neighbours([&](uint32_t, int32_t left, int32_t right) {
      const size_t index = index_of(left, right);
      if (index == sizes.size()) sizes.push_back(0);
      ++sizes[index];
    });
    for (size_t i = 0; i < pairs_.size(); ++i) pairs_[i].positions.reserve(sizes[i]);
    for_each_neighbours([&](uint32_t p, int32_t left, int32_t right) { add(p, left, right); });
    push_from(0);
  }

  // The best pair, taken off the heap; -1: none is left. A count that fell since it was pushed goes back in its new place.
  int32_t take_best() {
    while (!heap_.empty()) {
      Entry top = heap_.top();
      heap_.pop();
      const int64_t now = pairs_[size_t(top.pair)].count;
      if (now == top.count) return top.pair;
      top.count = now;
      if (now > 0) heap_.push(top);
    }
    return -1;
  }

  // Puts `id` in the place of the pair, everywhere, from the left.
  MergePair merge(int32_t pair_index, int32_t id) {
    const MergePair merged{pairs_[size_t(pair_index)].left, pairs_[size_t(pair_index)].right};
    std::vector<uint32_t> positions = std::move(pairs_[size_t(pair_index)].positions);
    std::sort(positions.begin(), positions.end());
    const uint32_t left_length = lengths_[size_t(merged.left)], length = left_length + lengths_[size_t(merged.right)];
    lengths_[size_t(id)] = length;
    const size_t known_pairs = pairs_.size();
    for (const uint32_t p : positions) {
      if (ids_[p] != merged.left || ids_[p + left_length] != merged.right) continue;
      if (ids_[p - 1] != kWall) {
        const uint32_t before = starts_[p - 1];
        subtract(p, ids_[before], merged.left);
        add(before, ids_[before], id);
      }
      if (const int32_t after = ids_[p + length]; after != kWall) {
        subtract(p, merged.right, after);
        add(p, id, after);
      }
      ids_[p] = id;
      ids_[p + left_length] = kInside;
      starts_[p + length - 1] = p;
    }
    pairs_[size_t(pair_index)].count = 0;
    push_from(known_pairs);  // pairs with the new token are all new, and their counts only fall from here on
    return merged;
  }

 private:
  static constexpr int32_t kInside = -2;  // the former start of a symbol that is now part of a longer one

  void lay_out(const ByteStrings& words, const std::array<int32_t, 256>& byte_ids) {
    const size_t positions = words.bytes() + words.size() + 1;
    FB_CHECK(positions < UINT32_MAX, "expected less than 4 GiB of distinct words in the training text. Hint: train on a part of it");
    ids_.reserve(positions);
    word_of_.reserve(positions);
    ids_.push_back(kWall);
    word_of_.push_back(0);
    for (size_t w = 0; w < words.size(); ++w) {
      for (const char c : words[w]) ids_.push_back(byte_ids[uint8_t(c)]);
      ids_.push_back(kWall);
      word_of_.resize(ids_.size(), uint32_t(w));
    }
    starts_.resize(ids_.size());
    for (uint32_t p = 0; p < starts_.size(); ++p) starts_[p] = p;
  }

  template <class Use>
  void for_each_neighbours(const Use& use) {
    for (uint32_t p = 0; p + 1 < ids_.size(); ++p) {
      if (on_progress_ && p % kPositionsBetweenProgress == 0) on_progress_(0);
      if (ids_[p] != kWall && ids_[p + 1] != kWall) use(p, ids_[p], ids_[p + 1]);
    }
  }

  size_t index_of(int32_t left, int32_t right) {
    int32_t& number = numbers_.at_or_new(left, right);
    if (number == 0) {
      pairs_.push_back({left, right, 0, {}});
      number = int32_t(pairs_.size());
    }
    return size_t(number) - 1;
  }
  void add(uint32_t position, int32_t left, int32_t right) {
    Pair& pair = pairs_[index_of(left, right)];
    pair.count += counts_[word_of_[position]];
    pair.positions.push_back(position);
  }
  void subtract(uint32_t position, int32_t left, int32_t right) {
    const int32_t* number = numbers_.find(left, right);
    FB_ASSERT(number != nullptr, "neighbours are always counted");
    pairs_[size_t(*number) - 1].count -= counts_[word_of_[position]];
  }
  void push_from(size_t first_pair) {
    for (size_t i = first_pair; i < pairs_.size(); ++i) {
      if (pairs_[i].count > 0) heap_.push({pairs_[i].count, pairs_[i].left, pairs_[i].right, int32_t(i)});
    }
  }

  const std::vector<int64_t> counts_;
  std::vector<uint32_t> lengths_;  // bytes of a token
  std::vector<int32_t> ids_;       // by position: the symbol that starts there, a wall, or kInside
  std::vector<uint32_t> starts_;   // by position of a symbol's last byte: where it starts
  std::vector<uint32_t> word_of_;
  PairMap<int32_t> numbers_;  // 1 + index into pairs_; 0: new
  std::vector<Pair> pairs_;
  std::priority_queue<Entry> heap_;
  const std::function<void(int64_t)>& on_progress_;
};

}  // namespace

int64_t WordCounts::trim(size_t most) {
  if (words.bytes() <= most) return 0;
  struct Ranked {
    int64_t count;
    uint64_t hash;
    uint32_t index;
  };
  std::vector<Ranked> ranked(counts.size());
  for (uint32_t i = 0; i < ranked.size(); ++i) ranked[i] = {counts[i], xxhash64(words[i]), i};
  std::sort(ranked.begin(), ranked.end(), [&](const Ranked& a, const Ranked& b) {
    if (a.count != b.count) return a.count > b.count;
    return a.hash != b.hash ? a.hash < b.hash : words[a.index] < words[b.index];
  });
  WordCounts kept;
  int64_t dropped = 0;
  size_t bytes = 0;
  for (const Ranked& word : ranked) {
    bytes += words[word.index].size();
    if (bytes <= most / 2) {
      kept.add(words[word.index], word.count);
    } else {
      dropped += int64_t(words[word.index].size()) * word.count;
    }
  }
  *this = std::move(kept);
  return dropped;
}

std::vector<MergePair> find_merges(WordCounts words, const std::array<int32_t, 256>& byte_ids, int32_t first_id, int64_t limit,
                                   const std::function<void(int64_t)>& on_progress) {
  MergeSearch search(std::move(words), byte_ids, first_id, limit, on_progress);
  std::vector<MergePair> merges;
  while (int64_t(merges.size()) < limit) {
    const int32_t best = search.take_best();
    if (best < 0) break;
    merges.push_back(search.merge(best, first_id + int32_t(merges.size())));
    if (on_progress) on_progress(int64_t(merges.size()));
  }
  return merges;
}

}  // namespace finback
