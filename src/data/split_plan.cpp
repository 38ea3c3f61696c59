#include "data/split_plan.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numeric>

namespace finback {
namespace {

constexpr double kNear = 0.15;  // of the share that was asked for; leaves 5 % to where a document can be cut
constexpr double kSmallestCut = 256, kSmallestCutOfOne = 32;

class SplitPlanner {
 public:
  SplitPlanner(const std::vector<SplitDocument>& documents, double share)
      : documents_(documents), share_(share), held_(documents.size(), 0) {
    for (size_t i = 0; i < documents.size(); ++i) {
      const SplitDocument& document = documents[i];
      if (document.duplicate || document.bytes == 0) continue;
      if (document.named) {
        held_[i] = document.bytes;
      } else {
        order_.push_back(i);
        total_ += double(document.bytes);
      }
    }
    target_ = share * total_;
  }

  std::vector<uint64_t> run() {
    if (target_ > 0 && !by_threshold()) in_order();
    return std::move(held_);
  }

 private:
  double bytes(size_t i) const { return double(documents_[i].bytes); }
  void hold(size_t i) {
    held_[i] = documents_[i].bytes;
    taken_ += bytes(i);
  }

  bool by_threshold() {
    double below = 0;
    for (const size_t i : order_) below += double(documents_[i].hash) * 0x1p-64 < share_ ? bytes(i) : 0;
    if (std::abs(below - target_) > kNear * target_ || below >= total_) return false;
    for (const size_t i : order_) {
      if (double(documents_[i].hash) * 0x1p-64 < share_) hold(i);
    }
    return true;
  }

  void in_order() {
    std::sort(order_.begin(), order_.end(), [&](size_t a, size_t b) {
      return documents_[a].hash != documents_[b].hash ? documents_[a].hash < documents_[b].hash : a < b;
    });
    for (const size_t i : order_) {
      if (taken_ >= (1 - kNear) * target_) return;
      if (taken_ + bytes(i) <= std::min((1 + kNear) * target_, total_ - 1)) hold(i);
    }
    if (taken_ < (1 - kNear) * target_) cut_one();
  }

  // Whole documents did not fit: each one left is longer than what is missing.
  void cut_one() {
    const double missing = target_ - taken_;
    const auto longest = std::max_element(order_.begin(), order_.end(), [&](size_t a, size_t b) { return left(a) < left(b); });
    const double smallest = order_.size() > 1 ? kSmallestCut : kSmallestCutOfOne;
    if (missing >= smallest) {
      held_[*longest] = uint64_t(missing);
    } else if (order_.size() > 1) {
      const auto shortest = std::min_element(order_.begin(), order_.end(), [&](size_t a, size_t b) {
        return (held_[a] ? total_ : bytes(a)) < (held_[b] ? total_ : bytes(b));
      });
      const double over = bytes(*shortest) - missing;
      if (held_[*shortest] == 0 && (taken_ == 0 || over < missing) && taken_ + bytes(*shortest) < total_) hold(*shortest);
    }
  }
  double left(size_t i) const { return held_[i] ? 0 : bytes(i); }

  const std::vector<SplitDocument>& documents_;
  double share_, total_ = 0, target_ = 0, taken_ = 0;
  std::vector<size_t> order_;  // documents that are neither named nor copies
  std::vector<uint64_t> held_;
};

}  // namespace

std::vector<uint64_t> plan_split(const std::vector<SplitDocument>& documents, double share) { return SplitPlanner(documents, share).run(); }

}  // namespace finback
