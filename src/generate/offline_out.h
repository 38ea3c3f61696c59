// The answers' file of an offline batch: whole lines that are appended, and beside it, in OUT.run, what they were made with. One process, which holds OUT.lock.
#pragma once
#include <cstdint>
#include <filesystem>
#include <set>
#include <string>
#include <unordered_map>

#include "base/file_lock.h"
#include "base/json.h"

namespace finback {

class OfflineOut {
 public:
  // Reads what a run before has left. A last line that was cut off is dropped from the file, and so are lines with an error, which are tried again. Throws
  // Error for a file that is none of ours, and while another process answers into it.
  explicit OfflineOut(std::filesystem::path path);
  // Of the run before; null when this is the first.
  const Json& settings() const { return settings_; }
  // Throws Error for settings that differ from those of the run before, but for those that only this one has.
  void check(const Json& settings) const;
  // The same, and keeps them from now on.
  void go_on_with(const Json& settings);
  // Whether choice `index` of this id is there.
  bool has(const std::string& id, int64_t index) const;
  // What the answers of this id were asked with ("finback": {"request"}); empty: there are none, or they do not say it.
  std::string request_of(const std::string& id) const;
  // One line, whole or (when the process dies in the middle) dropped by the next run. Throws Error when it cannot be written.
  void append(const Json& line);

 private:
  struct Done {
    std::set<int64_t> choices;
    std::string request;
  };
  bool read_lines();
  void drop_errors();

  FileLock lock_;
  std::filesystem::path path_, settings_path_;
  Json settings_;
  std::unordered_map<std::string, Done> done_;  // by id as JSON
};

}  // namespace finback
