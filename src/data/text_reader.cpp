#include "data/text_reader.h"

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

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

// A stream and what it has given so far.
struct FileStart {
  TextStream stream;
  std::string text = {}, block = {};
  std::vector<size_t> repaired = {};
  bool ended = false;

  bool more() {
    ended = ended || !stream.read(block);
    if (ended) return false;
    for (const size_t place : stream.repaired()) repaired.push_back(text.size() + place);
    text.append(block);
    return true;
  }

  // The line from `at` on that is not blank, if it begins as a JSON object (or list, in a .json); else empty. `at` moves behind it. Reads as far as that takes: a
  // record may be long, and what is no JSON is known by its first byte.
  std::string_view json_line(size_t& at) {
    size_t first;
    while ((first = text.find_first_not_of(" \t\r\n", at)) == std::string::npos) {
      if (!more()) return {};
    }
    const bool list = text[first] == '[' && inner_ending(stream.path()) == ".json";
    if (text[first] != '{' && !list) return {};
    size_t end = first;
    while ((end = text.find('\n', end)) == std::string::npos) {
      end = text.size();
      if (end - first > LineReader::kLongestLine || !more()) break;
    }
    end = std::min(end, text.size());
    at = end;
    return std::string_view(text).substr(first, end - first);
  }
};

// Whatever the file is called: its first line is a JSON object, and so is its second one, as far as its first byte says, or there is none. Throws for
// a .json of another form, which is no document.
bool begins_with_records(FileStart& start) {
  const fs::path& path = start.stream.path();
  size_t at = 0;
  const std::string_view line = start.json_line(at);
  if (line.empty()) return false;
  const JsonRecord first = read_json_record(line);
  const bool usable = first.problem.empty() || first.chat;
  if (inner_ending(path) == ".json" && !usable) {
    throw NoTextError(path.string(), "one JSON text, or JSON without \"text\" in its first line",
                      ". Hint: make JSON Lines of it, {\"text\": ...} a line (jq -c '.[]')");
  }
  if (!first.object) return false;
  const std::string_view second = start.json_line(at);
  const bool alone = second.empty() && start.text.find_first_not_of(" \t\r\n", at) == std::string::npos;
  return alone || second.starts_with('{');
}

}  // namespace

std::string document_name(const Document& document) {
  return document.part < 0 ? document.id : fmt::format("{}/{:04}", document.id, document.part);
}

std::string cut_into_parts() { return fmt::format("cut into parts of at most {} MiB", kPartBytes >> 20); }

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
  FileStart start{TextStream(path, rules)};
  const bool named_records = has_record_ending(path);
  if (named_records || begins_with_records(start)) {
    lines_.emplace(std::move(start.stream), std::move(start.text), start.repaired);
    if (!named_records) report_.changed("read as records, a JSON object a line", path.string());
  } else {
    stream_.emplace(std::move(start.stream));
    buffer_ = std::move(start.text);
    ended_ = start.ended;
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
  if (!lines_ && part_ >= 0) report_.changed(cut_into_parts(), fmt::format("{} ({} parts)", file, part_ + 1));
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
  std::erase_if(files_, [&](const fs::path& file) {
    const bool again = !report.is_new(file);
    if (again) report.left_out(kNamedTwice, file.string());
    return again;
  });
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
