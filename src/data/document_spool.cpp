#include "data/document_spool.h"

#include <zstd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <vector>

#include "base/error.h"
#include "data/byte_stream.h"

namespace finback {
namespace {

constexpr int kSpoolLevel = 1;  // about 400 MB/s; it is read once and removed

struct RecordHead {
  uint64_t number = 0;
  int64_t part = 0;
  uint64_t text_bytes = 0, source_bytes = 0, id_bytes = 0;
};

}  // namespace

struct DocumentSpool::Packer {
  explicit Packer(const std::filesystem::path& path)
      : name(path.string()), file(std::fopen(path.c_str(), "wb")), zstd(ZSTD_createCCtx()), buffer(ZSTD_CStreamOutSize()) {
    const int error = errno;
    const bool made = file && zstd;
    if (!made) close();
    FB_CHECK(made, "{}: cannot write: {}", name, std::strerror(error));
    ZSTD_CCtx_setParameter(zstd, ZSTD_c_compressionLevel, kSpoolLevel);
    ZSTD_CCtx_setParameter(zstd, ZSTD_c_checksumFlag, 1);
  }
  ~Packer() { close(); }
  Packer(const Packer&) = delete;
  Packer& operator=(const Packer&) = delete;
  void close() {
    if (file) std::fclose(file);
    file = nullptr;
    ZSTD_freeCCtx(zstd);
    zstd = nullptr;
  }

  void write(const void* data, size_t bytes, ZSTD_EndDirective directive = ZSTD_e_continue) {
    ZSTD_inBuffer from{data, bytes, 0};
    size_t left;
    do {
      ZSTD_outBuffer to{buffer.data(), buffer.size(), 0};
      left = ZSTD_compressStream2(zstd, &to, &from, directive);
      FB_ASSERT(!ZSTD_isError(left), "zstd refuses to compress");
      FB_CHECK(std::fwrite(buffer.data(), 1, to.pos, file) == to.pos,
               "{}: cannot write: {}. Hint: it needs about a third of the text's size", name, std::strerror(errno));
    } while (from.pos < from.size || (directive == ZSTD_e_end && left > 0));
  }

  std::string name;
  std::FILE* file;
  ZSTD_CCtx* zstd;
  std::vector<char> buffer;
};

DocumentSpool::DocumentSpool(std::filesystem::path path) : path_(std::move(path)), packer_(std::make_unique<Packer>(path_)) {}

DocumentSpool::~DocumentSpool() {
  std::error_code ignored;
  std::filesystem::remove(path_, ignored);
}

void DocumentSpool::add(uint64_t number, const Document& document) {
  const RecordHead head = {number, document.part, document.text.size(), document.source.size(), document.id.size()};
  packer_->write(&head, sizeof head);
  for (const std::string* text : {&document.text, &document.source, &document.id}) packer_->write(text->data(), text->size());
}

void DocumentSpool::read(const std::function<void(uint64_t number, Document&& document)>& sink) {
  packer_->write("", 0, ZSTD_e_end);
  const bool written = std::fflush(packer_->file) == 0;
  FB_CHECK(written, "{}: cannot write: {}", path_.string(), std::strerror(errno));
  packer_->close();
  ByteStream stream(path_);
  // All of the bytes, or none at the end.
  const auto fill = [&](char* out, size_t bytes) {
    size_t filled = 0;
    for (size_t n = 1; filled < bytes && n > 0; filled += n) n = stream.read(out + filled, bytes - filled);
    FB_CHECK(filled == bytes || filled == 0, "{}: expected {} bytes more, got {}", path_.string(), bytes, filled);
    return filled == bytes;
  };
  RecordHead head;
  while (fill(reinterpret_cast<char*>(&head), sizeof head)) {
    Document document;
    document.part = head.part;
    document.text.resize(head.text_bytes);
    document.source.resize(head.source_bytes);
    document.id.resize(head.id_bytes);
    for (std::string* text : {&document.text, &document.source, &document.id}) {
      FB_CHECK(fill(text->data(), text->size()), "{}: it ends in the middle of a document", path_.string());
    }
    sink(head.number, std::move(document));
  }
}

}  // namespace finback
