// log.txt of a run folder: what the run said on stderr, each line with its time (UTC), all attempts one after the other. It is for people: appended to,
// never cut, and a line that cannot be written is lost without harm to the run. One thread.
#pragma once
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace finback {

class RunLog {
 public:
  // Lines before open() are kept and written then: what is said while the folder is still another run's.
  void open(const std::filesystem::path& path);
  // Into the file alone.
  void line(const std::string& text);
  // On stderr and into the file.
  void say(const std::string& text);

 private:
  std::vector<std::string> waiting_;
  std::ofstream file_;
};

}  // namespace finback
