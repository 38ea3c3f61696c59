#include "tokenizer/stop_text.h"

#include <algorithm>
#include <utility>

namespace finback {

StopText::StopText(std::vector<std::string> stops) : stops_(std::move(stops)) { std::erase(stops_, ""); }

std::string StopText::push(std::string_view text) {
  if (found_) return "";
  held_ += text;
  if (const size_t at = first_match(); at != std::string::npos) {
    found_ = true;
    held_.resize(at);
    return std::exchange(held_, "");
  }
  std::string certain = held_.substr(0, held_.size() - uncertain_bytes());
  held_.erase(0, certain.size());
  return certain;
}

// Where the stop string that is complete first begins; npos: none is.
size_t StopText::first_match() const {
  size_t best = std::string::npos, best_end = std::string::npos;
  for (const std::string& stop : stops_) {
    const size_t at = held_.find(stop);
    if (at == std::string::npos || at + stop.size() > best_end) continue;
    if (at + stop.size() < best_end || at < best) best = at;
    best_end = at + stop.size();
  }
  return best;
}

// The longest end of the held text that is the beginning of a stop string.
size_t StopText::uncertain_bytes() const {
  size_t longest = 0;
  for (const std::string& stop : stops_) {
    size_t keep = std::min(held_.size(), stop.size() - 1);
    while (keep > longest && held_.compare(held_.size() - keep, keep, stop, 0, keep) != 0) --keep;
    longest = std::max(longest, keep);
  }
  return longest;
}

std::string StopText::finish() { return std::exchange(held_, ""); }

}  // namespace finback
