// Documents as .jsonl.zst, {"text", "source", "id"} a line (the id is document_name), written atomically. The same documents give the same bytes (same zstd library).
#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>

#include "data/text_reader.h"

namespace finback {

class JsonlWriter {
 public:
  explicit JsonlWriter(const std::filesystem::path& path);
  ~JsonlWriter();
  // REQUIRES: text is valid UTF-8.
  void write(const Document& document);
  void commit();

  int64_t documents() const { return documents_; }
  int64_t text_bytes() const { return text_bytes_; }
  uint64_t text_hash() const { return text_hash_; }  // of the texts in order

 private:
  struct Stream;
  std::unique_ptr<Stream> stream_;
  int64_t documents_ = 0, text_bytes_ = 0;
  uint64_t text_hash_ = 0;
};

}  // namespace finback
