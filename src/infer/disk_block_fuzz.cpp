// libFuzzer target for pages on the disk. Seeds and what it found: tests/golden/fuzz/disk_block_fuzz.
// What is accepted is written again byte for byte; everything else is nothing.
#include "base/error.h"
#include "infer/disk_block.h"

namespace finback {
namespace {

void try_disk_block(std::string_view file) {
  // The checksum keeps a fuzzer out of what is behind it, so the same bytes are tried as the body of a block, too.
  if (const auto block = decode_disk_block(file)) FB_ASSERT(encode_disk_block(*block) == file, "a block survives writing");
  DiskBlock block;
  block.page = file.substr(0, file.size() / 2), block.trailing = file.substr(file.size() / 2);
  const std::string bytes = encode_disk_block(block);
  const auto read = decode_disk_block(bytes);
  FB_ASSERT(read && read->page == block.page && read->trailing == block.trailing, "a block survives reading");
  FB_ASSERT(!decode_disk_block(std::string_view(bytes).substr(0, bytes.size() - 1)), "a block that was cut off is none");
}

}  // namespace
}  // namespace finback

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  finback::try_disk_block({reinterpret_cast<const char*>(data), size});
  return 0;
}
