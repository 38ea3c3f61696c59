// Builds a corpus from a recipe: fetch, extract, drop exact duplicates, split by whole documents, write. The output folder holds
// train.jsonl.zst, validation.jsonl.zst and, written last, manifest.json: versions and xxhash of every input, counts and sizes per source,
// what was dropped. The same inputs and recipe give the same bytes.
#pragma once
#include <filesystem>

#include "base/json.h"
#include "data/corpus_recipe.h"

namespace finback {

struct CorpusOptions {
  std::filesystem::path out;
  std::filesystem::path cache;  // downloaded packages
  bool refresh = false;         // fetch packages again even if the cache has them
};

// Returns the manifest. Throws Error naming the source and file at fault; an older corpus in `out` stays whole until the new one is
// ready to take its place; a kill while it does leaves a folder without manifest, which is no corpus.
Json build_corpus(const CorpusRecipe& recipe, const CorpusOptions& options);

// Whole documents are held out: those that held_out names, and a share chosen by a hash of source and id. So a document's side does not
// depend on the other documents.
bool is_held_out(const CorpusSource& source, const std::string& id);

constexpr int64_t kCorpusVersion = 1;  // of manifest.json

}  // namespace finback
