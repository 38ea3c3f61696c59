// The bytes of one page on the disk: a header that says what it is and what it was computed with, the 64 tokens, the page's bytes, a part that may
// be empty for what else belongs to the page, and a checksum over all of it. Pure: bytes in, bytes out. Knows no files and no model.
//
//   offset  bytes
//   0       8   "FBKVPAGE"
//   8       4   layout version, 1
//   12      4   0x01020304 in the writer's byte order
//   16      16  fingerprint: weights, config, storage, kernel variant, layout of the cache (cache_fingerprint.h)
//   32      16  key of the page before it, or of the namespace
//   48      256 tokens, int32
//   304     8   bytes of the page
//   312     8   bytes of the trailing part
//   320         the page, the trailing part, then 16 bytes of XXH3-128 over everything before
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "infer/cache_key.h"
#include "model/page_tokens.h"

namespace finback {

struct DiskBlock {
  CacheKey fingerprint = {}, parent = {};
  std::array<int32_t, size_t(kPageTokens)> tokens = {};
  std::string page;      // KvCache::read_page
  std::string trailing;  // empty so far
};

// Of the file of a block with so many bytes in its two parts.
int64_t disk_block_bytes(int64_t page_bytes, int64_t trailing_bytes);
std::string encode_disk_block(const DiskBlock& block);
// Nothing for bytes that encode_disk_block of this layout and byte order did not make, whatever they are.
std::optional<DiskBlock> decode_disk_block(std::string_view bytes);

}  // namespace finback
