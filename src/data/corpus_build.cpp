#include "data/corpus_build.h"

#include <algorithm>
#include <set>
#include <unordered_set>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "base/output_place.h"
#include "base/progress.h"
#include "base/status_line.h"
#include "data/corpus_source.h"
#include "data/debian_package.h"
#include "data/document_spool.h"
#include "data/file_hash.h"
#include "data/jsonl_writer.h"
#include "data/split_plan.h"

namespace finback {
namespace fs = std::filesystem;
namespace {

std::string hex(uint64_t hash) { return fmt::format("{:016x}", hash); }

struct SplitCount {
  int64_t documents = 0, bytes = 0;
  Json json() const { return {{"documents", documents}, {"bytes", bytes}}; }
};

// What one source gave.
struct SourceReport {
  Json inputs = Json::array();
  int64_t files = 0;
  ExtractionCounts extracted;
  SplitCount train, validation, duplicates;
};

// 128 bits in two seeds: two different documents meet with probability 2^-128.
struct TextHash {
  uint64_t a = 0, b = 1;
  void add(std::string_view text) {
    a = xxhash64(text, a);
    b = xxhash64(text, b);
  }
  bool operator==(const TextHash&) const = default;
};
struct TextHashHash {
  size_t operator()(const TextHash& hash) const { return hash.a; }
};

std::string text_between(const std::string& text, size_t begin, size_t end) {
  const std::string_view part = std::string_view(text).substr(begin, end - begin);
  const size_t first = part.find_first_not_of("\n"), last = part.find_last_not_of(" \t\r\n");
  return last == std::string_view::npos ? "" : std::string(part.substr(first, last + 1 - first)) + "\n";
}

// The first pass over a source: its documents into a spool, each counted and known by hash.
class SourceSpool {
 public:
  SourceSpool(const CorpusSource& source, const fs::path& path, std::unordered_set<TextHash, TextHashHash>& seen)
      : source_(source), spool_(path), seen_(seen), unused_held_out_(source.held_out.begin(), source.held_out.end()) {}

  void add(Document&& document) {
    if (document.part <= 0) begin_document(document.id);
    documents_.back().bytes += document.text.size();
    hash_.add(document.text);
    spool_.add(documents_.size() - 1, document);
  }

  void finish(const ReadReport& read) {
    end_document();
    FB_CHECK(!documents_.empty(), "source {}: expected documents, got none{}", source_.name, read.why_nothing());
    for (const std::string& start : unused_held_out_) FB_FAIL("source {}: held_out \"{}\" names no document", source_.name, start);
  }

  DocumentSpool& spool() { return spool_; }
  const std::vector<SplitDocument>& documents() const { return documents_; }

 private:
  void begin_document(const std::string& id) {
    end_document();
    SplitDocument document;
    document.hash = xxhash64(source_.name + "\n" + id);
    for (const std::string& start : source_.held_out) {
      if (!id.starts_with(start)) continue;
      document.named = true;
      unused_held_out_.erase(start);
    }
    documents_.push_back(document);
    hash_ = TextHash();
  }
  void end_document() {
    if (!documents_.empty()) documents_.back().duplicate = !seen_.insert(hash_).second;
  }

  const CorpusSource& source_;
  DocumentSpool spool_;
  std::unordered_set<TextHash, TextHashHash>& seen_;
  std::set<std::string> unused_held_out_;
  std::vector<SplitDocument> documents_;
  TextHash hash_;  // of the document so far
};

class CorpusBuild {
 public:
  CorpusBuild(const CorpusRecipe& recipe, const CorpusOptions& options, ReadReport& read)
      : recipe_(recipe),
        options_(options),
        read_(read),
        train_(options.out / "train.jsonl.zst"),
        validation_(options.out / "validation.jsonl.zst") {}

