// Which text is held out for validation: a share of the bytes of a source. Pure functions; knows no text.
#pragma once
#include <cstdint>
#include <vector>

namespace finback {

// One document, all its parts together.
struct SplitDocument {
  uint64_t hash = 0;  // of source and id: where the document stands in the order in which documents are held out
  uint64_t bytes = 0;
  bool named = false;      // by held_out of the recipe
  bool duplicate = false;  // of an earlier document: on no side
};

// For each document how many bytes of its end are held out. Named ones are, whole. Of the others `share` of the bytes: those whose hash is below
// share * 2^64 while these come within 15 % of it, so that a document's side hardly depends on the others; else whole documents in the order of
// their hashes, and the end of one document where no whole one fits. Too little text to cut (256 bytes held out of several documents, 32 of a
// single one) is held out in whole documents or not at all. Never all of what is not named.
std::vector<uint64_t> plan_split(const std::vector<SplitDocument>& documents, double share);

}  // namespace finback
