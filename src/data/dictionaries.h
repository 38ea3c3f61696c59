// Dictionaries of Debian packages as named entries in file order: dictd databases (NAME.dict.dz with NAME.index) and WordNet's data files.
// Text comes as it is stored (valid UTF-8 is the caller's care). Throws Error naming file and line for what does not fit the format.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

namespace finback {

struct DictionaryEntry {
  std::string headword, text;
};

// `path` names the .dict.dz; the index lies beside it: headword, offset and length in base 64, tab-separated. The database's description of itself
// (headwords that begin with "00database" or "00-database") is left out, and entries under several headwords come once.
std::vector<DictionaryEntry> read_dictd(const std::filesystem::path& path);

// The glosses of a data.{noun,verb,adj,adv}: what follows the first "| " of a line, under the line's first word.
std::vector<DictionaryEntry> read_wordnet(const std::filesystem::path& path);

}  // namespace finback
