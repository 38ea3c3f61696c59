#include "base/output_place.h"

#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "base/error.h"
#include "base/file.h"

namespace finback {
namespace fs = std::filesystem;
namespace {

// Makes a file of a name that nobody has, and removes it: permissions, read-only disks and odd file systems all answer to that.
void try_to_make_a_file(const fs::path& folder, const fs::path& wanted) {
  std::string name = (folder / ".finback-XXXXXX").string();
  const int fd = ::mkstemp(name.data());
  FB_CHECK(fd >= 0, "{}: cannot write: {}. Hint: check that the folder exists and is writable", wanted.string(), std::strerror(errno));
  ::close(fd);
  ::unlink(name.c_str());
}

fs::path folder_of(const fs::path& path) { return path.has_parent_path() ? path.parent_path() : fs::path("."); }

}  // namespace

void check_file_place(const fs::path& path) {
  std::error_code ignored;
  const fs::file_status status = fs::status(path, ignored);
  FB_CHECK(!fs::is_directory(status), "{}: expected a file to write, got a folder", path.string());
  if (fs::exists(status) && !fs::is_regular_file(status)) {
    FB_CHECK(::access(path.c_str(), W_OK) == 0, "{}: cannot write: {}. Hint: check its permissions", path.string(), std::strerror(errno));
    return;
  }
  const bool link = fs::is_symlink(path, ignored);  // the file that it leads to is the one that is replaced
  try_to_make_a_file(folder_of(link ? fs::weakly_canonical(path, ignored) : path), path);
}

void check_folder_place(const fs::path& path) {
  fs::path place = fs::absolute(path).lexically_normal();
  while (!fs::exists(place)) place = place.parent_path();  // the root is there
  FB_CHECK(fs::is_directory(place), "{}: cannot make this folder: {} is a file", path.string(), place.string());
  try_to_make_a_file(place, path);
}

ResultFolder::ResultFolder(const fs::path& path) {
  for (fs::path place = fs::absolute(path).lexically_normal(); !fs::exists(place); place = place.parent_path()) made_.push_back(place);
  make_directories(path);
  lock_.emplace(path / ".lock", std::chrono::milliseconds(0));
  FB_CHECK(lock_->held(), "{}: another process is writing into this folder. Hint: wait for it, or take another folder", path.string());
}

ResultFolder::~ResultFolder() {
  lock_.reset();
  std::error_code not_empty;
  for (const fs::path& folder : made_) fs::remove(folder, not_empty);
}

}  // namespace finback
