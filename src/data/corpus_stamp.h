// Which build of a corpus something was made from: tokens.json keeps it, so that tokens whose corpus was built anew since are found out. Reads
// manifest.json, no text.
#pragma once
#include <filesystem>
#include <optional>
#include <string>

#include "base/json.h"

namespace finback {

// The hashes of all texts of both splits, as manifest.json records them: 16 hex digits each. Empty where it has none.
struct CorpusStamp {
  std::string train, validation;
  bool known() const { return !train.empty() && !validation.empty(); }
  bool operator==(const CorpusStamp&) const = default;
};
// Of the corpus in this folder as it is now. Nothing for a folder without a manifest.
std::optional<CorpusStamp> read_corpus_stamp(const std::filesystem::path& corpus);

// {"folder", "train", "validation"}: what tokens.json says of its corpus. The folder is relative to the tokens', so that both may be moved together.
Json corpus_stamp_json(const CorpusStamp& stamp, const std::filesystem::path& corpus, const std::filesystem::path& tokens);
// What is wrong with tokens in this folder, for an error or a warning, when the corpus that they name has been built anew with other text since; empty
// when nothing is, when nothing was recorded, and when the corpus is not there any more. index: tokens.json.
std::string why_older_than_corpus(const std::filesystem::path& tokens, const Json& index);

}  // namespace finback
