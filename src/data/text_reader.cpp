#include "data/text_reader.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "data/json_record.h"

namespace finback {
namespace fs = std::filesystem;
namespace {

uint64_t stored_size(const fs::path& path) {
  std::error_code none;
  const uintmax_t size = fs::file_size(path, none);
  return none ? 0 : uint64_t(size);  // a pipe has none
}

// A corpus of ours is as we wrote it.
TextRules rules_of(bool corpus) {
  TextRules rules;
  rules.exact = corpus;
  return rules;
}

// Named .json: records a line, as many data sets have it, or one JSON text, which is no document. Told apart by the first line.
bool begins_with_record(const fs::path& path) {
  if (inner_ending(path) != ".json") return false;
  LineReader lines(path);
  std::string line;
  while (lines.next(line) && line.find_first_not_of(" \t\r") == std::string::npos) {
  }
  const size_t first = line.find_first_not_of(" \t\r");
  const bool json = lines.too_long() || (first != std::string::npos && (line[first] == '{' || line[first] == '['));
  if (!json) return false;
  const JsonRecord record = read_json_record(line);
  if (record.problem.empty() || record.chat) return true;
  throw NoTextError(path.string(), "one JSON text, or JSON without \"text\" in its first line",
                    ". Hint: make JSON Lines of it, {\"text\": ...} a line (jq -c '.[]')");
}

}  // namespace

std::string document_name(const Document& document) {
  return document.part < 0 ? document.id : fmt::format("{}/{:04}", document.id, document.part);
}

size_t cut_place(std::string_view text, size_t earliest, size_t at) {
  for (const std::string_view mark : {"\n\n", "\n", " "}) {
    const size_t found = at >= mark.size() ? text.rfind(mark, at - mark.size()) : std::string_view::npos;
    if (found != std::string_view::npos && found + mark.size() > earliest) return found + mark.size();
  }
  const auto inside = [&](size_t place) { return place < text.size() && (uint8_t(text[place]) & 0xC0) == 0x80; };
  size_t place = at;
  while (inside(place)) --place;
  if (place > 0) return place;
  place = at;
  while (inside(place)) ++place;
  return place;
}

TextFileReader::TextFileReader(const fs::path& path, std::string id, const TextRules& rules, ReadReport& report)
    : path_(path), id_(std::move(id)), report_(report), rules_(rules) {
  if (has_record_ending(path) || begins_with_record(path)) {
    lines_.emplace(path, rules);
  } else {
    stream_.emplace(path, rules);
  }
}

bool TextFileReader::next(Document& document) {
  const bool more = lines_ ? next_record(document) : next_part(document);
  if (more) report_.text_read(document.text.size());
  gave_text_ = gave_text_ || (more && document.text.find_first_not_of(" \t\r\n") != std::string::npos);
  if (!more && !std::exchange(closed_, true)) close(lines_ ? lines_->stream() : *stream_);
  return more;
}

bool TextFileReader::next_record(Document& document) {
  std::string line;
  while (lines_->next(line)) {
    if (!lines_->too_long() && line.find_first_not_of(" \t\r") == std::string::npos) continue;
    report_.record_read();
    const std::string where = fmt::format("{}: line {}", path_.string(), lines_->line_number());
    if (lines_->too_long()) {
      report_.bad_record(/*left_out=*/true, fmt::format("a line above {} MB", LineReader::kLongestLine >> 20), where);
      continue;
    }
    JsonRecord record = read_json_record(line);
    if (record.chat && !report_.strict()) {
      report_.left_out("a chat (\"messages\"), which finback does not train on yet", where);
      continue;
    }
    if (!record.problem.empty() && !(rules_.exact && record.empty)) {
      report_.bad_record(/*left_out=*/true, record.problem, where);
      continue;
    }
    repaired_ += lines_->repaired() || record.repaired;
    if (lines_->repaired()) {
      report_.bad_record(/*left_out=*/false, "bytes that are no UTF-8, now U+FFFD", where);
    } else if (record.repaired) {
      report_.bad_record(/*left_out=*/false, "half a surrogate pair (now U+FFFD) or a bare control character in a JSON string", where);
    }
    clean_line_ends_and_marks(record.text, rules_, record_changes_);
    if (record.id.empty()) record.id = fmt::format("{}:{}", path_.filename().string(), lines_->line_number());
    document = {std::move(record.text), std::move(record.source), std::move(record.id), -1};
    return true;
  }
  return false;
}

bool TextFileReader::next_part(Document& document) {
  while (!ended_ && buffer_.size() <= kPartBytes) {
    ended_ = !stream_->read(block_);
    if (!ended_) buffer_.append(block_);
  }
  if (buffer_.empty()) return false;
  const bool rest = ended_ && buffer_.size() <= kPartBytes;
  if (!rest || part_ >= 0) ++part_;
  const size_t bytes = rest ? buffer_.size() : cut_place(buffer_, kPartBytes / 2, kPartBytes);
  document = {buffer_.substr(0, bytes), "", id_, part_};
  buffer_.erase(0, bytes);
  return true;
}

// What was done to the file, now that all of it is known.
void TextFileReader::close(const TextStream& stream) {
  TextChanges changes = stream.changes();
  changes.crlf += record_changes_.crlf;
  changes.marks += record_changes_.marks;
  const std::string file = path_.string();
  report_.file_read(stored_size(path_));
  if (rules_.exact) return;
  if (!gave_text_) report_.left_out("a file without any text", file);
  repaired_ += !lines_ && changes.broken > 0;
  if (!lines_ && changes.broken > 0)
    report_.repaired("bytes that are no text, now U+FFFD", fmt::format("{} ({} times)", file, changes.broken));
  if (stream.encoding() != TextEncoding::kUtf8) {
    const std::string what = fmt::format("read as {}, now UTF-8", encoding_name(stream.encoding()));
    report_.changed(what, file);
  }
  if (stream.bytes_behind() > 0) {
    report_.left_out("bytes behind the end of the packed data", fmt::format("{} ({} bytes)", file, stream.bytes_behind()));
  }
  if (changes.marks > 0) report_.changed("byte order mark (U+FEFF) taken out", file);
  if (changes.crlf > 0) report_.changed("line ends CRLF or CR, now LF", fmt::format("{} ({} lines)", file, changes.crlf));
  if (!lines_ && part_ >= 0)
    report_.changed(fmt::format("cut into parts of at most {} MiB", kPartBytes >> 20), fmt::format("{} ({} parts)", file, part_ + 1));
}

std::unique_ptr<TextFileReader> open_text(const fs::path& path, const std::string& id, const TextRules& rules, bool named,
                                          ReadReport& report) {
  try {
    return std::make_unique<TextFileReader>(path, id, rules, report);
  } catch (const NoTextError& error) {
    if (named) throw;
    report.left_out(error.reason, path.string());
    return nullptr;
  }
}

TextReader::TextReader(const fs::path& path, ReadReport& report, const std::string& split)
    : root_(path), report_(report), rules_(rules_of(is_corpus_folder(path))), is_folder_(fs::is_directory(path)) {
  FB_CHECK(fs::exists(path), "{}: expected a text file or a folder of them, got nothing of that name", path.string());
  if (rules_.exact) {
    files_ = {path / (split + ".jsonl.zst")};
    FB_CHECK(fs::exists(files_[0]), "{}: expected this file of a corpus, got none. Hint: run finback corpus build again",
             files_[0].string());
  } else if (is_folder_) {
    files_ = walk_folder(path, {}, report);
    FB_CHECK(!files_.empty(), "{}: expected files of text ({}) in this folder, got none{}", path.string(), kTextEndings,
             report.why_nothing());
  } else {
    files_ = {path};
  }
  for (const fs::path& file : files_) total_bytes_ += stored_size(file);
}

bool TextReader::next(Document& document) {
  while (true) {
    if (file_) {
      if (file_->next(document)) return true;
      finished_bytes_ += file_->consumed();
      file_.reset();
    }
    if (next_file_ == files_.size()) return false;
    const fs::path& file = files_[next_file_++];
    const std::string id = is_folder_ ? file.lexically_relative(root_).string() : file.filename().string();
    file_ = open_text(file, id, rules_, /*named=*/!is_folder_ || rules_.exact, report_);
    if (!file_) finished_bytes_ += stored_size(file);
  }
}

}  // namespace finback
