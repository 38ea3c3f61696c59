#include "data/corpus_source.h"

#include <algorithm>
#include <cctype>

#include "base/error.h"
#include "data/dictionaries.h"
#include "data/document_cutter.h"
#include "data/r_strings.h"
#include "tokenizer/utf8.h"

namespace finback {
namespace fs = std::filesystem;
namespace {

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

// A folder's files, or the file itself; ids begin below `base`.
void add_files(const CorpusSource& source, const fs::path& place, const fs::path& base, const WalkRules& rules, ReadReport& report,
               std::vector<SourceFile>& files) {
  FB_CHECK(fs::exists(place), "source {}: expected a file or folder {}, got nothing of that name", source.name, place.string());
  FB_CHECK(!fs::is_directory(place) || !is_corpus_folder(place),
           "{}: expected text, got a corpus that finback has built. Hint: name its train.jsonl.zst", place.string());
  FB_CHECK(fs::is_directory(place) || fs::is_regular_file(place),
           "{}: expected a file or folder, got a pipe or device: it is read more than once", place.string());
  const auto id_of = [&](const fs::path& file) { return file == base ? file.filename().string() : file.lexically_relative(base).string(); };
  if (!fs::is_directory(place)) return files.push_back({place, id_of(place), true});
  for (const fs::path& file : walk_folder(place, rules, report)) files.push_back({file, id_of(file), false});
}

// Whole texts of formats that are read in one go.
std::vector<DictionaryEntry> read_entries(const CorpusSource& source, const fs::path& file) {
  if (source.format == "dictd") return read_dictd(file);
  if (source.format == "wordnet") return read_wordnet(file);
  std::vector<DictionaryEntry> books;
  for (std::string& text : read_r_strings(file)) {
    std::string title = slug(first_line_of(text));
    books.push_back({std::move(title), std::move(text)});
  }
  return books;
}

}  // namespace

std::vector<SourceFile> source_files(const CorpusSource& source, const fs::path& root, ReadReport& report, const fs::path& output) {
  std::vector<SourceFile> files;
  WalkRules rules;
  rules.suffixes = source.suffixes;
  rules.skip = source.skip;
  rules.follow_links = source.package.empty();
  rules.output = output;
  for (const std::string& path : source.paths) {
    const fs::path place = fs::path(path).has_filename() ? fs::path(path) : fs::path(path).parent_path();
    rules.base = place;
    add_files(source, place, place.parent_path(), rules, report, files);
  }
  if (source.paths.empty()) {
    rules.base = root;
    // Ids begin below the one folder that the recipe names, so that they do not change with the version in its path.
    const fs::path base = source.files.size() == 1 && source.files[0] != "." ? root / source.files[0] : root;
    const std::vector<std::string> whole = {"."};
    for (const std::string& name : source.files.empty() ? whole : source.files) {
      add_files(source, name == "." ? root : root / name, base, rules, report, files);
    }
  }
  std::sort(files.begin(), files.end(), [](const SourceFile& a, const SourceFile& b) { return a.path < b.path; });
  FilesSeen seen;
  std::erase_if(files, [&](const SourceFile& file) {
    const bool again = !seen.add(file.path);
    if (again) report.left_out(kNamedTwice, file.path.string());
    return again;
  });
  FB_CHECK(
      !files.empty(), "{}: expected files that end in {}{}, got none{}",
      source.paths.empty() ? fmt::format("source {}: {}", source.name, root.string()) : fmt::format("{}", fmt::join(source.paths, ", ")),
      source.suffixes.empty() ? kTextEndings : "one of suffixes", source.skip.empty() ? "" : " and fit skip", report.why_nothing());
  return files;
}

ExtractionCounts extract_documents(const CorpusSource& source, const SourceFile& file, const DocumentSink& sink,
                                   const ShareSink& on_progress, ReadReport& report) {
  DocumentCutter cutter(source, sink);
  ExtractionCounts counts;
  const double size = std::max(1.0, double(fs::file_size(file.path)));
  if (source.format == "text") {
    TextRules rules;
    rules.encoding = source.encoding;
    rules.keep_crlf = source.crlf == "keep";
    if (const auto reader = open_text(file.path, file.id, rules, file.named, report)) {
      int64_t documents = 0;
      for (Document document; reader->next(document); ++documents) {
        const int64_t cuts = cutter.cuts();
        cutter.add(document.id, document.part <= 0, document.text);
        const int64_t parts = 1 + cutter.cuts() - cuts;
        // The reader says it of files.
        if (document.part < 0 && parts > 1) {
          report.changed(cut_into_parts(), fmt::format("{}: {} ({} parts)", file.path.string(), document.id, parts));
        }
        if (on_progress && (documents % 256 == 0 || document.part >= 0)) on_progress(double(reader->consumed()) / size);
      }
      counts.repaired = reader->repaired();
    }
  } else {
    const std::vector<DictionaryEntry> entries = read_entries(source, file.path);
    report.file_read(fs::file_size(file.path));
    for (size_t i = 0; i < entries.size(); ++i) {
      const bool valid = utf8_valid_prefix(entries[i].text) == entries[i].text.size();
      if (!valid) report.repaired("bytes that are no UTF-8, now U+FFFD", file.path.string() + ": " + entries[i].headword);
      counts.repaired += !valid;
      report.text_read(entries[i].text.size());
      cutter.add(entries[i].headword, true, valid ? entries[i].text : utf8_lossy(entries[i].text));
      if (on_progress && i % 256 == 0) on_progress(double(i) / double(entries.size()));
    }
  }
  cutter.finish();
  counts.pieces = cutter.pieces();
  counts.dropped_lines = cutter.dropped_lines();
  return counts;
}

}  // namespace finback
