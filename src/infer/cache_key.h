// The names of cached pages: a chain of 128-bit keys, each of the key before it and the 64 tokens of a page. Its root is HMAC-SHA-256(secret,
// namespace), so nobody who does not know the secret can aim at a collision or tell which prompts a name stands for, and two namespaces have no key
// in common. The secret is the process's, or lies in a cache folder, where keys hold over restarts. Knows no pages and no model.
#pragma once
#include <array>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace finback {

using CacheKey = std::array<uint64_t, 2>;
struct CacheKeyHash {
  size_t operator()(const CacheKey& key) const { return key[0]; }  // it is a hash already
};

struct CacheSecret {
  std::array<uint8_t, 32> bytes = {};
};
// From the system's generator. Throws Error when there is none.
CacheSecret random_cache_secret();
// That of a folder (file `secret`, 0600): the first who asks makes it, and who asks at the same time gets the same one. Throws Error for a folder
// that cannot be read or written, and for a file that is none.
CacheSecret folder_cache_secret(const std::filesystem::path& folder);

class CacheKeys {
 public:
  // mask: of the keys behind the root, for tests of collisions.
  explicit CacheKeys(const CacheSecret& secret, uint64_t mask = ~uint64_t{0});
  // Of a namespace, which has no page.
  CacheKey root(std::string_view cache_namespace) const;
  // Of the page that holds `tokens` behind the one of `before`.
  CacheKey next(const CacheKey& before, std::span<const int32_t> tokens) const;
  // The name of a page's file, from its key and what its latents were computed with: nothing can be read from it.
  CacheKey file_key(const CacheKey& key, const CacheKey& fingerprint) const;

 private:
  CacheSecret secret_;
  uint64_t mask_;
  // Of the chain behind the root, where a hash is taken for every page of every prompt: XXH3 with a secret costs a tenth of a microsecond, HMAC three.
  std::array<uint8_t, 192> chain_secret_;
};

}  // namespace finback
