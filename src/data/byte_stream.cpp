#include "data/byte_stream.h"

#include <fcntl.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "base/error.h"

namespace finback {
namespace fs = std::filesystem;
namespace {

constexpr size_t kBufferBytes = size_t(1) << 20;
constexpr int kLongestWindow = sizeof(size_t) == 8 ? 31 : 30;  // log2 bytes; what the zstd program reads with --long=31

}  // namespace

struct ByteStream::Source {
  explicit Source(const fs::path& file_path) : path(file_path), buffer(kBufferBytes) {
    FB_CHECK(!fs::is_directory(path), "{}: expected a file, got a folder", path.string());
    fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    FB_CHECK(fd >= 0, "{}: cannot open: {}", path.string(), std::strerror(errno));
    fill(kFirstBytes);
    packing = packing_of(rest());
    if (packing == Packing::kGzip) {
      FB_CHECK(inflateInit2(&gzip, 15 + 16) == Z_OK, "{}: out of memory for decompression", path.string());
    } else if (packing == Packing::kZstd) {
      zstd = ZSTD_createDCtx();
      FB_CHECK(zstd != nullptr, "{}: out of memory for decompression", path.string());
      ZSTD_DCtx_setParameter(zstd, ZSTD_d_windowLogMax, kLongestWindow);
    }
  }
  ~Source() {
    if (fd >= 0) ::close(fd);
    if (packing == Packing::kGzip) inflateEnd(&gzip);
    ZSTD_freeDCtx(zstd);
  }
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;

  std::string_view rest() const { return {buffer.data() + begin, end - begin}; }
  void take(size_t bytes) {
    begin += bytes;
    consumed += bytes;
  }

  // Reads until at least `least` bytes wait, or the file ends.
  void fill(size_t least) {
    if (end - begin >= least) return;
    std::memmove(buffer.data(), buffer.data() + begin, end - begin);
    end -= std::exchange(begin, 0);
    while (end < least && !file_ended) {
      const ssize_t n = ::read(fd, buffer.data() + end, buffer.size() - end);
      if (n < 0 && errno == EINTR) continue;
      FB_CHECK(n >= 0, "{}: cannot read: {}", path.string(), std::strerror(errno));
      file_ended = n == 0;
      end += size_t(n);
    }
  }

  size_t read_plain(char* out, size_t bytes) {
    fill(1);
    const size_t n = std::min(bytes, rest().size());
    if (n > 0) std::memcpy(out, rest().data(), n);
    take(n);
    return n;
  }

  // Between two members or frames: is there another one? Packed files may be joined end to end, and zeros are padding, also between them (tapes
  // and block devices leave it). What is neither is passed over to the end of the file, and counted.
  bool next_member() {
    for (fill(1); !rest().empty() && rest().front() == '\0'; fill(1)) take(std::min(rest().find_first_not_of('\0'), rest().size()));
    fill(4);
    if (packing_of(rest()) == packing) return true;
    for (; !rest().empty(); fill(1)) {
      bytes_behind += rest().size();
      take(rest().size());
    }
    return false;
  }

  size_t read_gzip(char* out, size_t bytes) {
    gzip.next_out = reinterpret_cast<Bytef*>(out);
    gzip.avail_out = uInt(std::min<size_t>(bytes, 1u << 30));
    const size_t room = gzip.avail_out;
    while (gzip.avail_out == room) {
      if (between && !next_member()) return 0;
      fill(1);
      FB_CHECK(!rest().empty(), "{}: expected the rest of a gzip stream, got the end of the file: it is truncated", path.string());
      if (std::exchange(between, false)) inflateReset(&gzip);
      gzip.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(rest().data()));
      gzip.avail_in = uInt(rest().size());
      const size_t offered = gzip.avail_in;
      const int status = inflate(&gzip, Z_NO_FLUSH);
      take(offered - gzip.avail_in);
      FB_CHECK(status == Z_OK || status == Z_STREAM_END, "{}: expected a gzip stream, got damaged data near byte {} ({})", path.string(),
               consumed, gzip.msg ? gzip.msg : "no reason given");
      between = status == Z_STREAM_END;
    }
    return room - gzip.avail_out;
  }

  void check_zstd(size_t status) const {
    if (!ZSTD_isError(status)) return;
    const auto code = ZSTD_getErrorCode(status);
    const std::string at = fmt::format("{}: near byte {}: ", path.string(), consumed);
    FB_CHECK(code != ZSTD_error_frameParameter_windowTooLarge,
             "{}expected a zstd window of at most 2 GiB, got a larger one. Hint: pack it again with zstd --long=31 or less", at);
    FB_CHECK(code != ZSTD_error_memory_allocation, "{}out of memory for the window of a zstd file. Hint: unpack it: zstd -d --long=31 FILE",
             at);
    FB_FAIL("{}expected a zstd stream, got damaged data ({})", at, ZSTD_getErrorName(status));
  }

  size_t read_zstd(char* out, size_t bytes) {
    ZSTD_outBuffer to{out, bytes, 0};
    while (to.pos == 0) {
      if (between && !next_member()) return 0;
      fill(1);
      between = false;
      ZSTD_inBuffer from{rest().data(), rest().size(), 0};
      const size_t status = ZSTD_decompressStream(zstd, &to, &from);
      check_zstd(status);
      const bool stuck = from.pos == 0 && to.pos == 0 && from.size == 0;
      FB_CHECK(!stuck, "{}: expected the rest of a zstd stream, got the end of the file: it is truncated", path.string());
      take(from.pos);
      between = status == 0;
    }
    return to.pos;
  }

  fs::path path;
  int fd = -1;
  std::vector<char> buffer;
  size_t begin = 0, end = 0;  // of what was read and not yet used
  bool file_ended = false;
  Packing packing = Packing::kPlain;
  uint64_t consumed = 0, bytes_behind = 0;
  bool between = false;  // a member or frame has just ended
  z_stream gzip{};
  ZSTD_DCtx* zstd = nullptr;
};

ByteStream::ByteStream(const fs::path& path) : source_(std::make_unique<Source>(path)) {}
ByteStream::~ByteStream() = default;
ByteStream::ByteStream(ByteStream&&) noexcept = default;

size_t ByteStream::read(char* out, size_t bytes) {
  if (bytes == 0) return 0;
  if (source_->packing == Packing::kGzip) return source_->read_gzip(out, bytes);
  return source_->packing == Packing::kZstd ? source_->read_zstd(out, bytes) : source_->read_plain(out, bytes);
}

uint64_t ByteStream::consumed() const { return source_->consumed; }
Packing ByteStream::packing() const { return source_->packing; }
uint64_t ByteStream::bytes_behind() const { return source_->bytes_behind; }
const fs::path& ByteStream::path() const { return source_->path; }

std::string read_decompressed(const fs::path& path) {
  ByteStream stream(path);
  std::string text;
  std::vector<char> buffer(size_t(1) << 18);
  for (size_t n; (n = stream.read(buffer.data(), buffer.size())) > 0;) text.append(buffer.data(), n);
  return text;
}

}  // namespace finback
