// Bytes of a file, decompressed on the way: gzip (dictzip is gzip) and zstd are known by their first bytes, anything else is taken as it is.
// Constant memory, one thread. Errors name the file and what is wrong with it.
#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

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
  const std::filesystem::path& path() const;

 private:
  struct Source;
  std::unique_ptr<Source> source_;
};

// The whole decompressed file. A file above 4 GiB of text is refused: it would not fit beside what is made of it.
std::string read_decompressed(const std::filesystem::path& path);

class LineReader {
 public:
  explicit LineReader(const std::filesystem::path& path) : stream_(path) {}
  // The next line without its newline; false at the end. Throws Error for a line above 1 GiB.
  bool next(std::string& line);
  int64_t line_number() const { return line_number_; }  // of the line given last, from 1
  uint64_t consumed() const { return stream_.consumed(); }

 private:
  ByteStream stream_;
  std::string buffer_;
  size_t begin_ = 0;
  int64_t line_number_ = 0;
  bool ended_ = false;
};

}  // namespace finback
