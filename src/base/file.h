// Files: whole reads, crash-safe writes, memory maps, and failpoints for tests of both. No tensors, no formats.
// A file published by write_file_atomic or AtomicFile is either the old one or the whole new one at every instant.
#pragma once
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace finback {

std::string read_file(const std::filesystem::path& path);
// Temporary name beside `path`, write, fsync, rename, fsync of the folder.
void write_file_atomic(const std::filesystem::path& path, std::string_view bytes);
void make_directories(const std::filesystem::path& path);
// Makes earlier renames in `folder` durable.
void sync_directory(const std::filesystem::path& folder);
uint64_t xxhash64(std::span<const std::byte> bytes, uint64_t seed = 0);
uint64_t xxhash64(std::string_view bytes, uint64_t seed = 0);
uint64_t hash_file(const std::filesystem::path& path);

// A file written piecewise under a temporary name; commit() fsyncs and renames it. Destroyed uncommitted, it removes the temporary.
class AtomicFile {
 public:
  explicit AtomicFile(std::filesystem::path path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  void write(const void* data, size_t bytes);
  void write(std::string_view bytes) { write(bytes.data(), bytes.size()); }
  // Overwrites earlier bytes (a header whose hash is known only at the end). REQUIRES: offset + bytes <= size().
  void write_at(uint64_t offset, const void* data, size_t bytes);
  uint64_t size() const { return size_; }
  void commit();

 private:
  std::filesystem::path path_, temporary_;
  int fd_ = -1;
  uint64_t size_ = 0;
};

// A read-only mapping; bytes() lives as long as the object. An empty file maps to an empty span.
class MappedFile {
 public:
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&&) = delete;
  std::span<const std::byte> bytes() const { return {data_, size_}; }

 private:
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

// A named place where a test makes the process die or a write fail. Armed once from the command line (--failpoint=NAME:COUNT:ACTION);
// ACTION: kill (SIGKILL), short (half of the write, then ENOSPC), full (ENOSPC). COUNT: the how-manyth passage fires, from 1.
// Unarmed it costs one comparison.
void arm_failpoint(std::string_view specification);
enum class FailAction { kNone, kShort, kFull };
// kill does not return. Names in use are listed in DESIGN.md.
FailAction failpoint(std::string_view name);

}  // namespace finback
