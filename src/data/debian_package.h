// Debian packages as a source of text: fetched with apt-get download into a cache folder (nothing is installed, no root needed), unpacked
// beside it. A package in the cache is used again without the network. One thread.
#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

namespace finback {

struct DebianPackage {
  std::string name, version;
  std::filesystem::path file;  // the .deb in the cache
};

// A package, or one line that says why there is none.
struct FetchedPackage {
  std::optional<DebianPackage> package;
  std::string failure;
};

// The cached package, or, where there is none (or with refresh), the newest one of the machine's apt sources. A missing apt, an unknown package
// and a missing network are outcomes; throws Error for a word that is no package name and for a cached file that is no package.
FetchedPackage fetch_package(const std::string& name, const std::filesystem::path& cache, bool refresh);

// A package's files in a folder that is removed with this object.
class UnpackedPackage {
 public:
  UnpackedPackage(const DebianPackage& package, const std::filesystem::path& cache);
  ~UnpackedPackage();
  UnpackedPackage(const UnpackedPackage&) = delete;
  UnpackedPackage& operator=(const UnpackedPackage&) = delete;
  const std::filesystem::path& root() const { return root_; }

 private:
  std::filesystem::path root_;
};

}  // namespace finback
