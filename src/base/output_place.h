// Where a verb will write, looked at before its work begins: what cannot be written is said at once and not behind hours of work. Nothing is left
// there. Knows no formats.
#pragma once
#include <filesystem>
#include <optional>
#include <vector>

#include "base/file_lock.h"

namespace finback {

// A file can be written at `path`: made in its folder, or it is a device or a pipe that may be written to. Throws Error.
void check_file_place(const std::filesystem::path& path);
// A folder is at `path` or can be made there, and files can be made in it. Throws Error.
void check_folder_place(const std::filesystem::path& path);

// A folder that a result goes into, made when it is not there, and held (a lock on its .lock) so that no other process writes a result into it at the
// same time. Destroyed before keep(), it takes away again what it made and nothing was put in, so that a refused input leaves no empty folders.
class ResultFolder {
 public:
  // Throws Error for a folder that cannot be made, and for one that another process holds.
  explicit ResultFolder(const std::filesystem::path& path);
  ~ResultFolder();
  ResultFolder(const ResultFolder&) = delete;
  void keep() { made_.clear(); }

 private:
  std::vector<std::filesystem::path> made_;  // the innermost first
  std::optional<FileLock> lock_;
};

}  // namespace finback
