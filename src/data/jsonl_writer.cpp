#include "data/jsonl_writer.h"

#include <zstd.h>

#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"

namespace finback {
namespace {

constexpr int kJsonlLevel = 9;  // 81 MB of debian-en: 24.1 MB in 3.5 s; level 3 27.6 MB in 0.6 s, level 12 23.5 MB in 10.2 s

}  // namespace

struct JsonlWriter::Stream {
  explicit Stream(const std::filesystem::path& path) : file(path), zstd(ZSTD_createCCtx()), buffer(ZSTD_CStreamOutSize()) {
    FB_CHECK(zstd != nullptr, "{}: out of memory for compression", path.string());
    ZSTD_CCtx_setParameter(zstd, ZSTD_c_compressionLevel, kJsonlLevel);
    ZSTD_CCtx_setParameter(zstd, ZSTD_c_checksumFlag, 1);
  }
  ~Stream() { ZSTD_freeCCtx(zstd); }

  void compress(std::string_view bytes, ZSTD_EndDirective directive) {
    ZSTD_inBuffer from{bytes.data(), bytes.size(), 0};
    size_t left;
    do {
      ZSTD_outBuffer to{buffer.data(), buffer.size(), 0};
      left = ZSTD_compressStream2(zstd, &to, &from, directive);
      FB_ASSERT(!ZSTD_isError(left), "zstd refuses to compress");
      if (to.pos > 0) file.write(buffer.data(), to.pos);
    } while (from.pos < from.size || (directive == ZSTD_e_end && left > 0));
  }

  AtomicFile file;
  ZSTD_CCtx* zstd;
  std::vector<char> buffer;
};

JsonlWriter::JsonlWriter(const std::filesystem::path& path) : stream_(std::make_unique<Stream>(path)) {}
JsonlWriter::~JsonlWriter() = default;

void JsonlWriter::write(const Document& document) {
  const Json line = {{"text", document.text}, {"source", document.source}, {"id", document_name(document)}};
  stream_->compress(dump_json_line(line) + "\n", ZSTD_e_continue);
  ++documents_;
  text_bytes_ += int64_t(document.text.size());
  text_hash_ = xxhash64(document.text, text_hash_);
}

void JsonlWriter::commit() {
  stream_->compress("", ZSTD_e_end);
  stream_->file.commit();
}

}  // namespace finback
