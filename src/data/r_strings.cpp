#include "data/r_strings.h"

#include <zlib.h>

#include "base/error.h"
#include "base/file.h"

namespace finback {
namespace fs = std::filesystem;
namespace {

constexpr uint32_t kMostBlock = uint32_t(1) << 30;
constexpr int32_t kStringVector = 16, kString = 9;  // R's SEXP type numbers, the low byte of an item's flags

// Big-endian numbers and bytes of one serialisation.
class XdrReader {
 public:
  XdrReader(std::string_view bytes, std::string what) : bytes_(bytes), what_(std::move(what)) {}
  std::string_view take(size_t count) {
    FB_CHECK(count <= bytes_.size() - at_, "{}: expected {} more bytes of an R object, got {}: the file is damaged", what_, count,
             bytes_.size() - at_);
    at_ += count;
    return bytes_.substr(at_ - count, count);
  }
  int32_t integer() {
    uint32_t value = 0;
    for (const char byte : take(4)) value = value << 8 | uint8_t(byte);
    return int32_t(value);
  }

 private:
  std::string_view bytes_;
  std::string what_;
  size_t at_ = 0;
};

// Inflates one block at `at`, which moves behind it.
std::string read_block(std::string_view file, size_t& at, const fs::path& path) {
  XdrReader head(file.substr(at), path.string());
  const uint32_t raw_bytes = uint32_t(head.integer());
  FB_CHECK(raw_bytes > 0 && raw_bytes <= kMostBlock, "{}: expected a block of at most 1 GiB at byte {}, got {}", path.string(), at,
           raw_bytes);
  std::string raw(raw_bytes, '\0');
  z_stream zlib{};
  FB_CHECK(inflateInit(&zlib) == Z_OK, "{}: out of memory for decompression", path.string());
  zlib.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(file.data() + at + 4));
  zlib.avail_in = uInt(std::min<size_t>(file.size() - at - 4, kMostBlock));
  zlib.next_out = reinterpret_cast<Bytef*>(raw.data());
  zlib.avail_out = uInt(raw.size());
  const int status = inflate(&zlib, Z_FINISH);
  const size_t written = zlib.total_out;
  const size_t read = zlib.total_in;
  inflateEnd(&zlib);
  FB_CHECK(status == Z_STREAM_END && written == raw.size(),
           "{}: expected a zlib stream of {} bytes at byte {}, got damaged or truncated data", path.string(), raw.size(), at + 4);
  at += 4 + read;
  return raw;
}

// One serialised object as text; false when it is not a vector of strings.
bool read_object(const std::string& raw, const std::string& what, std::string& text) {
  XdrReader in(raw, what);
  FB_CHECK(in.take(2) == "X\n", "{}: expected R's XDR form, got another", what);
  const int32_t version = in.integer();
  FB_CHECK(version == 2 || version == 3, "{}: expected serialisation version 2 or 3, got {}", what, version);
  in.take(8);                                                 // R versions that wrote it and that can read it
  if (version == 3) in.take(size_t(uint32_t(in.integer())));  // native encoding
  if ((in.integer() & 0xff) != kStringVector) return false;
  const int32_t count = in.integer();
  FB_CHECK(count >= 0, "{}: expected a count of strings, got {}", what, count);
  for (int32_t i = 0; i < count; ++i) {
    const int32_t type = in.integer() & 0xff, length = in.integer();
    FB_CHECK(type == kString && length >= -1, "{}: expected string {}, got type {} of length {}", what, i, type, length);
    if (length > 0) text += in.take(size_t(length));  // -1 is NA
    text += '\n';
  }
  return true;
}

}  // namespace

std::vector<std::string> read_r_strings(const fs::path& path) {
  const std::string file = read_file(path);
  std::vector<std::string> texts;
  for (size_t at = 0; at < file.size();) {
    const std::string what = fmt::format("{}: block at byte {}", path.string(), at);
    std::string text;
    if (read_object(read_block(file, at, path), what, text)) texts.push_back(std::move(text));
  }
  FB_CHECK(!texts.empty(), "{}: expected vectors of strings, got none", path.string());
  return texts;
}

}  // namespace finback
