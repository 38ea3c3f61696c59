#include "data/file_hash.h"

#include <xxhash.h>

#include <fstream>
#include <memory>
#include <vector>

#include "base/error.h"

namespace finback {

uint64_t hash_in_pieces(const std::filesystem::path& path, const std::function<void(uint64_t bytes)>& on_progress) {
  std::ifstream file(path, std::ios::binary);
  FB_CHECK(file.good(), "{}: cannot open", path.string());
  const std::unique_ptr<XXH3_state_t, XXH_errorcode (*)(XXH3_state_t*)> state(XXH3_createState(), XXH3_freeState);
  XXH3_64bits_reset(state.get());
  std::vector<char> buffer(size_t(1) << 20);
  uint64_t done = 0;
  while (file.read(buffer.data(), std::streamsize(buffer.size())), file.gcount() > 0) {
    XXH3_64bits_update(state.get(), buffer.data(), size_t(file.gcount()));
    on_progress(done += uint64_t(file.gcount()));
  }
  FB_CHECK(!file.bad(), "{}: cannot read", path.string());
  return XXH3_64bits_digest(state.get());
}

}  // namespace finback
