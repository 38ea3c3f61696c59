#include "plan/hit_curve.h"

#include <algorithm>

namespace finback {
namespace {

// Marks at points in time, and how many lie at or after one; each operation takes O(log n).
class FenwickTree {
 public:
  explicit FenwickTree(size_t size) : sums_(size + 1) {}
  void add(int64_t time, int64_t change) {
    total_ += change;
    for (size_t i = size_t(time) + 1; i < sums_.size(); i += i & -i) sums_[i] += change;
  }
  int64_t from(int64_t time) const {
    int64_t before = 0;
    for (size_t i = size_t(time); i > 0; i -= i & -i) before += sums_[i];
    return total_ - before;
  }

 private:
  std::vector<int64_t> sums_;
  int64_t total_ = 0;
};

}  // namespace

int64_t HitCurve::at(int64_t cache_blocks) const { return found[size_t(std::clamp<int64_t>(cache_blocks, 0, int64_t(found.size()) - 1))]; }

HitCurve replay_trace(const CacheTrace& trace) {
  size_t accesses = 0;
  for (const auto& request : trace.requests) accesses += request.size();
  FenwickTree live(accesses);  // a mark for each block, at the time of its last use
  std::vector<int64_t> last(size_t(trace.distinct_blocks), -1);
  HitCurve curve;
  curve.found.assign(size_t(trace.distinct_blocks) + 1, 0);
  int64_t now = 0;
  for (const auto& request : trace.requests) {
    // The number of blocks used since a block's own last use (its stack distance) is the smallest cache that still holds it.
    for (const int32_t block : request)
      if (last[size_t(block)] >= 0) ++curve.found[size_t(live.from(last[size_t(block)]))];
    for (auto block = request.rbegin(); block != request.rend(); ++block) {
      int64_t& used = last[size_t(*block)];
      if (used >= 0) live.add(used, -1);
      live.add(used = now++, 1);
    }
  }
  for (size_t i = 1; i < curve.found.size(); ++i) curve.found[i] += curve.found[i - 1];
  return curve;
}

}  // namespace finback
