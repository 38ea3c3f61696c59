// libFuzzer target for TOML recipes. Seeds and what it found: tests/golden/fuzz/toml_fuzz.
// Everything is read or one Error of one line; what was read is turned into Json and freed.
#include <string_view>

#include "base/toml.h"

namespace finback {
namespace {

void try_toml(std::string_view text) {
  try {
    dump_toml(parse_toml(text, "file"));
  } catch (const Error& e) {
    FB_ASSERT(std::string_view(e.what()).find('\n') == std::string_view::npos, "a mistake is one line");
  }
}

}  // namespace
}  // namespace finback

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  finback::try_toml({reinterpret_cast<const char*>(data), size});
  return 0;
}
