// The answers' file of an offline batch: whole lines that are only ever appended, and beside it, in OUT.run, what they were made with. One process.
#pragma once
#include <cstdint>
#include <filesystem>
#include <set>
#include <string>
#include <unordered_map>

#include "base/json.h"

namespace finback {

class OfflineOut {
 public:
  // Reads what a run before has left; a last line that was cut off is dropped from the file. Throws Error for a file that is none of ours.
  explicit OfflineOut(std::filesystem::path path);
  // Of the run before; null when this is the first.
  const Json& settings() const { return settings_; }
  // Settings that differ from those of the run before are refused, but for those that only this one has. Keeps them from now on.
  void go_on_with(const Json& settings);
  // Whether choice `index` of this id is there, or its error.
  bool has(const std::string& id, int64_t index) const;
  // One line, whole or (when the process dies in the middle) dropped by the next run. Throws Error when it cannot be written.
  void append(const Json& line);

 private:
  void read_lines();

  std::filesystem::path path_, settings_path_;
  Json settings_;
  std::unordered_map<std::string, std::set<int64_t>> done_;  // of each id as JSON: its choices; -1: an error
};

}  // namespace finback
