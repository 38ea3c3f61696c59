#include "data/line_reader.h"

#include <algorithm>

namespace finback {

// Appends a block to what waits in the buffer; false at the end of the file.
bool LineReader::more() {
  buffer_.erase(0, begin_);
  buffer_at_ += begin_;
  begin_ = 0;
  ended_ = !stream_.read(block_);
  if (ended_) return false;
  for (const size_t place : stream_.repaired()) repairs_.push_back(buffer_at_ + buffer_.size() + place);
  buffer_.append(block_);
  return true;
}

// Gives the buffer up to `end`, where its newline stands or the file ends.
bool LineReader::take(size_t end, std::string& line) {
  if (!too_long_) line.assign(buffer_, begin_, end - begin_);
  repaired_ = false;
  while (!repairs_.empty() && repairs_.front() < buffer_at_ + end) {
    repaired_ = true;
    repairs_.pop_front();
  }
  begin_ = std::min(end + 1, buffer_.size());
  ++line_number_;
  return true;
}

bool LineReader::next(std::string& line) {
  line.clear();
  too_long_ = false;
  size_t searched = begin_;
  while (true) {
    const size_t newline = buffer_.find('\n', searched);
    if (newline != std::string::npos) return take(newline, line);
    if (ended_) return (begin_ < buffer_.size() || too_long_) && take(buffer_.size(), line);
    too_long_ = too_long_ || buffer_.size() - begin_ > kLongestLine;
    if (too_long_) begin_ = buffer_.size();
    searched = buffer_.size() - begin_;
    more();
  }
}

}  // namespace finback
