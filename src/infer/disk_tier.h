// Between the pages of one KV cache and the files of the disk tier: which file a page has, and its bytes there and back. One thread (the engine's).
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "infer/disk_cache.h"
#include "model/kv_cache.h"

namespace finback {

class DiskTier {
 public:
  // Both outlive it. fingerprint: of what the latents are computed with (cache_fingerprint.h).
  DiskTier(KvCache& cache, DiskCache& disk, const CacheKey& fingerprint) : cache_(cache), disk_(disk), fingerprint_(fingerprint) {}
  const CacheKeys& keys() const { return disk_.keys(); }
  // From now on; what is on its way keeps the fingerprint that it was given with.
  void set_fingerprint(const CacheKey& fingerprint) { fingerprint_ = fingerprint; }

  // The page of `key` when the disk has it for the very tokens behind `parent`.
  std::optional<DiskBlock> find(const CacheKey& key, const CacheKey& parent, std::span<const int32_t> tokens) const;
  void load(const DiskBlock& block, int32_t page) { cache_.write_page(page, std::as_bytes(std::span(block.page))); }
  // Bytes of a page's file.
  int64_t file_bytes() const { return disk_block_bytes(cache_.page_bytes(), 0); }
  // Hands a copy to the writer, unless the disk has it or there is no room to wait.
  void save(const CacheKey& key, const CacheKey& parent, std::span<const int32_t> tokens, int32_t page);
  // These were used, the last one last.
  void touch(std::span<const CacheKey> keys);

 private:
  DiskBlock block_of(const CacheKey& parent, std::span<const int32_t> tokens) const;
  CacheKey file_of(const CacheKey& key) const { return disk_.keys().file_key(key, fingerprint_); }

  KvCache& cache_;
  DiskCache& disk_;
  CacheKey fingerprint_;
};

}  // namespace finback
