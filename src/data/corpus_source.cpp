#include "data/corpus_source.h"

#include <algorithm>
#include <cctype>

#include "base/error.h"
#include "data/dictionaries.h"
#include "data/r_strings.h"
#include "tokenizer/utf8.h"

namespace finback {
namespace fs = std::filesystem;
namespace {

bool wanted(const CorpusSource& source, const fs::path& file, const fs::path& root) {
  const std::string inside = file.lexically_relative(root).string();
  for (const std::string& fragment : source.skip) {
    if (inside.find(fragment) != std::string::npos) return false;
  }
  if (source.suffixes.empty()) return true;
  return std::any_of(source.suffixes.begin(), source.suffixes.end(), [&](const std::string& suffix) { return inside.ends_with(suffix); });
}

// Files of a folder, by suffix where the recipe names some.
std::vector<fs::path> files_below(const CorpusSource& source, const fs::path& folder) {
  if (source.suffixes.empty()) return text_files(folder);
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (!entry.is_symlink() && entry.is_regular_file()) files.push_back(entry.path());
  }
  return files;
}

// "SENSE AND SENSIBILITY" -> "sense-and-sensibility".
std::string slug(std::string_view title) {
  std::string out;
  for (const char c : title) {
    const bool plain = std::isalnum(uint8_t(c)) && uint8_t(c) < 0x80;
    if (plain) {
      out += char(std::tolower(uint8_t(c)));
    } else if (!out.empty() && out.back() != '-') {
      out += '-';
    }
  }
  while (!out.empty() && out.back() == '-') out.pop_back();
  return out;
}

std::string_view first_line_of(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t\r\n");
  return begin == std::string_view::npos ? std::string_view() : text.substr(begin, text.find('\n', begin) - begin);
}

bool begins_with_any_case(std::string_view line, std::string_view start) {
  if (start.empty() || line.size() < start.size()) return false;
  return std::equal(start.begin(), start.end(), line.begin(),
                    [](char a, char b) { return std::tolower(uint8_t(a)) == std::tolower(uint8_t(b)); });
}

// From pieces of a format to documents.
class DocumentCutter {
 public:
  DocumentCutter(const CorpusSource& source, const DocumentSink& sink) : source_(source), sink_(sink) {}

  void piece(const std::string& id, std::string&& raw) {
    ++counts.pieces;
    const bool valid = utf8_valid_prefix(raw) == raw.size();
    const std::string text = valid ? std::move(raw) : utf8_lossy(raw);
    counts.repaired += !valid;
    if (source_.document_start.empty()) {
      const std::string cleaned = clean(text);
      source_.document_bytes > 0 ? join(id, cleaned) : give(id, cleaned);
    } else {
      cut(id, text);
    }
  }
  void finish() {
    give(joined_id_, joined_);
    joined_.clear();
  }

  ExtractionCounts counts;

 private:
  bool is_dropped(std::string_view line) const {
    const size_t begin = line.find_first_not_of(' ');
    if (begin == std::string_view::npos) return false;
    const std::string_view trimmed = line.substr(begin, line.find_last_not_of(" \r") + 1 - begin);
    return std::any_of(source_.drop_lines.begin(), source_.drop_lines.end(), [&](const std::string& start) {
      return trimmed.starts_with(start) && (start.front() != '[' || trimmed.back() == ']');
    });
  }

  std::string clean(std::string_view text) {
    if (source_.unindent == 0 && source_.drop_lines.empty()) return std::string(text);
    std::string out;
    out.reserve(text.size());
    for (size_t begin = 0; begin < text.size();) {
      const size_t end = std::min(text.find('\n', begin), text.size());
      std::string_view line = text.substr(begin, end - begin);
      begin = end + 1;
      if (is_dropped(line)) {
        ++counts.dropped_lines;
        continue;
      }
      line.remove_prefix(std::min({line.find_first_not_of(' '), line.size(), size_t(source_.unindent)}));
      out.append(line).push_back('\n');
    }
    return out;
  }

