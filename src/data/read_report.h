// What became of the input of a verb that reads text: what was read, left out, repaired and changed, why, and where. One report goes through all
// readers of a command, so that its table at the end is whole and the limit for bad records counts all of them. One thread.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "data/files_seen.h"

namespace finback {

// How many bad records (repaired, or without a usable text) are borne.
struct BadLimit {
  double share = 0.01;  // of all records
  int64_t count = 10;   // borne in any case
};
// "25" is a number of records, "2%" a share of them, "0" none. Throws Error for anything else.
BadLimit parse_bad_limit(const std::string& text);

inline constexpr const char* kNamedTwice = "named twice: another input is or holds the same file";

class ReadReport {
 public:
  explicit ReadReport(BadLimit limit = {}) : limit_(limit) {}

  void file_read(uint64_t stored_bytes);
  void text_read(uint64_t bytes) { text_bytes_ += int64_t(bytes); }
  void record_read() { ++records_; }
  // False where this command has read the file already, by whatever name.
  bool is_new(const std::filesystem::path& file) { return files_seen_.add(file); }
  // where: a path, or a path and a line.
  void left_out(const std::string& why, const std::string& where);
  void repaired(const std::string& what, const std::string& where);
  void changed(const std::string& what, const std::string& where);
  // Places that begin with `root` (a temporary folder, the working folder) are shown with `name` in its stead from now on. Returns what was before.
  std::pair<std::string, std::string> show_as(std::pair<std::string, std::string> root_and_name) {
    return std::exchange(shown_as_, std::move(root_and_name));
  }
  // A record that was left out or repaired. Throws Error when no limit could bear so many.
  void bad_record(bool left_out, const std::string& why, const std::string& where);
  // Throws Error when more records were bad than the limit bears. REQUIRES: everything has been read.
  void check() const;

  bool strict() const { return limit_.count == 0 && limit_.share == 0; }
  bool nothing_to_say() const { return notes_.empty(); }
  // " (left out: 20 x a chat ...)" for the error that nothing is left; empty when nothing was left out.
  std::string why_nothing() const;
  // "read", then a line for each thing that was left out, repaired or changed, and why, with its first places. With --quiet only what was left out
  // or repaired.
  std::string table() const;
  Json json() const;

 private:
  struct Note {
    std::string fate, why;
    int64_t count = 0;
    std::vector<std::string> places;  // the first ones
  };
  std::string read_line() const;
  void note(const char* fate, const std::string& why, const std::string& where);
  [[noreturn]] void fail() const;
  BadLimit limit_;
  std::vector<Note> notes_;  // in the order of their first case
  std::map<std::pair<std::string, std::string>, size_t> index_;
  int64_t files_ = 0, stored_bytes_ = 0, text_bytes_ = 0, records_ = 0, bad_ = 0;
  std::vector<std::string> first_bad_;
  FilesSeen files_seen_;
  std::pair<std::string, std::string> shown_as_;
};

}  // namespace finback
