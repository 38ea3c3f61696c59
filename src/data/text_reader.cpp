#include "data/text_reader.h"

#include <algorithm>

#include "base/error.h"
#include "base/json.h"
#include "tokenizer/utf8.h"

namespace finback {
namespace fs = std::filesystem;
namespace {

// The name without .gz or .zst, which say how and not what.
std::string inner_extension(const fs::path& path) {
  const std::string last = path.extension().string();
  return last == ".gz" || last == ".zst" ? path.stem().extension().string() : last;
}
bool is_text(const fs::path& path) {
  const std::string extension = inner_extension(path);
  return extension == ".txt" || extension == ".md" || extension == ".rst" || extension == ".jsonl";
}

}  // namespace

bool is_jsonl(const fs::path& path) { return inner_extension(path) == ".jsonl"; }

bool is_corpus_folder(const fs::path& path) { return fs::exists(path / "manifest.json") && fs::exists(path / "train.jsonl.zst"); }

std::vector<fs::path> text_files(const fs::path& path) {
  FB_CHECK(fs::exists(path), "{}: expected a text file or a folder of them, got nothing of that name", path.string());
  std::vector<fs::path> files;
  if (!fs::is_directory(path)) {
    FB_CHECK(is_text(path), "{}: expected .txt, .md, .rst or .jsonl, plain or with .gz or .zst behind", path.string());
    return {path};
  }
  for (const auto& entry : fs::recursive_directory_iterator(path)) {
    if (!entry.is_symlink() && entry.is_regular_file() && is_text(entry.path())) files.push_back(entry.path());
  }
  FB_CHECK(!files.empty(), "{}: expected .txt, .md, .rst or .jsonl files (also .gz, .zst) in this folder, got none", path.string());
  std::sort(files.begin(), files.end());
  return files;
}

TextReader::TextReader(const fs::path& path, const std::string& split)
    : files_(is_corpus_folder(path) ? std::vector<fs::path>{path / (split + ".jsonl.zst")} : text_files(path)), root_(path) {
  for (const fs::path& file : files_) {
    FB_CHECK(fs::exists(file), "{}: expected this file of a corpus, got none. Hint: run finback corpus build again", file.string());
    total_bytes_ += fs::file_size(file);
  }
}

bool TextReader::next(Document& document) {
  while (true) {
    if (lines_) {
      if (next_line(document)) return true;
      finished_bytes_ += lines_->consumed();
      lines_.reset();
    }
    if (next_file_ == files_.size()) return false;
    const fs::path& file = files_[next_file_++];
    if (is_jsonl(file)) {
      lines_ = std::make_unique<LineReader>(file);
      continue;
    }
    document.text = utf8_lossy(read_decompressed(file));
    document.source.clear();
    document.id = file == root_ ? file.filename().string() : file.lexically_relative(root_).string();
    finished_bytes_ += fs::file_size(file);
    return true;
  }
}

bool TextReader::next_line(Document& document) {
  std::string line;
  do {
    if (!lines_->next(line)) return false;
  } while (line.find_first_not_of(" \t\r") == std::string::npos);
  const fs::path& file = files_[next_file_ - 1];
  const std::string what = fmt::format("{}: line {}", file.string(), lines_->line_number());
  const Json json = parse_json(utf8_lossy(line), what);
  FB_CHECK(json.is_object(), "{}: expected {{\"text\": ...}}, got {}", what, json.type_name());
  document.text = json_string(json, "text", what);
  document.source = json.contains("source") ? json_string(json, "source", what) : "";
  document.id = json.contains("id") && json.at("id").is_string() ? json.at("id").get<std::string>()
                                                                 : fmt::format("{}:{}", file.filename().string(), lines_->line_number());
  return true;
}

uint64_t TextReader::consumed_bytes() const { return finished_bytes_ + (lines_ ? lines_->consumed() : 0); }

}  // namespace finback