  // A part begins at each line that document_start names; what stands before the first one is a part too.
  void cut(const std::string& id, std::string_view text) {
    int64_t part = 0;
    size_t part_begin = 0;
    const auto end_part = [&](size_t end) { give(fmt::format("{}/{:03}", id, part++), clean(text.substr(part_begin, end - part_begin))); };
    for (size_t begin = 0; begin < text.size();) {
      const size_t end = std::min(text.find('\n', begin), text.size());
      if (begin > 0 && begins_with_any_case(text.substr(begin, end - begin), source_.document_start)) {
        end_part(begin);
        part_begin = begin;
      }
      begin = end + 1;
    }
    end_part(text.size());
  }

  void join(const std::string& id, std::string_view text) {
    text = text.substr(0, text.find_last_not_of(" \t\r\n") + 1);
    if (text.empty()) return;
    if (joined_.empty()) joined_id_ = id;
    joined_.append(text).append(source_.format == "dictd" ? "\n\n" : "\n");  // an entry has lines of its own, a gloss is one line
    if (int64_t(joined_.size()) < source_.document_bytes) return;
    give(joined_id_, joined_);
    joined_.clear();
  }

  void give(const std::string& id, std::string_view text) {
    const size_t last = text.find_last_not_of(" \t\r\n");
    if (last == std::string_view::npos) return;
    size_t begin = text.find_first_not_of(" \t\r\n");
    begin = begin == 0                                          ? 0
            : text.rfind('\n', begin) == std::string_view::npos ? 0
                                                                : text.rfind('\n', begin) + 1;  // keeps the first line's indent
    sink_({std::string(text.substr(begin, last + 1 - begin)) + "\n", source_.name, id});
  }

  const CorpusSource& source_;
  const DocumentSink& sink_;
  std::string joined_, joined_id_;
};

// on_progress: share of the file done.
void read_pieces(const CorpusSource& source, const fs::path& file, const std::string& id, DocumentCutter& cutter,
                 const ShareSink& on_progress) {
  const auto report = [&](uint64_t done, uint64_t total) {
    if (on_progress && done % 256 == 0) on_progress(double(done) / double(total));
  };
  if (source.format == "r-strings") {
    for (std::string& text : read_r_strings(file)) {
      const std::string title = slug(first_line_of(text));
      cutter.piece(title, std::move(text));
    }
  } else if (source.format == "dictd" || source.format == "wordnet") {
    std::vector<DictionaryEntry> entries = source.format == "dictd" ? read_dictd(file) : read_wordnet(file);
    for (size_t i = 0; i < entries.size(); ++i) {
      cutter.piece(entries[i].headword, std::move(entries[i].text));
      report(i, entries.size());
    }
  } else if (is_jsonl(file)) {
    TextReader reader(file);
    int64_t documents = 0;
    for (Document document; reader.next(document); ++documents) {
      cutter.piece(document.id, std::move(document.text));
      if (on_progress && documents % 256 == 0) on_progress(double(reader.consumed_bytes()) / double(reader.total_bytes()));
    }
  } else {
    cutter.piece(id, read_decompressed(file));
  }
}

}  // namespace

std::vector<fs::path> source_files(const CorpusSource& source, const fs::path& root) {
  std::vector<fs::path> files;
  const std::vector<std::string> whole = {"."};
  for (const std::string& name : source.files.empty() ? whole : source.files) {
    const fs::path place = name == "." ? root : root / name;
    FB_CHECK(fs::exists(place), "source {}: expected {} in {}, got nothing of that name", source.name, name,
             source.package.empty() ? root.string() : source.package);
    if (fs::is_directory(place)) {
      for (const fs::path& file : files_below(source, place)) {
        if (wanted(source, file, root)) files.push_back(file);
      }
    } else {
      files.push_back(place);
    }
  }
  std::sort(files.begin(), files.end());
  files.erase(std::unique(files.begin(), files.end()), files.end());
  FB_CHECK(!files.empty(), "source {}: expected files that fit suffixes and skip, got none", source.name);
  return files;
}

ExtractionCounts extract_documents(const CorpusSource& source, const fs::path& root, const fs::path& file, const DocumentSink& sink,
                                   const ShareSink& on_progress) {
  // Ids begin below the one folder that the recipe names, so that they do not change with the version in its path.
  const fs::path base = source.files.size() == 1 ? root / source.files[0] : root;
  const std::string id = file == base || file == root ? file.filename().string() : file.lexically_relative(base).string();
  DocumentCutter cutter(source, sink);
  read_pieces(source, file, id, cutter, on_progress);
  cutter.finish();
  return cutter.counts;
}

}  // namespace finback
