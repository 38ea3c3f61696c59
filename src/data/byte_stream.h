// Bytes of a file, decompressed on the way: gzip (dictzip is gzip) and zstd (windows of up to 2 GiB) are known by their first bytes, anything
// else is taken as it is. Reads in pieces: memory does not grow with the file (zstd keeps the window that the file asks for). One thread.
// Errors name the file and what is wrong with it.
#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "data/file_kind.h"

namespace finback {

class ByteStream {
 public:
  explicit ByteStream(const std::filesystem::path& path);
  ~ByteStream();
  ByteStream(ByteStream&&) noexcept;

  // Up to `bytes` decompressed bytes; 0 only at the end. Throws Error for a truncated or damaged file.
  size_t read(char* out, size_t bytes);
  // Bytes of the file consumed so far, as stored.
  uint64_t consumed() const;
  Packing packing() const;
  // Bytes behind the last gzip member or zstd frame that belong to none and were not read, padding of zeros aside.
  uint64_t bytes_behind() const;
  const std::filesystem::path& path() const;

 private:
  struct Source;
  std::unique_ptr<Source> source_;
};

// The whole decompressed file.
std::string read_decompressed(const std::filesystem::path& path);

}  // namespace finback
