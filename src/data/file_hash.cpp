#include "data/file_hash.h"

#define XXH_STATIC_LINKING_ONLY  // the state on the stack
#include <xxhash.h>

#include <fstream>
#include <vector>

#include "base/error.h"

namespace finback {

uint64_t hash_in_pieces(const std::filesystem::path& path, const std::function<void(uint64_t bytes)>& on_progress) {
  std::ifstream file(path, std::ios::binary);
  FB_CHECK(file.good(), "{}: cannot open", path.string());
  XXH64_state_t state;
  XXH64_reset(&state, 0);
  std::vector<char> buffer(size_t(1) << 20);
  uint64_t done = 0;
  while (file.read(buffer.data(), std::streamsize(buffer.size())), file.gcount() > 0) {
    XXH64_update(&state, buffer.data(), size_t(file.gcount()));
    on_progress(done += uint64_t(file.gcount()));
  }
  FB_CHECK(!file.bad(), "{}: cannot read", path.string());
  return XXH64_digest(&state);
}

}  // namespace finback
