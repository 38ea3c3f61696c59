#include "infer/cache_key.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/error.h"
#include "base/file.h"

namespace finback {
namespace fs = std::filesystem;
namespace {

using Sha256 = std::array<uint8_t, 32>;

Sha256 hmac_sha256(const CacheSecret& secret, std::string_view text) {
  Sha256 mac;
  unsigned length = 0;
  const auto* bytes = reinterpret_cast<const unsigned char*>(text.data());
  const bool done = ::HMAC(::EVP_sha256(), secret.bytes.data(), int(secret.bytes.size()), bytes, text.size(), mac.data(), &length);
  FB_CHECK(done && length == mac.size(), "libcrypto: expected HMAC-SHA-256, got none");
  return mac;
}

CacheSecret read_secret(const fs::path& file) {
  const std::string bytes = read_file(file);
  CacheSecret secret;
  FB_CHECK(bytes.size() == secret.bytes.size(), "{}: expected {} bytes, got {}. Hint: remove the folder; its pages are computed again",
           file.string(), secret.bytes.size(), bytes.size());
  std::copy(bytes.begin(), bytes.end(), secret.bytes.begin());
  return secret;
}

void write_secret(const fs::path& file, const CacheSecret& secret) {
  const int fd = ::open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  FB_CHECK(fd >= 0, "{}: cannot create: {}", file.string(), std::strerror(errno));
  const bool written = ::write(fd, secret.bytes.data(), secret.bytes.size()) == ssize_t(secret.bytes.size()) && ::fsync(fd) == 0;
  const std::string why = std::strerror(errno);
  ::close(fd);
  if (!written) ::unlink(file.c_str());
  FB_CHECK(written, "{}: cannot write: {}", file.string(), why);
}

}  // namespace

CacheSecret random_cache_secret() {
  CacheSecret secret;
  FB_CHECK(::getentropy(secret.bytes.data(), secret.bytes.size()) == 0, "expected random numbers of the system, got: {}",
           std::strerror(errno));
  return secret;
}

// A link fails where the name is taken, which a rename does not: the first one stays, whole, and all others read it.
CacheSecret folder_cache_secret(const fs::path& folder) {
  const fs::path file = folder / "secret";
  std::error_code absent;
  if (!fs::exists(file, absent)) {
    const CacheSecret secret = random_cache_secret();
    const fs::path temporary = folder / fmt::format("secret.{:016x}.tmp", xxhash64(std::as_bytes(std::span(secret.bytes))));
    write_secret(temporary, secret);
    const bool first = ::link(temporary.c_str(), file.c_str()) == 0;
    const int why = errno;
    ::unlink(temporary.c_str());
    FB_CHECK(first || why == EEXIST, "{}: cannot create: {}", file.string(), std::strerror(why));
    sync_directory(folder);
  }
  return read_secret(file);
}

CacheKeys::CacheKeys(const CacheSecret& secret, uint64_t mask) : secret_(secret), mask_(mask) {
  for (size_t i = 0; i < chain_secret_.size() / sizeof(Sha256); ++i) {
    const Sha256 part = hmac_sha256(secret, fmt::format("chain {}", i));
    std::copy(part.begin(), part.end(), chain_secret_.begin() + ptrdiff_t(i * sizeof(Sha256)));
  }
}

CacheKey CacheKeys::root(std::string_view cache_namespace) const {
  const Sha256 mac = hmac_sha256(secret_, fmt::format("namespace {}", cache_namespace));
  CacheKey key;
  std::memcpy(key.data(), mac.data(), sizeof key);
  return key;
}

CacheKey CacheKeys::next(const CacheKey& before, std::span<const int32_t> tokens) const {
  std::array<uint8_t, 4096> bytes;
  FB_ASSERT(sizeof before + tokens.size_bytes() <= bytes.size(), "the tokens of one page");
  std::memcpy(bytes.data(), before.data(), sizeof before);
  std::memcpy(bytes.data() + sizeof before, tokens.data(), tokens.size_bytes());
  const XXH128_hash_t hash =
      XXH3_128bits_withSecret(bytes.data(), sizeof before + tokens.size_bytes(), chain_secret_.data(), chain_secret_.size());
  return {hash.low64 & mask_, hash.high64 & mask_};
}

CacheKey CacheKeys::file_key(const CacheKey& key, const CacheKey& fingerprint) const {
  const std::array<uint64_t, 4> both = {key[0], key[1], fingerprint[0], fingerprint[1]};
  const XXH128_hash_t hash = XXH3_128bits_withSecret(both.data(), sizeof both, chain_secret_.data(), chain_secret_.size());
  return {hash.low64, hash.high64};
}

}  // namespace finback
