#include "data/debian_package.h"

#include <algorithm>
#include <cstdlib>
#include <sstream>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/progress.h"
#include "data/child_program.h"

namespace finback {
namespace fs = std::filesystem;
namespace {

constexpr const char* kNoApt = "Hint: Debian packages need a Debian or Ubuntu machine; elsewhere give the source a `path`";

// Package names as Debian allows them: no path, no flag.
void check_name(const std::string& name) {
  const bool clean = name.size() >= 2 && name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789+-.") == std::string::npos;
  FB_CHECK(clean && name[0] != '-' && name[0] != '.' && name[0] != '+', "package: expected a Debian package name, got \"{}\"", name);
}

// NAME_VERSION_ARCHITECTURE.deb files of the package, newest last.
std::vector<fs::path> cached_files(const std::string& name, const fs::path& folder) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string file = entry.path().filename().string();
    if (entry.path().extension() == ".deb" && file.starts_with(name + "_")) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end(), [](const fs::path& a, const fs::path& b) {
    return std::pair(fs::last_write_time(a), a) < std::pair(fs::last_write_time(b), b);
  });
  return files;
}

double megabytes_in(const fs::path& folder) {
  double bytes = 0;
  std::error_code gone;  // files come and go while we look
  for (fs::recursive_directory_iterator entry(folder, gone), end; !gone && entry != end; entry.increment(gone)) {
    std::error_code no_file;
    const auto size = entry->file_size(no_file);
    if (!no_file) bytes += double(size);
  }
  return bytes / 1e6;
}

// A field of the package's control file, empty when it has none.
std::string control_field(const fs::path& file, const std::string& field) {
  const ChildResult result = run_program({"dpkg-deb", "-f", fs::absolute(file).string(), field}, file.parent_path());
  FB_CHECK(result.found, "{}: expected dpkg-deb on this machine, got none. {}", file.string(), kNoApt);
  FB_CHECK(result.exit_code == 0, "{}: expected a Debian package, got: {}. Hint: remove the file", file.string(), result.last_line());
  return result.output.substr(0, result.output.find('\n'));
}

// What apt means to fetch, in bytes; 0 when it does not say. The line reads 'URI' FILE SIZE HASH.
double expected_bytes(const ChildResult& listed) {
  std::istringstream words(listed.output.substr(std::min(listed.output.find('\''), listed.output.size())));
  std::string uri, file;
  double bytes = 0;
  words >> uri >> file >> bytes;
  return bytes;
}

// Empty, or why nothing was fetched.
std::string download(const std::string& name, const fs::path& cache) {
  const fs::path folder = cache / (name + ".download");
  fs::remove_all(folder);
  make_directories(folder);
  const ChildResult listed = run_program({"apt-get", "download", "--print-uris", name}, folder);
  if (!listed.found) {
    fs::remove_all(folder);
    return fmt::format("{}: expected apt-get on this machine, got none. {}", name, kNoApt);
  }
  Progress progress("fetch " + name, expected_bytes(listed) / 1e6, "MB");
  const ChildResult result = run_program({"apt-get", "download", "-q", name}, folder, [&] { progress.update(megabytes_in(folder)); });
  progress.finish();
  const std::vector<fs::path> files = cached_files(name, folder);
  const bool fetched = result.exit_code == 0 && !files.empty();
  if (fetched) fs::rename(files.back(), cache / files.back().filename());
  fs::remove_all(folder);
  if (fetched) return "";
  return fmt::format("{}: apt-get download failed: {}. Hint: apt-get update (as root) first, and a network are needed", name,
                     result.last_line());
}

}  // namespace

FetchedPackage fetch_package(const std::string& name, const fs::path& cache, bool refresh) {
  check_name(name);
  make_directories(cache);
  if (refresh || cached_files(name, cache).empty()) {
    if (const std::string failure = download(name, cache); !failure.empty()) return {std::nullopt, failure};
  }
  DebianPackage package;
  package.name = name;
  package.file = cached_files(name, cache).back();
  package.version = control_field(package.file, "Version");
  return {package, ""};
}

UnpackedPackage::UnpackedPackage(const DebianPackage& package, const fs::path& cache) : root_(cache / (package.name + ".unpacked")) {
  fs::remove_all(root_);
  make_directories(root_);
  const double installed_kib = std::atof(control_field(package.file, "Installed-Size").c_str());
  Progress progress("unpack " + package.name, installed_kib * 1024 / 1e6, "MB");
  const std::vector<std::string> words = {"dpkg-deb", "-x", fs::absolute(package.file).string(), fs::absolute(root_).string()};
  const ChildResult result = run_program(words, cache, [&] { progress.update(megabytes_in(root_)); });
  progress.finish();
  if (result.exit_code == 0) return;
  std::error_code ignored;
  fs::remove_all(root_, ignored);
  FB_FAIL("{}: cannot unpack: {}. Hint: remove the file, or free disk space", package.file.string(), result.last_line());
}

UnpackedPackage::~UnpackedPackage() {
  std::error_code ignored;
  fs::remove_all(root_, ignored);
}

}  // namespace finback
