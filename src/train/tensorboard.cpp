#include "train/tensorboard.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <bit>
#include <cerrno>
#include <cstring>

#include "base/error.h"

namespace finback {
namespace {

constexpr std::array<uint32_t, 256> make_crc_table() {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) ? 0x82F63B78u : 0u);  // Castagnoli, reflected
    table[i] = crc;
  }
  return table;
}
constexpr std::array<uint32_t, 256> kCrcTable = make_crc_table();

template <class T>
void put_little_endian(std::string& out, T value) {
  static_assert(std::endian::native == std::endian::little);
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

// Protobuf wire format: varints, and the key (field << 3 | wire type).
void put_varint(std::string& out, uint64_t value) {
  for (; value >= 0x80; value >>= 7) out.push_back(char(0x80 | (value & 0x7F)));
  out.push_back(char(value));
}
void put_bytes(std::string& out, uint32_t field, std::string_view bytes) {
  put_varint(out, (field << 3) | 2);
  put_varint(out, bytes.size());
  out += bytes;
}
// Event.wall_time = 1 (double)
std::string event_head(double unix_time) {
  std::string out;
  put_varint(out, (1 << 3) | 1);
  put_little_endian(out, unix_time);
  return out;
}

}  // namespace

uint32_t crc32c(std::string_view bytes) {
  uint32_t crc = ~0u;
  for (const char c : bytes) crc = (crc >> 8) ^ kCrcTable[(crc ^ uint8_t(c)) & 0xFF];
  return ~crc;
}

uint32_t masked_crc32c(std::string_view bytes) { return std::rotr(crc32c(bytes), 15) + 0xA282EAD8u; }

std::string tfrecord(std::string_view data) {
  std::string record;
  put_little_endian(record, uint64_t(data.size()));
  put_little_endian(record, masked_crc32c(record));
  record += data;
  put_little_endian(record, masked_crc32c(data));
  return record;
}

EventFile::EventFile(const std::filesystem::path& path, uint64_t keep_bytes, double unix_time) : path_(path), size_(keep_bytes) {
  fd_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  FB_CHECK(fd_ >= 0, "{}: cannot open for appending: {}", path.string(), std::strerror(errno));
  struct stat status {};
  // Only a view of metrics.jsonl: a file that was deleted or cut starts again instead of stopping the run.
  if (::fstat(fd_, &status) != 0 || uint64_t(status.st_size) < keep_bytes) size_ = 0;
  FB_CHECK(::ftruncate(fd_, off_t(size_)) == 0, "{}: cannot cut: {}", path.string(), std::strerror(errno));
  if (size_ > 0) return;
  std::string event = event_head(unix_time);
  put_bytes(event, 3, "brain.Event:2");  // Event.file_version
  append(tfrecord(event));
}

EventFile::~EventFile() { ::close(fd_); }

void EventFile::append(const std::string& record) {
  const ssize_t written = ::write(fd_, record.data(), record.size());
  FB_CHECK(written == ssize_t(record.size()), "{}: cannot write: {}. Hint: free disk space", path_.string(),
           std::strerror(written < 0 ? errno : ENOSPC));
  size_ += record.size();
}

void EventFile::scalars(int64_t step, double unix_time, const std::vector<std::pair<std::string, double>>& values) {
  std::string summary;
  for (const auto& [tag, number] : values) {
    std::string value;
    put_bytes(value, 1, tag);         // Summary.Value.tag
    put_varint(value, (2 << 3) | 5);  // Summary.Value.simple_value (float)
    put_little_endian(value, float(number));
    put_bytes(summary, 1, value);  // Summary.value
  }
  std::string event = event_head(unix_time);
  put_varint(event, (2 << 3) | 0);  // Event.step
  put_varint(event, uint64_t(step));
  put_bytes(event, 5, summary);  // Event.summary
  append(tfrecord(event));
}

void EventFile::sync() { FB_CHECK(::fsync(fd_) == 0, "{}: cannot fsync: {}", path_.string(), std::strerror(errno)); }

}  // namespace finback