  Json run() {
    Json sources = Json::array();
    for (const CorpusSource& source : recipe_.sources) {
      sources.push_back(source.package.empty() ? from_path(source) : from_package(source));
    }
    read_.check();
    FB_CHECK(train_.documents() > 0, "{}: expected documents to train on, got none", recipe_.name);
    // Without its manifest a folder is no corpus: a kill from here on never leaves one train split beside another's validation.
    fs::remove(options_.out / "manifest.json");
    sync_directory(options_.out);
    train_.commit();
    validation_.commit();
    const auto output = [](const JsonlWriter& writer) {
      return Json{{"documents", writer.documents()}, {"bytes", writer.text_bytes()}, {"text_xxhash", hex(writer.text_hash())}};
    };
    Json manifest = {{"format_version", kCorpusVersion},
                     {"name", recipe_.name},
                     {"about", recipe_.about},
                     {"train", output(train_)},
                     {"validation", output(validation_)},
                     {"duplicates", "exact copies of a document are dropped, the first one stays; lines are kept"},
                     {"reading", read_.json()},
                     {"sources", sources}};
    write_file_atomic(options_.out / "manifest.json", dump_json(manifest));
    return manifest;
  }

 private:
  Json from_package(const CorpusSource& source) {
    const FetchedPackage fetched = fetch_package(source.package, options_.cache, options_.refresh);
    FB_CHECK(fetched.package || source.optional, "{}", fetched.failure);
    if (!fetched.package) {
      warn(fmt::format("left out, because it is optional: {}", fetched.failure));
      return {{"name", source.name}, {"left_out", fetched.failure}};
    }
    const DebianPackage& package = *fetched.package;
    const UnpackedPackage unpacked(package, options_.cache);
    const auto shown_before = read_.show_as({unpacked.root().string(), package.name + ":"});
    SourceReport report;
    report.inputs.push_back({{"package", package.name},
                             {"version", package.version},
                             {"file", package.file.filename().string()},
                             {"bytes", int64_t(fs::file_size(package.file))},
                             {"xxhash", hex(hash_file(package.file))}});
    extract(source, source_files(source, unpacked.root(), read_), report);
    read_.show_as(shown_before);
    return json_of(source, report);
  }

  Json from_path(const CorpusSource& source) {
    const std::vector<SourceFile> files = source_files(source, source.path, read_, options_.out);
    SourceReport report;
    double total = 0, done = 0;
    for (const SourceFile& file : files) total += double(fs::file_size(file.path)) / 1e6;
    Progress progress("hash " + source.name, total, "MB");
    for (const SourceFile& file : files) {
      const uint64_t hash = hash_in_pieces(file.path, [&](uint64_t bytes) {
        options_.check();
        progress.update(done + double(bytes) / 1e6);
      });
      report.inputs.push_back({{"file", file.path.string()}, {"bytes", int64_t(fs::file_size(file.path))}, {"xxhash", hex(hash)}});
      done += double(fs::file_size(file.path)) / 1e6;
    }
    progress.finish();
    extract(source, files, report);
    return json_of(source, report);
  }

  void extract(const CorpusSource& source, const std::vector<SourceFile>& files, SourceReport& report) {
    SourceSpool spool(source, options_.out / "documents.tmp", seen_);
    double total = 0, done = 0;
    for (const SourceFile& file : files) total += double(fs::file_size(file.path)) / 1e6;
    Progress progress("extract " + source.name, total, "MB");
    for (const SourceFile& file : files) {
      const double size = double(fs::file_size(file.path)) / 1e6;
      const ExtractionCounts counts = extract_documents(
          source, file, [&](Document&& document) { spool.add(std::move(document)); },
          [&](double share) {
            options_.check();
            progress.update(done + share * size);
          },
          read_);
      options_.check();
      ++report.files;
      report.extracted.pieces += counts.pieces;
      report.extracted.repaired += counts.repaired;
      report.extracted.dropped_lines += counts.dropped_lines;
      progress.update(done += size);
    }
    progress.finish();
    spool.finish(read_);
    split(source, spool, report);
  }

