#include "tokenizer/stop_text.h"

#include <algorithm>
#include <utility>

namespace finback {

std::string StopText::push(std::string_view text) {
  if (found_) return "";
  held_ += text;
  if (stop_.empty()) return std::exchange(held_, "");
  if (const size_t at = held_.find(stop_); at != std::string::npos) {
    found_ = true;
    held_.resize(at);
    return std::exchange(held_, "");
  }
  // The longest end of the text that is a beginning of the stop string stays.
  size_t keep = std::min(held_.size(), stop_.size() - 1);
  while (keep > 0 && held_.compare(held_.size() - keep, keep, stop_, 0, keep) != 0) --keep;
  std::string certain = held_.substr(0, held_.size() - keep);
  held_.erase(0, certain.size());
  return certain;
}

std::string StopText::finish() { return std::exchange(held_, ""); }

}  // namespace finback
