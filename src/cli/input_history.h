// What a user typed before, kept in a file from one session to the next: one JSON string a line, so that a text of several lines is one entry. Appended
// to, so sessions side by side lose nothing; the newest thousand count. One thread.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

namespace finback {

inline constexpr size_t kHistoryEntries = 1000;

// $XDG_STATE_HOME/finback/chat_history, else ~/.local/state/finback/chat_history; empty when there is neither.
std::filesystem::path default_history_file();

class InputHistory {
 public:
  // file: empty: kept in memory alone. Lines that cannot be read are left out. A file that grew to twice the entries is written anew.
  explicit InputHistory(std::filesystem::path file);
  const std::vector<std::string>& entries() const { return entries_; }  // oldest first
  // An entry equal to the last one is left out. A file that cannot be written is said once.
  void add(const std::string& text);

 private:
  std::filesystem::path file_;
  std::vector<std::string> entries_;
};

}  // namespace finback
