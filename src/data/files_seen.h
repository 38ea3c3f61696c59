// Which files a command has met already: two names, or a name and a link, may be one file. One thread.
#pragma once
#include <sys/stat.h>

#include <filesystem>
#include <set>
#include <utility>

namespace finback {

class FilesSeen {
 public:
  // False for a file that was added before. Pipes and what is not there are always new.
  bool add(const std::filesystem::path& file) {
    struct stat at;
    if (::stat(file.c_str(), &at) != 0 || !S_ISREG(at.st_mode)) return true;
    return files_.insert({at.st_dev, at.st_ino}).second;
  }

 private:
  std::set<std::pair<dev_t, ino_t>> files_;
};

}  // namespace finback
