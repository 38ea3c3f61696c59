// Documents of text, streamed from whatever a user has: .txt, .md, .rst (a file is a document), .jsonl ({"text": ...} a line, optional
// "source" and "id"), each also as .gz or .zst; a folder of those (in name order, symbolic links skipped); a corpus folder of finback
// corpus build (one split of it). Text is valid UTF-8 afterwards: broken bytes become U+FFFD. One thread.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "data/byte_stream.h"

namespace finback {

struct Document {
  std::string text;
  std::string source;  // which part of a corpus; empty outside corpora
  std::string id;      // name in its source: file, entry
};
using DocumentSink = std::function<void(Document&&)>;

// Files of text at `path` in name order: the file itself, or those below a folder whose names end as listed above. Throws Error when there are none.
std::vector<std::filesystem::path> text_files(const std::filesystem::path& path);
bool is_jsonl(const std::filesystem::path& path);  // by name, plain or compressed
bool is_corpus_folder(const std::filesystem::path& path);

class TextReader {
 public:
  // split: which one of a corpus folder ("train" or "validation"); other inputs have none. Throws Error when there is nothing to read.
  explicit TextReader(const std::filesystem::path& path, const std::string& split = "train");

  // The next document; false at the end. Throws Error with file and line for a line that is not {"text": string, ...}.
  bool next(Document& document);

  // For progress: bytes of files as stored.
  uint64_t total_bytes() const { return total_bytes_; }
  uint64_t consumed_bytes() const;

 private:
  bool next_line(Document& document);
  std::vector<std::filesystem::path> files_;
  std::filesystem::path root_;
  size_t next_file_ = 0;
  std::unique_ptr<LineReader> lines_;  // of an open .jsonl file
  uint64_t total_bytes_ = 0, finished_bytes_ = 0;
};

}  // namespace finback
