#include "data/corpus_build.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "base/progress.h"
#include "data/corpus_source.h"
#include "data/debian_package.h"
#include "data/jsonl_writer.h"

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
  std::set<std::string> unused_held_out;
};

class CorpusBuild {
 public:
  CorpusBuild(const CorpusRecipe& recipe, const CorpusOptions& options)
      : recipe_(recipe), options_(options), train_(options.out / "train.jsonl.zst"), validation_(options.out / "validation.jsonl.zst") {}

  Json run() {
    Json sources = Json::array();
    for (const CorpusSource& source : recipe_.sources) {
      sources.push_back(source.package.empty() ? from_path(source) : from_package(source));
    }
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
                     {"sources", sources}};
    write_file_atomic(options_.out / "manifest.json", dump_json(manifest));
    return manifest;
  }

 private:
  Json from_package(const CorpusSource& source) {
    const FetchedPackage fetched = fetch_package(source.package, options_.cache, options_.refresh);
    FB_CHECK(fetched.package || source.optional, "{}", fetched.failure);
    if (!fetched.package) {
      fmt::print(stderr, "left out, because it is optional: {}\n", fetched.failure);
      return {{"name", source.name}, {"left_out", fetched.failure}};
    }
    const DebianPackage& package = *fetched.package;
    const UnpackedPackage unpacked(package, options_.cache);
    SourceReport report;
    report.inputs.push_back({{"package", package.name},
                             {"version", package.version},
                             {"file", package.file.filename().string()},
                             {"bytes", int64_t(fs::file_size(package.file))},
                             {"xxhash", hex(hash_file(package.file))}});
    extract(source, unpacked.root(), source_files(source, unpacked.root()), report);
    return json_of(source, report);
  }

  Json from_path(const CorpusSource& source) {
    const std::vector<fs::path> files = source_files(source, source.path);
    SourceReport report;
    for (const fs::path& file : files) {
      report.inputs.push_back({{"file", file.string()}, {"bytes", int64_t(fs::file_size(file))}, {"xxhash", hex(hash_file(file))}});
    }
    extract(source, source.path, files, report);
    return json_of(source, report);
  }

  void extract(const CorpusSource& source, const fs::path& root, const std::vector<fs::path>& files, SourceReport& report) {
    report.unused_held_out.insert(source.held_out.begin(), source.held_out.end());
    double total = 0, done = 0;
    for (const fs::path& file : files) total += double(fs::file_size(file)) / 1e6;
    Progress progress("extract " + source.name, total, "MB");
    for (const fs::path& file : files) {
      const double size = double(fs::file_size(file)) / 1e6;
      const ExtractionCounts counts = extract_documents(
          source, root, file, [&](Document&& document) { add(source, std::move(document), report); },
          [&](double share) { progress.update(done + share * size); });
      ++report.files;
      report.extracted.pieces += counts.pieces;
      report.extracted.repaired += counts.repaired;
      report.extracted.dropped_lines += counts.dropped_lines;
      progress.update(done += size);
    }
    progress.finish();
    FB_CHECK(report.train.documents + report.validation.documents + report.duplicates.documents > 0,
             "source {}: expected documents, got none", source.name);
    for (const std::string& start : report.unused_held_out) FB_FAIL("source {}: held_out \"{}\" names no document", source.name, start);
  }

  void add(const CorpusSource& source, Document&& document, SourceReport& report) {
    const int64_t bytes = int64_t(document.text.size());
    // 128 bits in two seeds: two different documents meet with probability 2^-128.
    if (!seen_.emplace(xxhash64(document.text), xxhash64(document.text, 1)).second) {
      ++report.duplicates.documents;
      report.duplicates.bytes += bytes;
      return;
    }
    for (const std::string& start : source.held_out) {
      if (document.id.starts_with(start)) report.unused_held_out.erase(start);
    }
    const bool held_out = is_held_out(source, document.id);
    SplitCount& count = held_out ? report.validation : report.train;
    ++count.documents;
    count.bytes += bytes;
    (held_out ? validation_ : train_).write(document);
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
  JsonlWriter train_, validation_;
  std::set<std::pair<uint64_t, uint64_t>> seen_;
};

}  // namespace

bool is_held_out(const CorpusSource& source, const std::string& id) {
  for (const std::string& start : source.held_out) {
    if (id.starts_with(start)) return true;
  }
  return double(xxhash64(source.name + "\n" + id)) * 0x1p-64 < source.validation_share;
}

Json build_corpus(const CorpusRecipe& recipe, const CorpusOptions& options) {
  make_directories(options.out);
  return CorpusBuild(recipe, options).run();
}

}  // namespace finback
