// One source of a recipe as a stream of documents: find its files, read them by their format, clean lines, cut or join into documents.
// Knows nothing of splits, duplicates or output. One thread.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "data/corpus_recipe.h"
#include "data/text_reader.h"

namespace finback {

// The files of `source` under `root` (an unpacked package, or its local path) in name order; symbolic links are skipped. Throws Error when
// there are none.
std::vector<std::filesystem::path> source_files(const CorpusSource& source, const std::filesystem::path& root);

struct ExtractionCounts {
  int64_t files = 0, pieces = 0;
  int64_t repaired = 0;  // pieces with bytes that were not UTF-8 and became U+FFFD
  int64_t dropped_lines = 0;
};

// Gives every document of `files` to `sink`, in order. Documents have no blank lines at their ends, and text; ids are unique if entries' names are.
ExtractionCounts extract_documents(const CorpusSource& source, const std::filesystem::path& root,
                                   const std::vector<std::filesystem::path>& files, const DocumentSink& sink);

}  // namespace finback
