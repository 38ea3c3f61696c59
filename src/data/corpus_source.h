// One source of a recipe as a stream of documents: find its files, read them by their format, give them to a DocumentCutter. Knows nothing of
// splits, duplicates or output. One thread.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "data/corpus_recipe.h"
#include "data/text_reader.h"

namespace finback {

// A file of a source: named by the user, or met on a walk over a folder; what its documents are called.
struct SourceFile {
  std::filesystem::path path;
  std::string id;
  bool named = false;
};

// The files of `source` under `root` (an unpacked package, or its local path; not looked at when the source has several paths) in name order.
// What a walk over a folder leaves out goes to `report`. output: the folder that is written, never read. Throws Error when there are no files.
std::vector<SourceFile> source_files(const CorpusSource& source, const std::filesystem::path& root, ReadReport& report,
                                     const std::filesystem::path& output = {});

struct ExtractionCounts {
  int64_t pieces = 0;    // files, entries, glosses, books
  int64_t repaired = 0;  // pieces with bytes that were not UTF-8 and became U+FFFD
  int64_t dropped_lines = 0;
};
using ShareSink = std::function<void(double share_done)>;

// Gives every document of one of the source's files to `sink`, in order: never empty, no blank lines at the ends, one newline behind. on_progress
// may be null. Throws Error for a file that is not of the source's format, naming the place.
ExtractionCounts extract_documents(const CorpusSource& source, const SourceFile& file, const DocumentSink& sink,
                                   const ShareSink& on_progress, ReadReport& report);

}  // namespace finback
