// A TensorBoard event file of scalars: TFRecord framing (length, masked CRC-32C, data, masked CRC-32C) around the three protobuf messages
// that a scalar needs, written by hand. Derived from metrics.jsonl's numbers; nothing reads it back but TensorBoard. One thread.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace finback {

// CRC-32C (Castagnoli) of `bytes`; "123456789" gives 0xE3069283.
uint32_t crc32c(std::string_view bytes);
// TFRecord's: rotated right by 15 bits plus a constant, so that a CRC of data with CRCs in it stays useful.
uint32_t masked_crc32c(std::string_view bytes);
std::string tfrecord(std::string_view data);

class EventFile {
 public:
  // Appends behind the first `keep_bytes` bytes (0: a new file, which gets its version record).
  EventFile(const std::filesystem::path& path, uint64_t keep_bytes, double unix_time);
  ~EventFile();
  EventFile(const EventFile&) = delete;
  // One event with these (tag, value) pairs.
  void scalars(int64_t step, double unix_time, const std::vector<std::pair<std::string, double>>& values);
  uint64_t size() const { return size_; }
  void sync();

 private:
  void append(const std::string& record);
  std::filesystem::path path_;
  int fd_ = -1;
  uint64_t size_ = 0;
};

}  // namespace finback
