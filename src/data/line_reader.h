// Lines of a text file. Memory does not grow with the file, and a line that is too long to hold is passed over and said to be so. One thread.
#pragma once
#include <cstdint>
#include <deque>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "data/text_stream.h"

namespace finback {

class LineReader {
 public:
  explicit LineReader(const std::filesystem::path& path, const TextRules& rules = {}) : stream_(path, rules) {}
  // Of a stream that has given `read` already, with U+FFFD at `repaired` for bytes that were no text.
  LineReader(TextStream&& stream, std::string read, const std::vector<size_t>& repaired)
      : stream_(std::move(stream)), buffer_(std::move(read)), repairs_(repaired.begin(), repaired.end()) {}
  // The next line without its newline; false at the end.
  bool next(std::string& line);
  int64_t line_number() const { return line_number_; }  // of the line given last, from 1
  bool too_long() const { return too_long_; }           // that line is longer than kLongestLine and was given empty
  bool repaired() const { return repaired_; }           // that line has U+FFFD for bytes that were no text
  const TextStream& stream() const { return stream_; }

  static constexpr size_t kLongestLine = size_t(256) << 20;

 private:
  bool more();
  bool take(size_t end, std::string& line);
  TextStream stream_;
  std::string buffer_, block_;
  size_t begin_ = 0;
  uint64_t buffer_at_ = 0;        // place of the buffer's first byte in the text
  std::deque<uint64_t> repairs_;  // places in the text, of lines that have not been given yet
  int64_t line_number_ = 0;
  bool ended_ = false, too_long_ = false, repaired_ = false;
};

}  // namespace finback
