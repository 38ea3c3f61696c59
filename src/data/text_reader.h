// Documents of text, streamed from whatever a user has: text files (a file is a document), JSON Lines ({"text": ...} a line, optional "source"
// and "id"), each also as .gz or .zst; a folder of those (folder_walk.h); a corpus folder of finback corpus build (one split of it). Every verb
// that reads a user's text reads it here, so all do the same with encodings, broken records and odd files. Text is valid UTF-8 afterwards.
//
// Note [Long documents]: a text is given in parts of at most kPartBytes, cut behind a paragraph, else a line, else a word; so memory does not grow
// with the file. The parts of one document follow each other.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/folder_walk.h"
#include "data/line_reader.h"
#include "data/read_report.h"

namespace finback {

struct Document {
  std::string text;
  std::string source;  // which part of a corpus; empty outside corpora
  std::string id;      // name in its source: file, entry
  int64_t part = -1;   // which part of a long document, from 0; -1: all of it
};
using DocumentSink = std::function<void(Document&&)>;
std::string document_name(const Document& document);  // its id, and behind a slash the number of the part

constexpr size_t kPartBytes = size_t(1) << 20;
std::string cut_into_parts();  // what a report says of a long document

// Where to cut a text near `at`: behind the last blank line from `earliest` to `at`, else line, else blank, else at a whole character. More than 0.
// REQUIRES: earliest < at <= text.size(), text is valid UTF-8.
size_t cut_place(std::string_view text, size_t earliest, size_t at);

// The documents of one file.
class TextFileReader {
 public:
  // Throws NoTextError for a file without text (see TextStream).
  TextFileReader(const std::filesystem::path& path, std::string id, const TextRules& rules, ReadReport& report);
  // The next document or part; false at the end. A line that gives no text goes to the report (see ReadReport::bad_record).
  bool next(Document& document);
  // Pieces with bytes that were no text: records, or the file as a whole. Of a file that has been read.
  int64_t repaired() const { return repaired_; }
  uint64_t consumed() const { return lines_ ? lines_->stream().consumed() : stream_->consumed(); }

 private:
  bool next_record(Document& document);
  bool next_part(Document& document);
  void close(const TextStream& stream);
  std::filesystem::path path_;
  std::string id_;
  ReadReport& report_;
  TextRules rules_;
  TextChanges record_changes_;        // inside records
  std::optional<LineReader> lines_;   // of records
  std::optional<TextStream> stream_;  // of text
  std::string buffer_, block_;
  int64_t part_ = -1, repaired_ = 0;
  bool ended_ = false, closed_ = false, gave_text_ = false;
};

class TextReader {
 public:
  // split: which one of a corpus folder ("train" or "validation"); other inputs have none. Throws Error when there is nothing to read, NoTextError
  // for a named file without text; in a folder that is left out and said.
  TextReader(const std::filesystem::path& path, ReadReport& report, const std::string& split = "train");
  bool next(Document& document);

  // For progress: bytes of files as stored.
  uint64_t total_bytes() const { return total_bytes_; }
  uint64_t consumed_bytes() const { return finished_bytes_ + (file_ ? file_->consumed() : 0); }

 private:
  std::filesystem::path root_;
  ReadReport& report_;
  TextRules rules_;
  bool is_folder_ = false;
  std::vector<std::filesystem::path> files_;
  size_t next_file_ = 0;
  std::unique_ptr<TextFileReader> file_;
  uint64_t total_bytes_ = 0, finished_bytes_ = 0;
};

// The file as documents, or nothing, said in the report, where a walk over a folder met a file without text. named: then that is an error.
std::unique_ptr<TextFileReader> open_text(const std::filesystem::path& path, const std::string& id, const TextRules& rules, bool named,
                                          ReadReport& report);

}  // namespace finback
