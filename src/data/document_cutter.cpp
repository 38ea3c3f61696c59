#include "data/document_cutter.h"

#include <algorithm>
#include <cctype>
#include <utility>

namespace finback {
namespace {

bool begins_with_any_case(std::string_view line, std::string_view start) {
  if (start.empty() || line.size() < start.size()) return false;
  return std::equal(start.begin(), start.end(), line.begin(),
                    [](char a, char b) { return std::tolower(uint8_t(a)) == std::tolower(uint8_t(b)); });
}

std::string_view trimmed(std::string_view line) {
  const size_t begin = line.find_first_not_of(" \t\r");
  return begin == std::string_view::npos ? std::string_view() : line.substr(begin, line.find_last_not_of(" \t\r") + 1 - begin);
}

}  // namespace

bool DocumentCutter::by_lines() const {
  return source_.unindent > 0 || !source_.drop_lines.empty() || !source_.document_start.empty() || !source_.separator.empty();
}

void DocumentCutter::add(const std::string& id, bool begins, std::string_view text) {
  if (begins) {
    end_piece();
    id_ = id;
    ++pieces_;
    number_ = 0;
    in_piece_ = first_line_ = true;
  }
  if (!by_lines()) return append(text);
  size_t begin = 0;
  for (size_t end; (end = text.find('\n', begin)) != std::string_view::npos; begin = end + 1) {
    if (line_.empty()) {
      line(text.substr(begin, end - begin));
    } else {
      line_.append(text.substr(begin, end - begin));
      line(std::exchange(line_, std::string()));
    }
  }
  line_.append(text.substr(begin));
  if (line_.size() > kPartBytes) append(std::exchange(line_, std::string()));  // no line that a rule means
}

void DocumentCutter::finish() {
  end_piece();
  give(joined_id_, joined_, -1);
  joined_.clear();
}

bool DocumentCutter::is_dropped(std::string_view line) const {
  const size_t begin = line.find_first_not_of(' ');
  if (begin == std::string_view::npos) return false;
  const std::string_view rest = line.substr(begin, line.find_last_not_of(" \r") + 1 - begin);
  return std::any_of(source_.drop_lines.begin(), source_.drop_lines.end(),
                     [&](const std::string& start) { return rest.starts_with(start) && (start.front() != '[' || rest.back() == ']'); });
}

// A part begins at each line that document_start names, and behind each that is the separator; what stands before the first one is a part too.
void DocumentCutter::line(std::string_view line) {
  if (!std::exchange(first_line_, false) && begins_with_any_case(line, source_.document_start)) end_document(number_ + 1);
  if (!source_.separator.empty() && trimmed(line) == source_.separator) return end_document(number_ + 1);
  if (is_dropped(line)) {
    ++dropped_lines_;
    return;
  }
  line.remove_prefix(std::min({line.find_first_not_of(' '), line.size(), size_t(source_.unindent)}));
  append(line);
  append("\n");
}

void DocumentCutter::append(std::string_view text) {
  document_.append(text);
  while (document_.size() > kPartBytes) {
    if (source_.document_bytes > 0) {  // too long to be joined to others
      give(joined_id_, std::exchange(joined_, std::string()), -1);
    }
    const size_t bytes = cut_place(document_, kPartBytes / 2, kPartBytes);
    give(id_, std::string_view(document_).substr(0, bytes), ++part_);
    document_.erase(0, bytes);
    ++cuts_;
  }
}

void DocumentCutter::end_piece() {
  if (!std::exchange(in_piece_, false)) return;
  if (!line_.empty()) line(std::exchange(line_, std::string()));
  source_.document_bytes > 0 && part_ < 0 ? join() : end_document(0);
}

void DocumentCutter::end_document(int64_t next_number) {
  give(id_, document_, part_ < 0 ? -1 : part_ + 1);
  document_.clear();
  part_ = -1;
  number_ = next_number;
}

void DocumentCutter::join() {
  const std::string_view text = std::string_view(document_).substr(0, document_.find_last_not_of(" \t\r\n") + 1);
  if (!text.empty()) {
    if (joined_.empty()) joined_id_ = id_;
    joined_.append(text).append(source_.format == "dictd" ? "\n\n" : "\n");  // an entry has lines of its own, a gloss is one line
  }
  document_.clear();
  if (int64_t(joined_.size()) >= source_.document_bytes) give(joined_id_, std::exchange(joined_, std::string()), -1);
}

void DocumentCutter::give(const std::string& id, std::string_view text, int64_t part) {
  const size_t last = text.find_last_not_of(" \t\r\n");
  if (last == std::string_view::npos) return;
  const size_t first = text.find_first_not_of(" \t\r\n");
  const size_t line = text.substr(0, first).rfind('\n');
  const size_t begin = line == std::string_view::npos ? 0 : line + 1;  // keeps the first line's indent
  const bool numbered = !source_.document_start.empty() || !source_.separator.empty();
  sink_(
      {std::string(text.substr(begin, last + 1 - begin)) + "\n", source_.name, numbered ? fmt::format("{}/{:03}", id, number_) : id, part});
}

}  // namespace finback
