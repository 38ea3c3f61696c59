#include "data/byte_stream.h"

#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/file.h"

namespace finback {
namespace fs = std::filesystem;
namespace {

constexpr size_t kMostBytes = size_t(4) << 30, kLongestLine = size_t(1) << 30;
enum class Coding { kPlain, kGzip, kZstd };

Coding coding_of(std::span<const std::byte> bytes) {
  const auto starts = [&](std::initializer_list<int> magic) {
    size_t i = 0;
    for (const int byte : magic) {
      if (i >= bytes.size() || bytes[i++] != std::byte(byte)) return false;
    }
    return true;
  };
  if (starts({0x1f, 0x8b})) return Coding::kGzip;
  return starts({0x28, 0xb5, 0x2f, 0xfd}) ? Coding::kZstd : Coding::kPlain;
}

}  // namespace

struct ByteStream::Source {
  explicit Source(const fs::path& file_path) : path(file_path), file(file_path), coding(coding_of(file.bytes())) {
    if (coding == Coding::kGzip) {
      FB_CHECK(inflateInit2(&gzip, 15 + 16) == Z_OK, "{}: out of memory for decompression", path.string());
    } else if (coding == Coding::kZstd) {
      zstd = ZSTD_createDStream();
      FB_CHECK(zstd != nullptr, "{}: out of memory for decompression", path.string());
    }
  }
  ~Source() {
    if (coding == Coding::kGzip) inflateEnd(&gzip);
    ZSTD_freeDStream(zstd);
  }

  std::span<const std::byte> rest() const { return file.bytes().subspan(at); }

  size_t read_plain(char* out, size_t bytes) {
    const size_t n = std::min(bytes, rest().size());
    if (n > 0) std::memcpy(out, rest().data(), n);
    at += n;
    return n;
  }

  // One call may cross members: gzip files may be joined end to end.
  size_t read_gzip(char* out, size_t bytes) {
    gzip.next_out = reinterpret_cast<Bytef*>(out);
    gzip.avail_out = uInt(std::min<size_t>(bytes, 1u << 30));
    const size_t room = gzip.avail_out;
    while (gzip.avail_out == room) {
      if (between && rest().empty()) return 0;
      FB_CHECK(!rest().empty(), "{}: expected the rest of a gzip stream, got the end of the file: it is truncated", path.string());
      if (std::exchange(between, false)) inflateReset(&gzip);
      gzip.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(rest().data()));
      gzip.avail_in = uInt(std::min<size_t>(rest().size(), 1u << 30));
      const size_t offered = gzip.avail_in;
      const int status = inflate(&gzip, Z_NO_FLUSH);
      at += offered - gzip.avail_in;
      FB_CHECK(status == Z_OK || status == Z_STREAM_END, "{}: expected a gzip stream, got damaged data near byte {} ({})", path.string(),
               at, gzip.msg ? gzip.msg : "no reason given");
      between = status == Z_STREAM_END;
    }
    return room - gzip.avail_out;
  }

  size_t read_zstd(char* out, size_t bytes) {
    ZSTD_outBuffer to{out, bytes, 0};
    while (to.pos == 0) {
      if (between && rest().empty()) return 0;
      ZSTD_inBuffer from{rest().data(), rest().size(), 0};
      const size_t status = ZSTD_decompressStream(zstd, &to, &from);
      FB_CHECK(!ZSTD_isError(status), "{}: expected a zstd stream, got damaged data near byte {} ({})", path.string(), at,
               ZSTD_getErrorName(status));
      const bool stuck = from.pos == 0 && to.pos == 0 && from.size == 0;
      FB_CHECK(!stuck, "{}: expected the rest of a zstd stream, got the end of the file: it is truncated", path.string());
      at += from.pos;
      between = status == 0;
    }
    return to.pos;
  }

  fs::path path;
  MappedFile file;
  Coding coding;
  size_t at = 0;
  bool between = false;  // a member or frame has just ended
  z_stream gzip{};
  ZSTD_DStream* zstd = nullptr;
};

ByteStream::ByteStream(const fs::path& path) : source_(std::make_unique<Source>(path)) {}
ByteStream::~ByteStream() = default;
ByteStream::ByteStream(ByteStream&&) noexcept = default;

size_t ByteStream::read(char* out, size_t bytes) {
  if (bytes == 0) return 0;
  if (source_->coding == Coding::kGzip) return source_->read_gzip(out, bytes);
  return source_->coding == Coding::kZstd ? source_->read_zstd(out, bytes) : source_->read_plain(out, bytes);
}

uint64_t ByteStream::consumed() const { return source_->at; }
const fs::path& ByteStream::path() const { return source_->path; }

std::string read_decompressed(const fs::path& path) {
  ByteStream stream(path);
  std::string text;
  std::vector<char> buffer(size_t(1) << 18);
  for (size_t n; (n = stream.read(buffer.data(), buffer.size())) > 0;) {
    text.append(buffer.data(), n);
    FB_CHECK(text.size() <= kMostBytes, "{}: expected at most 4 GiB of text in one file, got more. Hint: split it, or use .jsonl",
             path.string());
  }
  return text;
}

bool LineReader::next(std::string& line) {
  size_t searched = begin_;
  while (true) {
    const size_t newline = buffer_.find('\n', searched);
    if (newline != std::string::npos || (ended_ && begin_ < buffer_.size())) {
      const size_t end = newline != std::string::npos ? newline : buffer_.size();
      line.assign(buffer_, begin_, end - begin_);
      begin_ = std::min(end + 1, buffer_.size());
      ++line_number_;
      return true;
    }
    if (ended_) return false;
    buffer_.erase(0, std::exchange(begin_, 0));
    searched = buffer_.size();
    FB_CHECK(searched <= kLongestLine, "{}: line {}: expected at most 1 GiB in a line, got more", stream_.path().string(),
             line_number_ + 1);
    buffer_.resize(searched + (size_t(1) << 18));
    const size_t n = stream_.read(buffer_.data() + searched, size_t(1) << 18);
    buffer_.resize(searched + n);
    ended_ = n == 0;
  }
}

}  // namespace finback
