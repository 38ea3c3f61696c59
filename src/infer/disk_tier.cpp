#include "infer/disk_tier.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace finback {

DiskBlock DiskTier::block_of(const CacheKey& parent, std::span<const int32_t> tokens) const {
  DiskBlock block;
  block.fingerprint = fingerprint_, block.parent = parent;
  FB_ASSERT(tokens.size() == block.tokens.size(), "the tokens of a full page");
  std::copy(tokens.begin(), tokens.end(), block.tokens.begin());
  return block;
}

std::optional<DiskBlock> DiskTier::find(const CacheKey& key, const CacheKey& parent, std::span<const int32_t> tokens) const {
  return disk_.read(file_of(key), block_of(parent, tokens), cache_.page_bytes(), 0);
}

void DiskTier::save(const CacheKey& key, const CacheKey& parent, std::span<const int32_t> tokens, int32_t page) {
  const CacheKey file = file_of(key);
  if (!disk_.wants(file, file_bytes())) return;
  DiskBlock block = block_of(parent, tokens);
  block.page.resize(size_t(cache_.page_bytes()));
  cache_.read_page(page, std::as_writable_bytes(std::span(block.page)));
  disk_.write(file, std::move(block));
}

void DiskTier::touch(std::span<const CacheKey> keys) {
  std::vector<CacheKey> files;
  for (const CacheKey& key : keys) files.push_back(file_of(key));
  disk_.touch(files);
}

}  // namespace finback
