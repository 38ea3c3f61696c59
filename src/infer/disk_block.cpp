#include "infer/disk_block.h"

#include <xxhash.h>

#include <cstring>
#include <type_traits>

namespace finback {
namespace {

struct BlockHeader {
  std::array<char, 8> magic = {'F', 'B', 'K', 'V', 'P', 'A', 'G', 'E'};
  uint32_t layout_version = 1;
  uint32_t byte_order = 0x01020304;
  CacheKey fingerprint = {}, parent = {};
  std::array<int32_t, size_t(kPageTokens)> tokens = {};
  uint64_t page_bytes = 0, trailing_bytes = 0;
};
static_assert(sizeof(BlockHeader) == 320 && std::is_trivially_copyable_v<BlockHeader>, "the layout in the header file, without gaps");

using BlockChecksum = std::array<uint8_t, 16>;

BlockChecksum checksum_of(std::string_view bytes) {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, XXH3_128bits(bytes.data(), bytes.size()));
  BlockChecksum checksum;
  std::memcpy(checksum.data(), canonical.digest, checksum.size());
  return checksum;
}

}  // namespace

int64_t disk_block_bytes(int64_t page_bytes, int64_t trailing_bytes) {
  return int64_t(sizeof(BlockHeader)) + page_bytes + trailing_bytes + int64_t(sizeof(BlockChecksum));
}

std::string encode_disk_block(const DiskBlock& block) {
  BlockHeader header;
  header.fingerprint = block.fingerprint, header.parent = block.parent, header.tokens = block.tokens;
  header.page_bytes = block.page.size(), header.trailing_bytes = block.trailing.size();
  std::string bytes;
  bytes.reserve(size_t(disk_block_bytes(int64_t(block.page.size()), int64_t(block.trailing.size()))));
  bytes.append(reinterpret_cast<const char*>(&header), sizeof header);
  bytes += block.page;
  bytes += block.trailing;
  const BlockChecksum checksum = checksum_of(bytes);
  bytes.append(reinterpret_cast<const char*>(checksum.data()), checksum.size());
  return bytes;
}

std::optional<DiskBlock> decode_disk_block(std::string_view bytes) {
  if (bytes.size() < sizeof(BlockHeader) + sizeof(BlockChecksum)) return std::nullopt;
  BlockHeader header;
  std::memcpy(&header, bytes.data(), sizeof header);
  const BlockHeader expected;
  if (header.magic != expected.magic || header.layout_version != expected.layout_version || header.byte_order != expected.byte_order)
    return std::nullopt;
  // Neither sum can wrap: each part is compared with what is left.
  const uint64_t parts = bytes.size() - sizeof(BlockHeader) - sizeof(BlockChecksum);
  if (header.page_bytes > parts || header.trailing_bytes != parts - header.page_bytes) return std::nullopt;
  const std::string_view summed = bytes.substr(0, bytes.size() - sizeof(BlockChecksum));
  const BlockChecksum checksum = checksum_of(summed);
  if (std::memcmp(checksum.data(), bytes.data() + summed.size(), checksum.size()) != 0) return std::nullopt;
  DiskBlock block;
  block.fingerprint = header.fingerprint, block.parent = header.parent, block.tokens = header.tokens;
  block.page = bytes.substr(sizeof header, header.page_bytes);
  block.trailing = bytes.substr(sizeof header + header.page_bytes, header.trailing_bytes);
  return block;
}

}  // namespace finback
