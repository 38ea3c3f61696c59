// Builds a corpus from a recipe: fetch, extract, drop exact duplicates, split, write. The output folder holds train.jsonl.zst, validation.jsonl.zst
// and, written last, manifest.json: versions and xxhash of every input, counts and sizes per source, what was dropped, left out and repaired. The
// same inputs and recipe give the same bytes.
//
// Note [Two passes]: what is held out is a share of a source's bytes, which are known when all of it has been read. So its documents go to a
// temporary file beside the output (packed, about a third of the text) and from there to the two splits. Memory: a few parts of a document, and about
// 60 bytes for each document.
#pragma once
#include <filesystem>
#include <functional>

#include "base/json.h"
#include "data/corpus_recipe.h"
#include "data/read_report.h"

namespace finback {

struct CorpusOptions {
  std::filesystem::path out;
  std::filesystem::path cache;  // downloaded packages
  bool refresh = false;         // fetch packages again even if the cache has them
  // Called every few megabytes: what it throws ends the build as an error does, with its temporary files removed.
  std::function<void()> check = [] {};
};

// Returns the manifest; `report` has what became of the input. Throws Error naming the source and file at fault, and for an `out` that another process
// builds into; an older corpus in `out` stays whole until the new one is
// ready to take its place, and folders made for one that is refused go again; a kill while it does leaves a folder without manifest, which is no corpus.
Json build_corpus(const CorpusRecipe& recipe, const CorpusOptions& options, ReadReport& report);

constexpr int64_t kCorpusVersion = 1;  // of manifest.json

}  // namespace finback
