// Documents kept in a temporary file between the pass that reads them and the one that writes them, because what is held out is known only at the
// end of the first. Removed with the object. One thread.
#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "data/text_reader.h"

namespace finback {

class DocumentSpool {
 public:
  // An older file of that name, left by a kill, is overwritten.
  explicit DocumentSpool(std::filesystem::path path);
  ~DocumentSpool();
  // number: of the document, whose parts share it.
  void add(uint64_t number, const Document& document);
  // Gives everything back in order; nothing can be added any more. Throws Error when the disk lost something.
  void read(const std::function<void(uint64_t number, Document&& document)>& sink);

 private:
  struct Packer;
  std::filesystem::path path_;
  std::unique_ptr<Packer> packer_;
};

}  // namespace finback
