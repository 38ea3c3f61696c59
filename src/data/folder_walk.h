// The text files of a folder, by one set of rules for every verb: what is taken, and a word in the report for all that is not. Knows names and
// links, reads nothing. One thread.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "data/read_report.h"

namespace finback {

struct WalkRules {
  std::vector<std::string> suffixes;  // ends of names to take; empty: those of has_text_ending
  std::vector<std::string> skip;      // parts of paths below `base` to leave out
  std::filesystem::path base;         // empty: the folder itself
  bool follow_links = true;           // else links are left out: in an unpacked package they may lead anywhere
  std::filesystem::path output;       // a folder that this command writes
};

// The last ending in lower case, or the one before .gz or .zst, which say how and not what.
std::string inner_ending(const std::filesystem::path& path);
// Endings of text, in any case and also with .gz or .zst behind: .txt .text .md .markdown .rst .org .adoc .tex, .jsonl .ndjson.
bool has_text_ending(const std::filesystem::path& path);
// .jsonl and .ndjson: a line is a record.
bool has_record_ending(const std::filesystem::path& path);
inline constexpr const char* kTextEndings = ".txt .text .md .markdown .rst .org .adoc .tex .jsonl .ndjson, also .gz .zst";

// Files below `root` in the order of their paths, each once, however many links lead to it. Links to files and folders are followed. Left out, and
// said in `report`: hidden files and folders (a dot in front), resource forks, other endings, links that lead nowhere or in a circle, what is no
// regular file or cannot be opened, a corpus of ours inside the folder. Throws Error for what is no folder.
std::vector<std::filesystem::path> walk_folder(const std::filesystem::path& root, const WalkRules& rules, ReadReport& report);

bool is_corpus_folder(const std::filesystem::path& path);  // made by finback corpus build

}  // namespace finback