  // The second pass: from the spool to the two splits.
  void split(const CorpusSource& source, SourceSpool& spool, SourceReport& report) {
    const std::vector<SplitDocument>& documents = spool.documents();
    const std::vector<uint64_t> held = plan_split(documents, source.validation_share);
    double total = 0, done = 0;
    for (const SplitDocument& document : documents) {
      total += double(document.bytes) / 1e6;
      report.duplicates.documents += document.duplicate;
      report.duplicates.bytes += document.duplicate ? int64_t(document.bytes) : 0;
    }
    Progress progress("write " + source.name, total, "MB");
    uint64_t current = UINT64_MAX, position = 0;  // of the part in its document
    spool.spool().read([&](uint64_t number, Document&& part) {
      options_.check();
      if (std::exchange(current, number) != number) position = 0;
      const uint64_t bytes = part.text.size(), boundary = documents[number].bytes - held[number],
                     begin = std::exchange(position, position + bytes);
      progress.update(done += double(bytes) / 1e6);
      if (documents[number].duplicate) {
        if (begin == 0) read_.left_out("an exact copy of an earlier document", part.id);
        return;
      }
      if (begin + bytes <= boundary || begin >= boundary) return write(begin >= boundary, part, report);
      divide(part, boundary - begin, report);
    });
    progress.finish();
    warn_of_share(source, report);
  }

  // One document lies on both sides: its end, from about `at` on, is held out.
  void divide(const Document& part, uint64_t at, SourceReport& report) {
    const uint64_t end = part.text.size() - at, slack = std::min(at, end) / 20;
    const size_t place =
        at == 0 ? 0 : cut_place(part.text, size_t(at - std::min(at, slack + 1)), size_t(std::min(part.text.size(), at + slack)));
    const std::string id = document_name(part);
    write(false, {text_between(part.text, 0, place), part.source, id, -1}, report);
    write(true, {text_between(part.text, place, part.text.size()), part.source, id + "/end", -1}, report);
  }

  void write(bool held_out, const Document& document, SourceReport& report) {
    if (document.text.empty()) return;
    SplitCount& count = held_out ? report.validation : report.train;
    ++count.documents;
    count.bytes += int64_t(document.text.size());
    (held_out ? validation_ : train_).write(document);
  }

  void warn_of_share(const CorpusSource& source, const SourceReport& report) {
    if (source.validation_share == 0 || !source.held_out.empty()) return;
    const double all = double(report.train.bytes + report.validation.bytes), got = double(report.validation.bytes) / all;
    if (got > 0.8 * source.validation_share && got < 1.2 * source.validation_share) return;
    read_.changed(fmt::format("{:.1f} % held out for validation, where {:.1f} % was asked for: so little text is not cut finer", 100 * got,
                              100 * source.validation_share),
                  "source " + source.name);
  }

  static Json json_of(const CorpusSource& source, const SourceReport& report) {
    CorpusSource fields = source;
    return {{"name", source.name},
            {"train", report.train.json()},
            {"validation", report.validation.json()},
            {"duplicates_dropped", report.duplicates.json()},
            {"files", report.files},
            {"pieces", report.extracted.pieces},
            {"pieces_with_repaired_utf8", report.extracted.repaired},
            {"lines_dropped", report.extracted.dropped_lines},
            {"recipe", dump_fields(fields)},
            {"inputs", report.inputs}};
  }

  const CorpusRecipe& recipe_;
  const CorpusOptions& options_;
  ReadReport& read_;
  JsonlWriter train_, validation_;
  std::unordered_set<TextHash, TextHashHash> seen_;
};

// The output folder must hold no input: building would write over it. An input folder may hold the output, which is left out then.
void check_not_inside(const CorpusSource& source, const fs::path& out) {
  std::vector<fs::path> inputs(source.paths.begin(), source.paths.end());
  if (source.package.empty() && source.paths.empty()) {
    if (source.files.empty()) inputs.push_back(source.path);
    for (const std::string& file : source.files) inputs.push_back(fs::path(source.path) / file);
  }
  for (const fs::path& input : inputs) {
    std::error_code none;
    bool inside = false;
    for (fs::path place = fs::weakly_canonical(input, none); !inside && !place.empty(); place = place.parent_path()) {
      inside = fs::equivalent(place, out, none);
      if (place == place.parent_path()) break;
    }
    FB_CHECK(!inside, "--out {}: expected a folder apart from the input, got one that is or holds {}. Hint: --out OTHER_FOLDER",
             out.string(), input.string());
  }
}

}  // namespace

Json build_corpus(const CorpusRecipe& recipe, const CorpusOptions& options, ReadReport& report) {
  for (const CorpusSource& source : recipe.sources) check_not_inside(source, options.out);
  ResultFolder folder(options.out);
  Json manifest = CorpusBuild(recipe, options, report).run();
  folder.keep();
  return manifest;
}

}  // namespace finback
