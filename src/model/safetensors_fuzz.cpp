// libFuzzer target for safetensors files. Seeds and what it found: tests/golden/fuzz/safetensors_fuzz.
// What is accepted must survive writing and reading again; everything else is an Error.
#include <algorithm>

#include "base/error.h"
#include "model/safetensors_header.h"

namespace finback {
namespace {

void try_safetensors(std::span<const std::byte> file) {
  try {
    const SafetensorsHeader header = parse_safetensors_header(file, "file");
    std::vector<TensorEntry> entries;
    uint64_t data_bytes = 0;
    for (const auto& [name, entry] : header.entries) {
      FB_ASSERT(entry.name == name && entry.end <= file.size() - header.data_begin, "an entry inside the file");
      entries.push_back(entry);
      data_bytes = std::max(data_bytes, entry.end);
    }
    std::sort(entries.begin(), entries.end(),
              [](const auto& a, const auto& b) { return std::pair(a.begin, a.end) < std::pair(b.begin, b.end); });
    const std::string again = write_safetensors_header(entries, header.metadata) + std::string(data_bytes, '\0');
    const SafetensorsHeader read = parse_safetensors_header(std::as_bytes(std::span(again)), "written");
    FB_ASSERT(read.entries.size() == entries.size() && read.metadata == header.metadata, "a header survives writing");
  } catch (const Error&) {
  }
}

}  // namespace
}  // namespace finback

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  finback::try_safetensors(std::as_bytes(std::span(data, size)));
  return 0;
}
